"""How far a sweep is: read from the folders of its runs, whoever works on them."""

import dataclasses
import functools
import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from cnnjax import config as configs
from cnnjax import data, errors, models
from cnnjax.analysis import cost
from cnnjax.data import pipeline
from cnnjax.sweep import record
from cnnjax.sweep.plan import Arm, Sweep
from cnnjax.sweep.verdict import grouped
from cnnjax.sweep.words import duration
from cnnjax.train import streamed

ASSUMED_FLOPS = 2e10
"""FLOP/s of one worker where nothing has been measured yet: about what one recent CPU core reaches on small images."""

_UNITS = (("TFLOP/s", 1e12), ("GFLOP/s", 1e9), ("MFLOP/s", 1e6), ("kFLOP/s", 1e3), ("FLOP/s", 1.0))
_ACTIVE = ("running", "failed", "interrupted", record.UNREADABLE)
_SHOWN = 8
_NOTES = 5
"""So many notes are shown below the table; the report has all."""


def work(arm: Arm) -> float:
    """FLOPs of training one run of an arm: three passes (forward, two gradients) over every example of every step.

    Raises:
      UserError: there is no such network, set or batch.
    """
    try:
        return _work(arm)
    except errors.UserError as error:
        raise errors.UserError(f"arm {arm.name}: {error}") from None


def _work(arm: Arm) -> float:
    _, count, _ = _set(arm)
    steps = configs.steps(
        arm.config.duration, pipeline.steps_per_epoch(count, arm.config.batch_size), arm.config.batch_size
    )
    return 6.0 * size(arm)[1] * steps * arm.config.batch_size


def size(arm: Arm) -> tuple[int, int]:
    """Parameters of an arm's network, with as many outputs as its data set has classes, and MACs of one image."""
    shape, _, classes = _set(arm)
    return _size(tuple(sorted(arm.config.model.items())), classes, shape)


def seconds(sweep: Sweep) -> tuple[dict[str, float], str]:
    """Estimated seconds of one run of each arm, and in words what the estimate rests on.

    Runs of this sweep that are finished give the rate, weighted by their work; without any, a rate is assumed.
    """
    spent, done = 0.0, 0.0
    for arm in sweep.arms:
        for seed in set(arm.seeds) - set(arm.pending()):
            status = _status(arm, seed)
            if status["outcome"] == "completed":
                spent += status["seconds"]
                done += work(arm)
    rate = done / spent if spent else ASSUMED_FLOPS
    assumed = "assumed, nothing is finished here yet; compilation is not counted"
    basis = "from the finished runs here; start-up is not counted" if spent else assumed
    return {arm.name: work(arm) / rate for arm in sweep.arms}, f"{_rate(rate)} a worker, {basis}"


def table(sweep: Sweep) -> Table:
    """All arms at once, for a terminal."""
    view = Table(title=f"{sweep.experiment.name} · {sweep.scale_name}", expand=False)
    for name, justify in (
        ("arm", "left"),
        ("runs", "right"),
        ("step", "right"),
        ("train error", "right"),
        ("test error", "right"),
    ):
        view.add_column(name, justify=justify)  # type: ignore[arg-type]
    view.add_column("examples/s", justify="right")
    view.add_column("left", justify="right")
    view.add_column("", justify="left")
    for arm in sweep.arms:
        states = {seed: _status(arm, seed) for seed in arm.seeds}
        finished = [status for status in states.values() if status.get("state") == "finished"]
        active = [status for status in states.values() if status.get("state") in _ACTIVE]
        now = active[-1] if active else (finished[-1] if finished else {})
        row = now.get("row") or {}
        view.add_row(
            arm.name,
            f"{len(finished)}/{len(arm.seeds)}",
            f"{now.get('step') or 0}/{now['steps']}" if now.get("steps") else "",
            _percent(row.get("train/error")),
            _percent(row.get("test/error")),
            f"{now['examples_per_second']:.0f}" if now.get("examples_per_second") and active else "",
            duration(_left(arm, states)),
            now.get("outcome") or now.get("state") or "waiting",
        )
    notes = _notes(sweep)
    more = [f"and {len(notes) - _NOTES} more"] if len(notes) > _NOTES else []
    view.caption = "\n".join(map(escape, notes[:_NOTES] + more)) or None
    view.caption_justify = "left"
    return view


