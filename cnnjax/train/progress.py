"""Shows how far one training is."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_S = 10.0

Show = Callable[[int, int, float, Mapping[str, float]], None]
"""Takes the steps done, the steps in all, examples a second, and the last row of metrics."""


def nothing(done: int, total: int, rate: float, row: Mapping[str, float]) -> None:
    """Shows nothing."""


@contextmanager
def shown(name: str, console: Console) -> Iterator[Show]:
    """A bar on a terminal; elsewhere a line now and then."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn(name),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rest]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(name, total=None, rest="")

        def show(done: int, total: int, rate: float, row: Mapping[str, float]) -> None:
            bar.update(task, completed=done, total=total, rest=_rest(rate, row))

        yield show


def _lines(console: Console) -> Show:
    last = time.monotonic()
    first: tuple[int, float] | None = None

    def show(done: int, total: int, rate: float, row: Mapping[str, float]) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = first or (done, now)
        if now - last < PLAIN_S:
            return
        last = now
        speed = (done - first[0]) / (now - first[1]) if done > first[0] else 0.0
        left = f"{round((total - done) / speed)} s left" if speed else ""
        parts = (f"step {done} of {total}", _rest(rate, row), left)
        console.print(", ".join(filter(None, parts)), soft_wrap=True, highlight=False)

    return show


def _rest(rate: float, row: Mapping[str, float]) -> str:
    parts = [f"{rate:,.0f} examples/s"] if rate else []
    parts += [f"loss {row['batch/loss']:.4f}"] if "batch/loss" in row else []
    parts += [
        f"{name} error {100 * row[f'{name}/error']:.2f} %" for name in ("train", "test") if f"{name}/error" in row
    ]
    return ", ".join(parts)
