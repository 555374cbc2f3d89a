"""Workers on this machine: each trains one arm, ``cnnjax train``, seeds in sequence so that they share a compiled program."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator, Sequence

from cnnjax import machine
from cnnjax.sweep import pool, work
from cnnjax.sweep.plan import Arm, Sweep


class Worker:
    """A process at work on an arm. It ends when this process does, see `work.start`.

    Attributes:
      arm: what it trains.
      seeds: which runs of it.
      process: it.
    """

    def __init__(self, arm: Arm, seeds: Sequence[int], process: "subprocess.Popen[bytes]") -> None:
        self.arm, self.seeds, self.process = arm, seeds, process

    def end(self) -> pool.End | None:
        """See `pool.Worker`; nothing of it is held open then."""
        if self.process.poll() is None:
            return None
        if self.process.stdin:
            self.process.stdin.close()
        return pool.end(self.arm, self.process.returncode)

    def stop(self) -> None:
        """Asks it to save and to end."""
        self.process.terminate()

    def kill(self) -> None:
        """Ends it without saving."""
        self.process.kill()
        self.process.wait()
        self.end()


class Local:
    """Workers with as many cores for each.

    Args:
      count: how many at a time.
    """

    retries = 0

    def __init__(self, count: int) -> None:
        self.at_once, self.words = count, f"{count} at a time"
        self._shares = shares(count)
        self._workers: list[Worker | None] = [None] * count

    def start(self, tasks: Sequence[pool.Task]) -> list[Worker]:
        """Starts a worker for each task."""
        return [self._start(*task) for task in tasks]

    def _start(self, arm: Arm, seeds: Sequence[int]) -> Worker:
        place = next(i for i, each in enumerate(self._workers) if not each or each.process.returncode is not None)
        process = work.start(command_line(arm, seeds), arm.log, self._shares[place])
        self._workers[place] = worker = Worker(arm, seeds, process)
        return worker


def local(count: int = 0) -> pool.Open:
    """So many workers on this machine; 0: as many as help."""

    @contextlib.contextmanager
    def opened(sweep: Sweep) -> Iterator[Local]:
        # Not the arms that are waiting: a worker of a sweep that goes on has as many cores as it had before.
        yield Local(min(count or default_count(), len(sweep.arms)))

    return opened


def command_line(arm: Arm, seeds: Sequence[int]) -> list[str]:
    """The arguments of ``cnnjax`` that train these runs; a user can type them too."""
    settings = [f"--config.{key}={value}" for key, value in arm.overrides.items()]
    measures = ["--measure", ",".join(arm.measures)] if arm.measures else []
    runs = ["--run", str(arm.folder), "--seeds", ",".join(map(str, seeds))]
    return ["train", str(arm.recipe), *settings, *runs, *measures]


def shares(count: int) -> list[list[int]]:
    """The cores of each of ``count`` workers: as many for each, because a result depends on how many; one: not pinned."""
    if not hasattr(os, "sched_setaffinity"):
        return [[] for _ in range(count)]
    cores = machine.cores()
    size = max(1, len(cores) // count)
    return (
        [[cores[(first * size + i) % len(cores)] for i in range(size)] for first in range(count)] if count > 1 else [[]]
    )


def default_count() -> int:
    """How many workers help: one a core on CPUs, one in all where there is an accelerator."""
    accelerators = [*pathlib.Path("/dev").glob("nvidia[0-9]*"), *pathlib.Path("/dev").glob("accel[0-9]*")]
    if accelerators and os.environ.get("JAX_PLATFORMS", "") != "cpu":
        return 1
    return len(machine.cores())
