"""A ``cnnjax train`` as a process of its own, on this machine or on one that a scheduler has chosen.

Imports little: it is the first thing that happens on such a machine.
"""

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import filelock

from cnnjax import errors, machine

POLL_S = 0.2
LEASE_S = 120
"""A network file system lets go of what a lost machine held only when a lease ends: of NFS 4, after 90 s."""

_TRAVELLING = ("CNNJAX_", "JAX_", "XLA_")
"""Variables that begin so change what is computed, and where data are found."""


def start(
    arguments: Sequence[str],
    log: pathlib.Path,
    cores: Sequence[int] = (),
    directory: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Starts ``cnnjax`` with some arguments.

    It ends when this process does, however that ends: it reads a pipe whose other end only this process holds.

    Args:
      arguments: of a ``train``.
      log: what it prints is appended to this file.
      cores: it is pinned to these; none: not pinned.
      directory: where it runs; default: here.
      variables: of its environment, beside this process's.
    """
    # It trains by itself, also where a scheduler has started several of us.
    command = [sys.executable, "-m", "cnnjax", *arguments, "--processes", "1", "--until-stdin-closes"]
    if cores:
        command += ["--cores", ",".join(map(str, cores))]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        # Its own session: Ctrl-C reaches this process alone, which then tells its workers to save and stop.
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,
            cwd=directory,
            env={**os.environ, **(variables or {})},
        )


@dataclasses.dataclass
class Work:
    """What a machine is given to do: plain data until it is called there.

    Attributes:
      arguments: of ``cnnjax``.
      log: see :func:`start`.
      shared: a file of the launcher's, which this machine must see.
      cores: how many it computes with.
      directory: the launcher's, which relative paths in settings are relative to.
      variables: of the launcher's environment.
    """

    arguments: Sequence[str]
    log: pathlib.Path
    shared: pathlib.Path
    cores: int
    directory: str = dataclasses.field(default_factory=os.getcwd)
    variables: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {name: value for name, value in os.environ.items() if name.startswith(_TRAVELLING)}
    )

    def __post_init__(self) -> None:
        self._stopping = self._told = False
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Trains; returns the exit status, see `subprocess.Popen`. SIGTERM and `stop` make it save first.

        Raises:
          UserError: this machine does not see the launcher's files.
        """
        if not self.shared.exists():
            raise errors.UserError(f"{machine.name()} does not see {self.shared}: launchers want a shared file system")
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: self.stop())
        self._wait_for_folders()
        with machine.claimed(self.cores) as cores:
            self._process = start(self.arguments, self.log, cores, self.directory, self.variables)
            return self._watch(self._process)

    def stop(self) -> None:
        """Makes it save and end, or not begin."""
        self._stopping = True

    def checkpoint(self) -> Any:
        """What submitit calls before it puts a job back into the queue: saves, and says that the same is to be done again."""
        from submitit.helpers import DelayedSubmission

        self.stop()
        if self._process:
            self._watch(self._process)
        return DelayedSubmission(dataclasses.replace(self))

    def _wait_for_folders(self) -> None:
        """Until nobody holds the runs of this arm; after :data:`LEASE_S` ``cnnjax train`` says who cannot have them."""
        last = time.monotonic() + LEASE_S
        for file in sorted(self.log.parent.glob("seed-*/.lock")):
            while not self._stopping and time.monotonic() < last:
                with contextlib.suppress(filelock.Timeout), filelock.FileLock(file, timeout=POLL_S):
                    break

    def _watch(self, process: "subprocess.Popen[bytes]") -> int:
        # `checkpoint` interrupts this very loop, possibly inside of `Popen.poll`, which would then know nothing.
        while process.returncode is None and not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if self._stopping and not self._told:
                self._told = True
                process.terminate()
            time.sleep(POLL_S)
        return process.wait()
