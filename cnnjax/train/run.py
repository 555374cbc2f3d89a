"""The folder of one run, and what is written in it.

``run.json`` (settings, their digest, environment), ``metrics.jsonl`` (what was computed, the same bytes whenever the run is
repeated), ``timing.jsonl`` (how long it took), ``checkpoints/``, ``status.json`` (how far it is, how it ended).
"""

import contextlib
import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import filelock

from cnnjax import config as configs
from cnnjax import errors, files
from cnnjax.interop import weights

EXACT = (
    "packages",
    "machine",
    "device",
    "device_count",
    "processes",
    "shard_optimizer",
    "stream",
    "cores",
    "parallel",
    "steps_per_dispatch",
    "arithmetic",
    "convolution",
    "compiler",
    "data",
)
"""What must be the same for a resumed run to be bit-identical to an uninterrupted one."""

_LATER = {"processes": 1, "shard_optimizer": False, "stream": False}
"""What was not recorded at first, and what it was then."""

_RECORD = {"config": dict, "hash": str, "environment": dict}
_FINISHED = {"outcome": str, "step": int, "seconds": int | float, "summary": dict}
_STATUS = {"state": str | None, "step": int | None, "seconds": int | float | None, "notes": list | None}


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """A run on disk.

    Attributes:
      path: the folder.
    """

    path: pathlib.Path

    @property
    def checkpoints(self) -> pathlib.Path:
        """Where checkpoints go."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> pathlib.Path:
        """The network's, once the run is finished; see `cnnjax.interop.weights`."""
        return self.path / weights.NAME

    @contextlib.contextmanager
    def locked(self, wait_s: float = 5.0) -> Iterator[None]:
        """Holds the run's folder, see :func:`folder_lock`."""
        with folder_lock(self.path, f"{self.path} is in use by another process", wait_s):
            yield

    def open(self, config: configs.ConfigDict, environment: dict[str, Any], say: Callable[[str], None]) -> None:
        """Writes ``run.json``, or checks that the folder is this run's.

        Raises:
          UserError: the folder holds another run, or something else.
        """
        file = self.path / "run.json"
        if not file.exists():
            # A sweep may have written down already why it failed.
            if any(path.name != "status.json" for path in self.path.glob("[!.]*")):
                raise errors.UserError(f"{self.path} is not empty and holds no run; name a new folder")
            record = {
                "config": json.loads(config.to_json()),
                "hash": configs.digest(config),
                "environment": environment,
            }
            files.write_json(file, record)
            return
        if self.recorded_hash() != configs.digest(config):
            found = read_json(file, _RECORD)["config"]
            raise errors.UserError(f"{self.path} holds another run: {_difference(found, config)}")
        record = read_json(file, _RECORD)
        before = {**_LATER, **record["environment"]}
        changed = [key for key in EXACT if before.get(key) != environment[key]]
        if changed and self.status().get("state") != "finished":
            what = "; ".join(_change(key, before.get(key), environment[key]) for key in changed)
            say(f"{self.path}: resumed in another environment, not bit-exact ({what})")
            files.write_json(file, {**record, "environment": environment, "resumed_from": before})

    def recorded_hash(self) -> str | None:
        """The digest of the settings that this run was made with; ``None`` where nothing has been run.

        Raises:
          UserError: ``run.json`` is damaged.
        """
        file = self.path / "run.json"
        if not file.exists():
            return None
        digest = read_json(file, _RECORD)["hash"]
        if not re.fullmatch(r"[0-9a-f]{12}", digest):
            raise errors.UserError(f"{file} is damaged: its hash is 12 hexadecimal digits, not {digest!r}")
        return digest

    def config(self) -> configs.ConfigDict:
        """The settings that this run was made with.

        Raises:
          UserError: there is no run, or ``run.json`` is damaged.
        """
        file = self.path / "run.json"
        if not file.exists():
            raise errors.UserError(f"there is no run in {self.path}")
        return configs.stored(read_json(file, _RECORD)["config"])

    def status(self) -> dict[str, Any]:
        """The content of ``status.json``; empty before the first.

        Raises:
          UserError: it is damaged, or says that the run is finished and not how.
        """
        file = self.path / "status.json"
        if not file.exists():
            return {}
        status = read_json(file, _STATUS)
        if status.get("state") == "finished":
            _check(file, status, _FINISHED)
            _check(file, status["summary"], dict.fromkeys(status["summary"], int | float))
        return status

    def set_status(self, **fields: Any) -> None:
        """Replaces fields of ``status.json``."""
        files.write_json(self.path / "status.json", {**self.status(), **fields})

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of ``metrics.jsonl``."""
        return files.read_lines(self.path / "metrics.jsonl")

    def add_metrics(self, row: dict[str, Any]) -> None:
        """Appends a row to ``metrics.jsonl``."""
        files.append_line(self.path / "metrics.jsonl", row)

    def add_timing(self, row: dict[str, Any]) -> None:
        """Appends a row to ``timing.jsonl``."""
        files.append_line(self.path / "timing.jsonl", row)

    def cut(self, step: int) -> None:
        """Removes what was recorded after ``step``, which is about to be done again."""
        found = [file for name in ("metrics.jsonl", "timing.jsonl") if (file := self.path / name).exists()]
        # All are read before one is written: a damaged file is left as it is, and so is what belongs to it.
        for file, rows in [(file, files.read_lines(file)) for file in found]:
            files.write_text(file, "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= step))

    def best(self, metric: str, steps: list[int]) -> int | None:
        """The first of ``steps`` at which a metric was lowest, by ``metrics.jsonl``."""
        values = {row["step"]: row[metric] for row in self.metrics() if metric in row and row["step"] in steps}
        return min(values, key=lambda step: (values[step], step)) if values else None


class Follower(RunFolder):
    """A run's folder to a process that is not the first one: that one keeps the records."""

    @contextlib.contextmanager
    def locked(self, wait_s: float = 5.0) -> Iterator[None]:
        """Process 0 holds the folder."""
        yield

    def status(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def set_status(self, **fields: Any) -> None:
        """Does nothing."""

    def metrics(self) -> list[dict[str, Any]]:
        """Nothing."""
        return []

    def add_metrics(self, row: dict[str, Any]) -> None:
        """Does nothing."""

    def add_timing(self, row: dict[str, Any]) -> None:
        """Does nothing."""

    def cut(self, step: int) -> None:
        """Does nothing."""


def read_json(file: pathlib.Path, kinds: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A JSON object from a file.

    Args:
      file: there is one.
      kinds: field → type that it has; a field that may be missing has a type that allows ``None``.

    Raises:
      UserError: it is no JSON object, or a field is missing or of another type.
    """
    try:
        value = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise errors.UserError(f"{file} is damaged: it is not a JSON object")
    _check(file, value, kinds or {})
    return value


@contextlib.contextmanager
def folder_lock(folder: pathlib.Path, message: str, wait_s: float = 5.0) -> Iterator[None]:
    """Holds a folder; a `UserError` with ``message`` where another process holds it for longer than ``wait_s``.

    The kernel lets go of it when the process dies. The wait is for a process that is just being killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=wait_s)
    except filelock.Timeout:
        raise errors.UserError(message) from None
    try:
        yield
    finally:
        lock.release()


def _check(file: pathlib.Path, fields: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    for name, kind in kinds.items():
        if not isinstance(fields.get(name), kind):
            expected = getattr(kind, "__name__", str(kind))
            raise errors.UserError(f"{file} is damaged: {name} is of type {expected}, not {fields.get(name)!r}")


def _difference(have: dict[str, Any], want: configs.ConfigDict) -> str:
    found, expected = configs.flatten(have), configs.flatten(json.loads(want.to_json()))
    keys = [
        key for key in {**found, **expected} if not key.startswith("execution.") and found.get(key) != expected.get(key)
    ]
    shown = [f"{key} = {found.get(key)!r} there, {expected.get(key)!r} here" for key in keys[:3]]
    return "; ".join(shown) + (f"; and {len(keys) - 3} more" if len(keys) > 3 else "")


def _change(name: str, before: Any, after: Any) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
        return "; ".join(_change(key, before.get(key), after.get(key)) for key in keys)
    return f"{name}: {before} -> {after}"
