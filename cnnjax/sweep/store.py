"""The run store: what the runs of an experiment left on disk, as two tables.

A run's folder holds ``run.json`` (what was asked), ``metrics.jsonl`` (what was measured), ``timing.jsonl`` (when) and
``status.json`` (how it went); where a claim is about the trained network, ``measures.json`` too.
A sweep's are ``runs/<experiment>/<scale>/<arm>/seed-<s>``; any other, as ``cnnjax train --run`` makes them, is an arm by
itself, or one with its neighbours if it is called ``seed-<s>``. Reading needs nothing of the run's software: neither JAX nor
the code of the models.
"""

import json
import os
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas

from cnnjax import errors
from cnnjax.sweep import record

SUPERSEDED = "superseded"
_RUN = ["experiment", "scale", "arm", "seed"]
_STATUS = ["state", "outcome", "step", "steps", "seconds", "error", "notes"]
COLUMNS = [*_RUN, *_STATUS, "parameters", "macs", "hash", "measured"]
CURVE_COLUMNS = [*_RUN, "step", "epoch", "seconds", "metric", "value"]
_INTEGERS = ("step", "steps", "parameters", "macs")
_SEED = re.compile(r"seed-(\d+)")
_LAYOUT = "runs/<experiment>/<scale>/<arm>/seed-<s>/run.json, or any folder with a run.json,"


def natural(name: str) -> tuple[Any, ...]:
    """Sort key in which numbers count as numbers.

    >>> sorted(["plain110", "plain20", "lr0.1", "lr0.05"], key=natural)
    ['lr0.05', 'lr0.1', 'plain20', 'plain110']
    """
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return tuple(float(part) if i % 2 else part for i, part in enumerate(parts)), name


def find(path: str | pathlib.Path) -> list[pathlib.Path]:
    """The run folders at or below ``path``, arms in natural order; superseded runs are left out.

    Args:
      path: a folder of runs: all experiments, one experiment, one scale, one arm or one run.

    Raises:
      UserError: there is no such folder, or no run in it.
    """
    root = pathlib.Path(path).resolve()
    if not root.is_dir():
        raise errors.UserError(f"{path}: no such folder of runs; expected {_LAYOUT} or a folder above it")
    runs = [folder for folder in _folders(root) if _is_run(folder)]
    if not runs:
        raise errors.UserError(f"{path}: holds no run; expected {_LAYOUT} and this folder or one above it as the path")
    places = {run: _place(run, root) for run in runs}
    return sorted(runs, key=lambda run: (*map(natural, places[run][:3]), places[run][3]))


def load(path: str | pathlib.Path) -> pandas.DataFrame:
    """One row a run.

    Runs outside of a sweep's folders have no experiment and no scale (empty), and their path below ``path`` is the arm; their
    seed is that of the settings, -1 where it cannot be read.

    The columns are those of ``COLUMNS`` (``measured`` names the measures that were made of the trained network), then the
    metrics of the summary under their own names (``"test/error"``, a fraction), what was measured of the trained network
    beside them (``"responses/deviation"``), then ``config.<dotted key>`` and ``environment.<dotted key>``. A run whose files
    cannot be read is a row with the state ``"unreadable"`` that says why under ``error``.

    Args:
      path: as in `find`.

    Raises:
      UserError: as in `find`.
    """
    root = pathlib.Path(path).resolve()
    rows = [_row(run, root) for run in find(path)]
    metrics = _ordered(row["summary"] for row in rows)
    details = _ordered(row["details"] for row in rows)
    names = [*COLUMNS, *metrics, *sorted(details, key=lambda name: name.split(".", 1)[0])]
    table = {name: [{**row["columns"], **row["summary"], **row["details"]}.get(name) for row in rows] for name in names}
    # A setting that some runs lack keeps its own type: a depth of 20 must not become 20.0 beside a hole.
    frame = pandas.DataFrame({name: _column(values) for name, values in table.items()})
    return frame.astype(dict.fromkeys(_INTEGERS, "Int64") | dict.fromkeys(["seconds", *metrics], "float64"))


