"""Where the workers of a sweep run. `runner` asks a pool for them, and needs to know nothing else of a scheduler."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from cnnjax import errors, signals
from cnnjax.sweep.plan import Arm, Sweep
from cnnjax.train.run import RunFolder

Task = tuple[Arm, list[int]]
"""What a worker is given: an arm, and the seeds of the runs that are left."""


@dataclasses.dataclass(frozen=True)
class End:
    """How a worker ended.

    Attributes:
      failure: why it did not finish its runs; empty if it did.
      lost: whether that was done to it: another one goes on from where it was.
    """

    failure: str = ""
    lost: bool = False


class Worker(Protocol):
    """A ``cnnjax train`` at work on an arm.

    Attributes:
      arm: what it trains.
      seeds: which runs of it.
    """

    arm: Arm
    seeds: Sequence[int]

    def end(self) -> End | None:
        """How it ended; ``None`` as long as it has not. Asked again and again, and never after the first answer."""

    def stop(self) -> None:
        """Asks it to save and to end."""

    def kill(self) -> None:
        """Ends it without saving."""


class Pool(Protocol):
    """A source of workers.

    Attributes:
      at_once: how many it takes at a time.
      retries: how often an arm is begun again whose worker was lost.
      words: what it is, for the line that a sweep begins with.
    """

    at_once: int
    retries: int
    words: str

    def start(self, tasks: Sequence[Task]) -> Sequence[Worker]:
        """Starts a worker for each task, or has it wait for its turn."""


Open = Callable[[Sweep], AbstractContextManager[Pool]]
"""A pool for a sweep, open while inside."""


def end(arm: Arm, code: int) -> End:
    """How ``cnnjax train`` ended, by its exit status (negative: the signal that killed it) and the last line it printed."""
    if code == 0:
        return End()
    if code < 0:  # what it printed last says nothing of that
        return End(f"killed by signal {-code}", True)
    lines = arm.log.read_text(errors="replace").strip().splitlines() if arm.log.exists() else []
    last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
    lost = code == signals.EXIT_INTERRUPTED
    how = "stopped, not by this sweep" if lost else f"exit status {code}"
    return End(f"{how}: {last.removeprefix('cnnjax: error: ')}", lost)


def record_failure(arm: Arm, seeds: Sequence[int], failure: str) -> None:
    """Writes a failure into the status of the run that was under way, which may not have been able to."""
    for seed in seeds:
        folder = RunFolder(arm.folder / f"seed-{seed}")
        try:
            if folder.status().get("state") != "finished":
                folder.set_status(state="failed", error=failure)
                return
        except errors.UserError:  # a damaged status, which is what the worker has failed of
            return
