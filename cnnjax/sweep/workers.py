"""Worker processes: each trains one arm, ``cnnjax train``, seeds in sequence so that they share a compiled program."""

import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from cnnjax import errors, machine, signals
from cnnjax.sweep.plan import Arm
from cnnjax.train.run import RunFolder


@dataclasses.dataclass
class Worker:
    """A process at work on an arm.

    It ends when this process does, however that ends: it reads a pipe whose other end only this process holds.

    Attributes:
      arm: what it trains.
      seeds: which runs of it.
      process: it.
      cores: CPU cores it is pinned to.
    """

    arm: Arm
    seeds: Sequence[int]
    process: subprocess.Popen[bytes]
    cores: Sequence[int]

    @property
    def log(self) -> pathlib.Path:
        """What it printed."""
        return self.arm.folder / "worker.log"

    def ended(self) -> bool:
        """Whether it has ended; nothing of it is held open then."""
        if self.process.poll() is None:
            return False
        if self.process.stdin:
            self.process.stdin.close()
        return True

    def kill(self) -> None:
        """Ends it without saving."""
        self.process.kill()
        self.process.wait()
        self.ended()

    def failure(self) -> str:
        """Why it ended without finishing its runs; empty if it did finish."""
        code = self.process.returncode
        if code == 0:
            return ""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        how = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        how = "told to stop, not by this sweep" if code == signals.EXIT_INTERRUPTED else how
        return f"{how}: {last.removeprefix('cnnjax: error: ')}"

    def record_failure(self) -> None:
        """Writes the failure into the status of the run that was under way, which may not have been able to."""
        for seed in self.seeds:
            folder = RunFolder(self.arm.folder / f"seed-{seed}")
            try:
                if folder.status().get("state") != "finished":
                    folder.set_status(state="failed", error=self.failure())
                    return
            except errors.UserError:  # a damaged status, which is what the worker has failed of
                return


def start(arm: Arm, seeds: Sequence[int], cores: Sequence[int]) -> Worker:
    """Starts a worker on some seeds of an arm, pinned to ``cores`` (none: not pinned)."""
    arm.folder.mkdir(parents=True, exist_ok=True)
    # It trains by itself, also where a scheduler has started several of us.
    alone = ["--processes", "1", "--until-stdin-closes"]
    command = [sys.executable, "-m", "cnnjax", *command_line(arm, seeds), *alone]
    if cores:
        command += ["--cores", ",".join(map(str, cores))]
    with (arm.folder / "worker.log").open("ab") as log:
        # Its own session: Ctrl-C reaches this process alone, which then tells its workers to save and stop.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
    return Worker(arm, seeds, process, cores)


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