def load_curves(path: str | pathlib.Path) -> pandas.DataFrame:
    """Every value of every ``metrics.jsonl`` in long form.

    Returns:
      The columns of ``CURVE_COLUMNS``; runs in the order of `load`, rows as written. ``epoch`` is NaN where a row has
      none, and ``seconds``, those in the training loop until then, where ``timing.jsonl`` has none.

    Raises:
      UserError: as in `find`, a line other than the last of a file cannot be read, or one holds what is no number.
    """
    root = pathlib.Path(path).resolve()
    rows = []
    for run in find(path):
        names = _place(run, root)
        seconds = {row["step"]: row.get("seconds") for row in _measured(run / "timing.jsonl")}
        for measured in _measured(run / "metrics.jsonl"):
            step = measured.pop("step")
            place = (step, measured.pop("epoch", None), seconds.get(step))
            rows += [(*names, *place, metric, value) for metric, value in measured.items()]
    return pandas.DataFrame(rows, columns=CURVE_COLUMNS).astype(
        {"seed": "int64", "step": "int64", "epoch": "float64", "seconds": "float64", "value": "float64"}
    )


def _folders(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Those that may hold runs, each once: links lead to other disks, not around."""
    seen = set()
    for name, below, _ in os.walk(root, followlinks=True):
        folder = pathlib.Path(name)
        if folder.resolve() in seen:
            below.clear()
            continue
        seen.add(folder.resolve())
        kept = [each for each in below if each not in (SUPERSEDED, "checkpoints") and not each.startswith(".")]
        links = [each for each in kept if (folder / each).is_symlink()]
        below[:] = [each for each in kept if each not in links] + links
        yield folder


def _is_run(folder: pathlib.Path) -> bool:
    """A folder that holds only a lock has not begun: it is no run yet."""
    files = ("run.json", "status.json") if _SEED.fullmatch(folder.name) else ("run.json",)
    return SUPERSEDED not in folder.parts[-5:] and any((folder / name).is_file() for name in files)


def _place(run: pathlib.Path, root: pathlib.Path) -> tuple[str, str, str, int]:
    """Experiment, scale, arm and seed."""
    match = _SEED.fullmatch(run.name)
    arm = run.parent if match else run
    if match and (arm.parent / "experiment.json").is_file():
        return arm.parents[1].name, arm.parent.name, arm.name, int(match[1])
    name = arm.relative_to(root).as_posix() if arm != root and arm.is_relative_to(root) else arm.name
    seed = match[1] if match else record.read(run).asked.get("config", {}).get("seed")
    return "", "", name, int(seed) if isinstance(seed, int | str) and str(seed).isdecimal() else -1


def _row(run: pathlib.Path, root: pathlib.Path) -> dict[str, dict[str, Any]]:
    columns = dict(zip(COLUMNS, _place(run, root), strict=False))
    found = record.read(run)
    asked, status = found.asked, found.status
    columns |= {name: status.get(name) for name in _STATUS}
    columns["state"] = columns["state"] or "running"  # it has not said anything yet
    columns["notes"] = tuple(status.get("notes") or ())
    columns |= {"parameters": asked.get("parameters", status.get("parameters")), "macs": status.get("macs")}
    columns["hash"] = found.hash or None
    columns["measured"] = tuple(found.measured)
    sections = ("config", "environment") if columns["state"] != record.UNREADABLE else ()
    details = {name: value for each in sections for name, value in _flatten(asked.get(each) or {}, each)}
    summary = {name: _number(value) for name, value in (status.get("summary") or {}).items()}
    summary |= {
        f"{measure}/{name}": _number(value)
        for measure, values in found.measured.items()
        for name, value in values.items()
    }
    return {"columns": columns, "summary": summary, "details": details}


def _column(values: list[Any]) -> pandas.Series:
    return pandas.Series(values, dtype="object" if any(value is None for value in values) else None)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _flatten(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Dotted leaves. Lists become tuples, which can be compared and grouped by; lists of sections are numbered."""
    if isinstance(value, list):
        if not any(isinstance(item, dict) for item in value):
            yield name, _hashable(value)
            return
        value = {str(i): item for i, item in enumerate(value)}
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{name}.{key}")
    else:
        yield name, value


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _ordered(mappings: Any) -> list[str]:
    """The keys of all mappings, each once, in the order of their first appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _measured(file: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines. A last line that cannot be read was torn when its writer was killed."""
    if not file.is_file():
        return
    lines = file.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            row["step"] = int(row["step"])
        except (ValueError, KeyError, TypeError, OverflowError):
            if number < len(lines):
                raise errors.UserError(f"{file}: line {number} is no JSON object with a step") from None
            return
        for name, value in row.items():
            if not isinstance(value, int | float | None) or (isinstance(value, int) and abs(value) >= 2**63):
                raise errors.UserError(f"{file}: line {number}: {name} is {str(value)[:40]!r}, not a number")
        yield row
