"""How compile time, step time and memory grow: with depth, width, batch, image size, and sweeps with arms and workers."""

import contextlib
import dataclasses
import importlib.metadata
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnjax import errors, machine, models
from cnnjax.analysis import cost
from cnnjax.bench.bound import Bound
from cnnjax.bench.peer import Peer, take_turns

COMPILATIONS = 2
"""Of each program, in turn, beside the first one; the quickest counts: what disturbs a compiler only adds."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """A family of training steps that differ in one number.

    Attributes:
      axis: what that number is.
      values: its values.
      fixed: the other settings: ``depth``, ``width``, ``scan``, ``keep`` of the network, ``batch`` and ``size`` of its images.
    """

    axis: str
    values: Sequence[int]
    fixed: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For tables: the axis, and how it differs from the usual."""
        keep = self.fixed["keep"]
        unusual = [f"keeping {keep}"] if keep != "convolutions" else []
        return ", ".join([self.axis, *unusual, *([] if self.fixed["scan"] else ["unrolled"])])

    def settings(self, value: int) -> dict[str, Any]:
        """All settings of one point."""
        return {**self.fixed, self.axis: value}


USUAL = {"depth": 20, "width": 16, "batch": 32, "size": 8, "scan": True, "keep": "convolutions"}
"""The digits recipe."""

CURVES = (
    Curve("depth", (20, 56, 110, 1202), USUAL),
    Curve("depth", (20, 56, 110, 1202), {**USUAL, "keep": "all"}),
    Curve("depth", (20, 56, 110, 1202), {**USUAL, "keep": "blocks"}),
    Curve("depth", (20, 56, 110), {**USUAL, "scan": False}),
    Curve("width", (8, 16, 32, 64), USUAL),
    Curve("batch", (16, 32, 64, 128, 256), USUAL),
    Curve("size", (8, 16, 32, 64), USUAL),
)
ARMS, WORKERS = (2, 4, 8), (1, 2, 4)
"""Of sweeps: so many arms with a worker a core; the middle number of arms with so many workers."""


@dataclasses.dataclass(frozen=True)
class Point:
    """What was measured of one training step.

    Attributes:
      value: of the curve's axis.
      macs: of one evaluation of the batch.
      compile_s: seconds to trace, lower and compile it.
      step_s: seconds it takes, of each turn.
      program_bytes: memory that the compiled program needs, its arguments included.
      process_bytes: the most that its process had, the compiler included (Linux; elsewhere 0).
    """

    value: int
    macs: int
    compile_s: float
    step_s: list[float]
    program_bytes: int
    process_bytes: int

    @property
    def step(self) -> float:
        """The median turn."""
        return statistics.median(self.step_s)


QUANTITIES: dict[str, Callable[[Point], float]] = {
    "compile": lambda point: point.compile_s,
    "step": lambda point: point.step,
    "program memory": lambda point: point.program_bytes,
}


def measure(curve: Curve, form: str, turns: int, say: Callable[[str], None]) -> list[Point]:
    """The points of a curve, whose steps take turns; ``form`` is that of convolutions, see `cnnjax.nn.conv`."""
    peers: dict[int, Peer] = {}
    macs: dict[int, int] = {}
    with contextlib.ExitStack() as opened:
        for value in curve.values:
            settings = curve.settings(value)
            network = {"name": "resnet_cifar", **{key: settings[key] for key in ("depth", "width", "scan", "keep")}}
            batch, size = settings["batch"], settings["size"]
            say(f"{curve.name} {value} …")
            macs[value] = cost.forward(models.create(**network), (batch, size, size, 3))
            request = {"network": network, "size": size, "batch": batch, "cores": machine.cores(), "form": form}
            command = [sys.executable, "-m", "cnnjax.bench.jax_peer"]
            peers[value] = opened.enter_context(Peer(f"{curve.name} {value}", command, request))
        compile_s = {value: [peer.info["compile_s"]] for value, peer in peers.items()}
        for _ in range(COMPILATIONS):
            for value, peer in peers.items():
                compile_s[value].append(peer.compile())
        times = take_turns(peers, turns)
        return [
            Point(
                value=value,
                macs=macs[value],
                compile_s=min(compile_s[value]),
                step_s=times[value],
                program_bytes=peer.info["program_bytes"],
                process_bytes=peer.peak_bytes(),
            )
            for value, peer in peers.items()
        ]


