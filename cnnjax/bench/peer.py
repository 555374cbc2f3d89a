"""Processes that time training steps when they are asked to: one JSON object a line, in and out.

A peer builds its network, warms up, prints ``{"version", "first_s", ...}``, and then answers each ``{"steps": n}`` with
``{"seconds": t}``. So several peers can take turns in one run, and the machine's drift hits them alike.
"""

import json
import os
import pathlib
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from cnnjax import errors


class Peer:
    """A peer process.

    Args:
      name: for messages.
      command: what to run; the request is its last argument.
      request: what to build.
      environment: variables on top of this process's.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        request: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ):
        self.name = name
        self._process = subprocess.Popen(
            [*command, json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.info = self._read()

    def time(self, steps: int) -> float:
        """Seconds that a step takes, on average over ``steps``."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"steps": steps}) + "\n")
        self._process.stdin.flush()
        return float(self._read()["seconds"]) / steps

    def peak_bytes(self) -> int:
        """The most memory that the process has had so far (Linux; elsewhere 0)."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status")
        if not status.exists():
            return 0
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        _, complaint = self._process.communicate()
        last = next((line for line in reversed((complaint or "").splitlines()) if line.strip()), "without a word")
        raise errors.UserError(f"{self.name} ended with status {self._process.returncode}: {last.strip()}")
