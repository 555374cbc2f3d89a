"""An experiment's outcome for the terminal."""

import math
import pathlib

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cnnjax.sweep.outcome import Outcome
from cnnjax.sweep.verdict import CONTRADICTED, INCONCLUSIVE, REPRODUCED, Verdict
from cnnjax.sweep.words import NONE, SIGNS, duration, margin, numbers, probability

_STYLES = {REPRODUCED: "green", CONTRADICTED: "red", INCONCLUSIVE: "yellow"}


def show(console: Console, outcome: Outcome, page: pathlib.Path | None = None) -> None:
    """Prints the table of arms and the verdicts; readable at 80 columns and without colour.

    Args:
      console: where.
      outcome: what.
      page: the report that was written.
    """
    for part in _parts(outcome, page):
        console.print(part)


def _parts(outcome: Outcome, page: pathlib.Path | None) -> list[RenderableType]:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("arm", "params", "seeds", "train error %", "test error %", "training", "outcome"):
        number = heading not in ("arm", "outcome")
        table.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for arm in outcome.arms:
        cells = [arm.name, _short(arm.parameters), f"{arm.finished}/{arm.planned}"]
        cells += [*arm.errors.values(), duration(arm.seconds), arm.outcome]
        table.add_row(*map(Text, cells))
    lines = Table.grid(padding=(0, 2, 0, 0))
    for each in outcome.verdicts:
        style = _STYLES[each.verdict]
        body = Text.assemble(each.claim.text, (f"\n{_evidence(each)}", style), *((f"\n{n}", "dim") for n in each.notes))
        lines.add_row(Text(f"{SIGNS[each.verdict]} {each.verdict}", style=f"bold {style}", no_wrap=True), body)
    parts: list[RenderableType] = [
        Text(f"{outcome.experiment.name} · {outcome.scale_name}: {outcome.experiment.question}", style="bold"),
        Padding(table, (1, 0)),
        lines,
    ]
    for heading, said in (("not counted, other settings", outcome.others), ("notes", outcome.notes)):
        if said:
            text = Text.assemble((heading, "bold"), *(f"\n{line}" for line in said), overflow="fold")
            parts.append(Padding(text, (1, 0, 0, 0)))
    if page:
        parts.append(Padding(Text(f"report: {page}", overflow="fold"), (1, 0, 0, 0)))
    return parts


def _short(count: int | None) -> str:
    if count is None:
        return NONE
    return f"{count / 1e6:.2f}M" if count >= 1e6 else f"{count / 1e3:.1f}k" if count >= 1e3 else str(count)


def _evidence(verdict: Verdict) -> str:
    """Mean, interval, margin, n and p in one clause."""
    text = f"{numbers(verdict)} vs {margin(verdict)}, n = {verdict.n}"
    holm = f", Holm p {probability(verdict.p_adjusted)} at level {verdict.level:.2g}"
    return text + ("" if math.isnan(verdict.p_adjusted) else holm)