def line(sweep: Sweep) -> str:
    """The same in one line."""
    parts = []
    for arm in sweep.arms:
        states = {seed: _status(arm, seed) for seed in arm.seeds}
        finished = sum(status.get("state") == "finished" for status in states.values())
        running = [status for status in states.values() if status.get("state") == "running" and status.get("steps")]
        share = f" +{100 * (running[0].get('step') or 0) / running[0]['steps']:.0f}%" if running else ""
        parts.append(f"{arm.name} {finished}/{len(arm.seeds)}{share}")
    return f"{time.strftime('%H:%M:%S')}  " + "  ".join(parts)


def finished(sweep: Sweep) -> dict[tuple[str, int], str]:
    """A line for each run that has ended, and below it what the run said of itself."""
    lines = {}
    for arm in sweep.arms:
        for seed in arm.seeds:
            status = _status(arm, seed)
            if status.get("state") == "finished":
                measured = ", ".join(
                    f"{key} {_percent(value)}" for key, value in status["summary"].items() if key.endswith("/error")
                )
                lines[arm.name, seed] = (
                    f"{arm.name} seed {seed}: {status['outcome']} after {duration(status['seconds'])}"
                    + (f", {measured}" if measured else "")
                    + "".join(f"\n  note: {note}" for note in status.get("notes") or ())
                )
    return lines


def _left(arm: Arm, states: Mapping[int, Mapping[str, Any]]) -> float | None:
    """Seconds of work left in an arm, from its own rate; ``None`` before anything is known."""
    known = [status for status in states.values() if all(status.get(key) for key in ("step", "steps", "seconds"))]
    if not known:
        return None
    rate = sum(status["step"] for status in known) / sum(status["seconds"] for status in known)
    ended = sum(status.get("state") == "finished" for status in states.values())
    steps = known[0]["steps"]
    under_way = sum(status["step"] for status in known if status.get("state") != "finished")
    return ((len(states) - ended) * steps - under_way) / rate


def _status(arm: Arm, seed: int) -> Mapping[str, Any]:
    return record.read(arm.run(seed)[0].path).status


def _notes(sweep: Sweep) -> list[str]:
    """What the runs said of themselves, and what is wrong with those that cannot be read."""
    said = []
    for arm in sweep.arms:
        for seed in arm.seeds:
            status = _status(arm, seed)
            unreadable = [status["error"]] if status.get("state") == record.UNREADABLE else []
            said += [((arm.name, seed), note) for note in [*(status.get("notes") or ()), *unreadable]]
    return [f"{place}: {note}" for place, note in grouped(said)]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _rate(flops: float) -> str:
    unit, size = next(((unit, size) for unit, size in _UNITS if flops >= size), _UNITS[-1])
    return f"{flops / size:.3g} {unit}"


def _set(arm: Arm) -> tuple[tuple[int, ...], int, int]:
    """Shape of what an arm's network sees of a training image, how many there are, and of how many classes."""
    found = examples(arm, "train")
    shape, side = found.images.shape[1:], arm.config.task.crop or arm.config.dataset.side
    return (side, side, shape[-1]) if side else shape, len(found.labels), found.num_classes


def examples(arm: Arm, which: str) -> data.Arrays:
    """The labels of an arm's training or test set, those of its classes, and a few of the images."""
    if arm.config.execution.stream:
        return _streamed(arm.config.to_json(), which)
    asked = arm.config.dataset
    return _examples(asked.name, asked[which], tuple(asked.classes), arm.config.execution.data_dir)


@functools.cache
def _streamed(config: str, which: str) -> data.Arrays:
    return streamed.outline(configs.stored(json.loads(config)), which, _SHOWN)


@functools.cache
def _examples(name: str, split: str, classes: tuple[int, ...], data_dir: str | None) -> data.Arrays:
    found = data.load(name, split, data_dir)
    found = found.only(classes) if classes else found
    return dataclasses.replace(found, images=np.array(found.images[:_SHOWN]))


@functools.cache
def _size(model: tuple[tuple[str, Any], ...], classes: int, shape: tuple[int, ...]) -> tuple[int, int]:
    return cost.size(models.create(**dict(model), num_classes=classes), (1, *shape))
