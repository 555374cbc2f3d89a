"""How far a sweep is: read from the folders of its runs, whoever works on them."""

import functools
import json
import time
from typing import Any

from rich.table import Table

from cnnjax import config as configs
from cnnjax import data, errors, models
from cnnjax.analysis import cost, layers
from cnnjax.data import pipeline
from cnnjax.sweep.plan import Arm, Sweep

ASSUMED_FLOPS = 2e10
"""FLOP/s of one worker where nothing has been measured yet: about what one recent CPU core reaches on small images."""


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
    shape, count = _input(arm.config.dataset.name, arm.config.dataset.train, arm.config.execution.data_dir)
    steps = configs.steps(
        arm.config.duration, pipeline.steps_per_epoch(count, arm.config.batch_size), arm.config.batch_size
    )
    return 6.0 * _macs(json.dumps(arm.config.model.to_dict(), sort_keys=True), shape) * steps * arm.config.batch_size


def parameters(arm: Arm) -> int:
    """How many parameters an arm's network has."""
    shape, _ = _input(arm.config.dataset.name, arm.config.dataset.train, arm.config.execution.data_dir)
    return sum(layer.count for layer in layers.layers(models.create(**arm.config.model), (1, *shape)))


def seconds(sweep: Sweep) -> tuple[dict[str, float], str]:
    """Estimated seconds of one run of each arm, and in words what the estimate rests on.

    Runs of this sweep that are finished give the rate, weighted by their work; without any, a rate is assumed.
    """
    spent, done = 0.0, 0.0
    for arm in sweep.arms:
        for seed in arm.seeds:
            status = _status(arm, seed)
            if status.get("state") == "finished" and status.get("outcome") == "completed":
                spent += status["seconds"]
                done += work(arm)
    rate = done / spent if spent else ASSUMED_FLOPS
    basis = "from the finished runs here" if spent else "assumed, nothing is finished here yet"
    return {arm.name: work(arm) / rate for arm in sweep.arms}, f"{rate / 1e9:.0f} GFLOP/s a worker, {basis}"


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
        active = [status for status in states.values() if status.get("state") in ("running", "failed", "interrupted")]
        now = active[-1] if active else (finished[-1] if finished else {})
        row = now.get("row", {})
        view.add_row(
            arm.name,
            f"{len(finished)}/{len(arm.seeds)}",
            f"{now.get('step', 0)}/{now['steps']}" if "steps" in now else "",
            _percent(row.get("train/error")),
            _percent(row.get("test/error")),
            f"{now['examples_per_second']:.0f}" if "examples_per_second" in now and active else "",
            _duration(_left(arm, states)),
            now.get("outcome") or now.get("state", "waiting"),
        )
    return view


def line(sweep: Sweep) -> str:
    """The same in one line."""
    parts = []
    for arm in sweep.arms:
        states = {seed: _status(arm, seed) for seed in arm.seeds}
        finished = sum(status.get("state") == "finished" for status in states.values())
        running = [status for status in states.values() if status.get("state") == "running" and status.get("steps")]
        share = f" +{100 * running[0].get('step', 0) / running[0]['steps']:.0f}%" if running else ""
        parts.append(f"{arm.name} {finished}/{len(arm.seeds)}{share}")
    return f"{time.strftime('%H:%M:%S')}  " + "  ".join(parts)


def finished(sweep: Sweep) -> dict[tuple[str, int], str]:
    """A line for each run that has ended."""
    lines = {}
    for arm in sweep.arms:
        for seed in arm.seeds:
            status = _status(arm, seed)
            if status.get("state") == "finished":
                measured = ", ".join(
                    f"{key} {_percent(value)}" for key, value in status["summary"].items() if "error" in key
                )
                lines[arm.name, seed] = (
                    f"{arm.name} seed {seed}: {status['outcome']} after {_duration(status['seconds'])}"
                    + (f", {measured}" if measured else "")
                )
    return lines


def _left(arm: Arm, states: dict[int, dict[str, Any]]) -> float | None:
    """Seconds of work left in an arm, from its own rate; ``None`` before anything is known."""
    known = [status for status in states.values() if status.get("step") and status.get("seconds")]
    if not known:
        return None
    rate = sum(status["step"] for status in known) / sum(status["seconds"] for status in known)
    ended = sum(status.get("state") == "finished" for status in states.values())
    steps = known[0]["steps"]
    under_way = sum(status["step"] for status in known if status.get("state") != "finished")
    return ((len(states) - ended) * steps - under_way) / rate


def _status(arm: Arm, seed: int) -> dict[str, Any]:
    try:
        return arm.run(seed)[0].status()
    except (OSError, ValueError, errors.UserError):
        return {}


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60:02d} min"
        if minutes >= 60
        else f"{minutes} min {rest:02d} s"
        if minutes
        else f"{rest} s"
    )


@functools.cache
def _input(name: str, split: str, data_dir: str | None) -> tuple[tuple[int, ...], int]:
    """Shape of an image, and how many there are."""
    images = data.load(name, split, data_dir).images
    return images.shape[1:], len(images)


@functools.cache
def _macs(model: str, shape: tuple[int, ...]) -> int:
    return cost.forward(models.create(**json.loads(model)), (1, *shape))
