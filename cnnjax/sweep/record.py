"""What a run wrote of itself, ``run.json`` and ``status.json``, read without trusting it.

Files can be torn by a full disk or changed by hand. Such a run is *unreadable*: not finished, whatever it says.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MEASURED = "measures.json"
"""In a run's folder: what was measured of the trained network, measure by measure; see `cnnjax.sweep.measures`."""
UNREADABLE = "unreadable"
_NUMBER = (int, float)
_LARGEST = 2**63 - 1
"""What a table holds."""
_ASKED = {"config": dict, "environment": dict, "parameters": int, "hash": str}
_STATUS = {
    "state": str,
    "outcome": str,
    "step": int,
    "steps": int,
    "seconds": _NUMBER,
    "examples_per_second": _NUMBER,
    "parameters": int,
    "macs": int,
    "error": str,
    "summary": dict,
    "row": dict,
    "notes": list,
}
_OF_FINISHED = ("outcome", "step", "seconds", "summary")


@dataclasses.dataclass(frozen=True)
class Record:
    """A run's own words.

    Attributes:
      asked: ``run.json``; empty where there is none, or none that can be read.
      status: ``status.json``; where either file is damaged, only a ``state`` and an ``error``.
      measured: :data:`MEASURED`; empty where there is none, or none that can be read: it is made again from the weights.
    """

    asked: Mapping[str, Any]
    status: Mapping[str, Any]
    measured: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def hash(self) -> str:
        """The digest of its settings; empty where it tells none."""
        return self.asked.get("hash", "")

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.status.get("state") == "finished"

    def lacking(self, measures: Sequence[str]) -> list[str]:
        """Which of these are still to be measured. Of a run that has diverged nothing is."""
        completed = self.status.get("outcome") == "completed"
        return [name for name in measures if name not in self.measured] if completed else []


def read(run: pathlib.Path) -> Record:
    """The record of a run's folder. It never fails: what is wrong stands under ``error``."""
    asked, problem = _read(run / "run.json", _check_asked)
    status, other = _read(run / "status.json", _check_status)
    if problem or other:
        return Record(asked, {"state": UNREADABLE, "error": problem or other})
    # A line of a run names its folder, which whoever shows it does himself.
    notes = [note.partition(f"{run.name}: ")[2] or note for note in status.get("notes") or ()]
    measured, _ = _read(run / MEASURED, _check_measured)
    return Record(asked, {**status, "notes": notes} if notes else status, measured)


def _read(file: pathlib.Path, check: Callable[[Mapping[str, Any]], None]) -> tuple[dict[str, Any], str]:
    """The content and what is wrong with it. A file that is not there (yet) is empty, and nothing is wrong."""
    try:
        content = _object(file.read_bytes())
        check(content)
    except FileNotFoundError:
        return {}, ""
    except ValueError as problem:
        return {}, f"{file.name} is damaged: {problem}"
    except OSError as problem:
        return {}, f"{file.name}: {problem.strerror}"
    return content, ""


def _object(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return content


def _check_asked(content: Mapping[str, Any]) -> None:
    _check(content, _ASKED, ("config", "hash"))
    if not re.fullmatch(r"[0-9a-f]{12}", content["hash"]):
        raise ValueError(f"hash is {content['hash']!r}, not twelve hexadecimal digits")


def _check_status(content: Mapping[str, Any]) -> None:
    _check(content, _STATUS, _OF_FINISHED if content.get("state") == "finished" else ())
    for group in ("summary", "row"):
        measured = content.get(group) or {}
        _check(measured, dict.fromkeys(measured, _NUMBER), ())
    if not all(isinstance(note, str) for note in content.get("notes") or ()):
        raise ValueError("notes are not all text")


def _check_measured(content: Mapping[str, Any]) -> None:
    for name, values in content.items():
        if not isinstance(values, dict):
            raise ValueError(f"{name} is {str(values)[:40]!r}")
        _check(values, dict.fromkeys(values, _NUMBER), ())


def _check(content: Mapping[str, Any], kinds: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    for name, kind in kinds.items():
        value = content.get(name)
        if value is None and name in needed:
            raise ValueError(f"{name} is missing")
        too_large = isinstance(value, int) and abs(value) > _LARGEST
        if value is not None and (not isinstance(value, kind) or too_large):
            raise ValueError(f"{name} is {str(value)[:40]!r}")
