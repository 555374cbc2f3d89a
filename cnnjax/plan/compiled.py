"""What the compiler says of a training step."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.plan.collectives import Collective
from cnnjax.plan.topology import Topology


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A step of one batch; all numbers are of one device.

    Attributes:
      batch: images in the step, on all devices together.
      arguments: bytes of parameters, statistics, the optimiser's state, and its share of the batch.
      results: bytes of what is not written in the arguments' place.
      temporary: bytes of what is in between; of a step that does not fit all that is known.
      code: bytes of the program.
      fits: whether the compiler takes it.
      flops, size: floating-point operations, and bytes read and written; ``None`` where the compiler does not count them.
      collectives: what it sends.
      seconds: that compiling took.
    """

    batch: int
    arguments: int
    results: int
    temporary: int
    code: int
    fits: bool
    flops: float | None
    size: float | None
    collectives: tuple[Collective, ...]
    seconds: float

    @property
    def total(self) -> int:
        """Bytes."""
        return self.arguments + self.results + self.temporary + self.code


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the worker has found out.

    Attributes:
      devices: of the topology.
      limit: bytes that a program may have on one.
      steps: compiled ones: the recipe's batch, and perhaps another one.
      unit: what batches are multiples of.
      training_steps: of the whole recipe.
      parameters: of the network.
      network: its name.
      examples: of the training set.
      resident: bytes of it, as it lies on a device; 0: it is streamed.
      sent: bytes of images of the recipe's batch, as they come from the host.
      compiler: which one it was.
      notes: what the trainer says of the recipe.
    """

    devices: int
    limit: int
    steps: tuple[Compiled, ...]
    unit: int
    training_steps: int
    parameters: int
    network: str
    examples: int
    resident: int
    sent: int
    compiler: str
    notes: tuple[str, ...]

    def largest(self) -> int | None:
        """The largest batch that fits, on the line through the memory of two batches; ``None`` where it is not known."""
        if len(self.steps) < 2:
            return None
        (small, less), (large, more) = sorted((step.batch, step.total) for step in self.steps)
        each = (more - less) / (large - small)
        if each <= 0:
            return None
        count = int(small + (self.limit - less) / each)
        return max(0, min(count, self.examples) // self.unit * self.unit)


def ask(
    config: configs.ConfigDict,
    topology: Topology,
    largest: bool = True,
    thorough: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Answer:
    """Compiles a recipe's step in a process of its own, which has the devices that this one lacks.

    Args:
      config: the recipe.
      topology: for which devices.
      largest: whether a second batch is compiled, for :meth:`Answer.largest`.
      thorough: whether the program is optimised as it is for training, which takes several times as long.
      say: takes one line for the user.

    Raises:
      UserError: the trainer refuses the recipe on these devices, or the compiler has failed.
    """
    asked = {"config": config.to_dict(), "topology": topology.text, "largest": largest, "thorough": thorough}
    say(f"compiling for {topology.text} …")
    process = subprocess.run(
        [*_widened(topology.chip.stack if topology.chip else 0), sys.executable, "-m", "cnnjax.plan.worker"],
        input=json.dumps(asked),
        env={**os.environ, **topology.environment()},
        capture_output=True,
        text=True,
    )
    found = next((line for line in reversed(process.stdout.splitlines()) if line.startswith("{")), "")
    if process.returncode or not found:
        said = [line for line in process.stderr.splitlines() if line.strip()]
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"status {process.returncode}"
        raise errors.UserError(
            f"the compiler for {topology.text} has ended with {how}: {said[-1] if said else 'no word'}"
        )
    answer = json.loads(found)
    if "error" in answer:
        raise errors.UserError(answer["error"])
    return _answer(answer)


def _widened(stack: int) -> list[str]:
    """What starts a command with so many bytes of stack, if the system allows it: threads too take the limit of the start."""
    return ["sh", "-c", f'ulimit -s {stack // 1024} 2>/dev/null; exec "$0" "$@"'] if stack else []


def _answer(found: dict[str, Any]) -> Answer:
    steps = tuple(
        Compiled(**{**step, "collectives": tuple(Collective(**each) for each in step["collectives"])})
        for step in found.pop("steps")
    )
    return Answer(**{**found, "steps": steps, "notes": tuple(found["notes"])})
