"""Processes that time training steps when they are asked to: one JSON object a line, in and out.

A peer builds its network, warms up, prints ``{"version", "parameters", ...}``, and then answers each ``{"steps": n}`` with
``{"seconds": t}``; ours answers ``{"compile": true}`` too. So several peers can take turns in one run, and the machine's
drift hits them alike.
"""

import contextlib
import json
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

from cnnjax import errors

SETTLE_S = 0.3
"""Between two turns: threads that wait actively for their next work let go of the cores in the meantime."""
TURN_S = 0.5
"""A turn of steps is about as long, so that the clock and the caches' first misses do not count."""

Name = TypeVar("Name", bound=Hashable)


def take_turns(peers: Mapping[Name, "Peer"], turns: int, turn_s: float = TURN_S) -> dict[Name, list[float]]:
    """Seconds a step of each peer and turn, which lasts about ``turn_s``: A B C A B C ..."""
    steps = {name: max(1, round(turn_s / peer.time(2))) for name, peer in peers.items()}
    times: dict[Name, list[float]] = {name: [] for name in peers}
    for _ in range(turns):
        for name, peer in peers.items():
            time.sleep(SETTLE_S)
            times[name].append(peer.time(steps[name]))
    return times


class Peer:
    """A peer process.

    Args:
      name: for messages.
      command: what to run; the request is its last argument.
      request: what to build.

    Raises:
      UserError: it does not run.
    """

    def __init__(self, name: str, command: Sequence[str], request: Mapping[str, Any]):
        self.name = name
        with contextlib.ExitStack() as opened:
            # A file, not a pipe: nobody reads it while the peer works, and a full pipe would stop it.
            self._complaints = opened.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
            try:
                self._process = subprocess.Popen(
                    [*command, json.dumps(request)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._complaints,
                    text=True,
                )
            except OSError as error:
                raise errors.UserError(f"{name}: {command[0]} cannot be run: {error.strerror}") from error
            opened.callback(self._kill)
            self.info = self._read()
            self._opened = opened.pop_all()

    def time(self, steps: int) -> float:
        """Seconds that a step takes, on average over ``steps``."""
        return self._ask({"steps": steps}) / steps

    def compile(self) -> float:
        """Seconds that it takes to trace, lower and compile the step once more; only cnnjax's own peer answers."""
        return self._ask({"compile": True})

    def _ask(self, what: Mapping[str, Any]) -> float:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended; what it said is read
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        return float(self._read()["seconds"])

    def peak_bytes(self) -> int:
        """The most memory that the process has had so far (Linux; elsewhere 0)."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status")
        if not status.exists():
            return 0
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        """Ends it."""
        self._opened.close()

    def _kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # what else it, or a library of its, says
                if isinstance(said := json.loads(line), dict):
                    return said
        self._process.wait()
        self._complaints.seek(0)
        last = next((line for line in reversed(self._complaints.readlines()) if line.strip()), "without a word")
        raise errors.UserError(f"{self.name} ended with status {self._process.returncode}: {last.strip()}")