def exponent(values: Sequence[float], measured: Sequence[float]) -> tuple[float, float]:
    """The slope of log(measured) over log(values) by least squares, and its standard error (0 for two points)."""
    x, y = np.log(values), np.log(measured)
    x, y = x - x.mean(), y - y.mean()
    slope = float((x * y).sum() / (x * x).sum())
    freedom = len(x) - 2
    residual = float(((y - slope * x) ** 2).sum())
    return slope, math.sqrt(residual / freedom / float((x * x).sum())) if freedom > 0 else 0.0


def bounds(measured: Mapping[str, Sequence[Point]]) -> list[Bound]:
    """The bounds on growth with depth, from what :func:`measure` gave for each curve's name."""
    depth = {point.value: point for point in measured["depth"]}
    unrolled = {point.value: point for point in measured["depth, unrolled"]}
    per_mac = {value: point.step / point.macs for value, point in depth.items()}
    return [
        Bound("compile time, 1202 layers to 110", depth[1202].compile_s / depth[110].compile_s, 1.2),
        Bound("compile time, 1202 layers to 20", depth[1202].compile_s / depth[20].compile_s, 2.5),
        Bound("step time per MAC, 1202 layers to 56", per_mac[1202] / per_mac[56], 1.0),
        Bound("step time, 56 layers scanned to unrolled", depth[56].step / unrolled[56].step, 1.1),
        Bound("step time, 110 layers scanned to unrolled", depth[110].step / unrolled[110].step, 1.1),
    ]


_EXPERIMENT = """
from cnnjax.sweep.experiment import Experiment, Scale

experiment = Experiment(
    question="How does the time of a sweep grow?",
    source="cnnjax bench growth",
    scales={{"arms": Scale(config={recipe!r}, arms={arms!r}, roles={{}}, seeds=[0])}},
    claims=(),
)
"""


def check(recipe: pathlib.Path) -> None:
    """Raises a `UserError` where there is no such recipe."""
    if not recipe.is_file():
        raise errors.UserError(
            f"unknown recipe {str(recipe)!r}; sweeps are made of one, e.g. configs/resnet_cifar_digits.py"
        )


def sweep(recipe: pathlib.Path, arms: int, workers: int) -> float:
    """Seconds that ``cnnjax run`` takes for some arms, each an epoch of the recipe with 8 layers, with some workers.

    Raises:
      UserError: the sweep failed, or there is no such recipe.
    """
    check(recipe)
    short = {"model.depth": 8, "duration": "1 epochs"}
    overrides = {f"arm{number}": {**short, "schedule.learning_rate": 0.01 * (number + 1)} for number in range(arms)}
    with tempfile.TemporaryDirectory(prefix="cnnjax-bench-") as folder:
        file = pathlib.Path(folder) / "arms.py"
        file.write_text(_EXPERIMENT.format(recipe=str(recipe.resolve()), arms=overrides))
        command = [
            sys.executable,
            "-m",
            "cnnjax",
            "run",
            str(file),
            "--workers",
            str(workers),
            "--runs",
            f"{folder}/runs",
        ]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise errors.UserError(f"a sweep of {arms} arms ended with status {done.returncode}: {' '.join(last)}")
    return seconds


def sweeps(recipe: pathlib.Path, say: Callable[[str], None]) -> dict[str, dict[int, float]]:
    """Seconds of :func:`sweep` over :data:`ARMS` and over :data:`WORKERS`."""
    found: dict[str, dict[int, float]] = {"arms": {}, "workers": {}}
    for arms in ARMS:
        say(f"a sweep of {arms} arms …")
        found["arms"][arms] = sweep(recipe, arms, len(machine.cores()))
    for workers in WORKERS:
        say(f"a sweep with {workers} workers …")
        found["workers"][workers] = sweep(recipe, ARMS[1], workers)
    return found


def conditions() -> str:
    """What the numbers depend on."""
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "flax"))
    return f"{machine.processor()}, {len(machine.cores())} cores, {packages}"


def save(
    file: pathlib.Path,
    measured: Mapping[str, Sequence[Point]],
    sweeps: Mapping[str, Mapping[int, float]],
    found: Sequence[Bound] = (),
) -> None:
    """Writes all numbers that there are as JSON."""
    content = {
        "conditions": conditions(),
        "curves": {name: [dataclasses.asdict(point) for point in points] for name, points in measured.items()},
        "sweeps": {name: {str(count): seconds for count, seconds in each.items()} for name, each in sweeps.items()},
        "bounds": [dataclasses.asdict(bound) for bound in found],
    }
    file.write_text(json.dumps(content, indent=1) + "\n")
