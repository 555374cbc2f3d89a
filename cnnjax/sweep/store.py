"""The run store: what the runs of an experiment left on disk, as two tables.

``runs/<experiment>/<scale>/<arm>/seed-<s>/`` holds ``run.json`` (what was asked), ``metrics.jsonl`` (what was measured)
and ``status.json`` (how it went). Reading needs nothing of the run's software: neither JAX nor the code of the models.
"""

import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas

from cnnjax import errors

SUPERSEDED = "superseded"
_RUN = ["experiment", "scale", "arm", "seed"]
_STATUS = ["state", "outcome", "step", "steps", "seconds", "error"]
COLUMNS = [*_RUN, *_STATUS, "parameters", "hash"]
CURVE_COLUMNS = [*_RUN, "step", "epoch", "metric", "value"]
_INTEGERS = ("step", "steps", "parameters")
_LAYOUT = "runs/<experiment>/<scale>/<arm>/seed-<s>/run.json"


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
    candidates = [root, *(run for depth in range(4) for run in root.glob("*/" * depth + "seed-*"))]
    runs = [run for run in candidates if _is_run(run)]
    if not runs:
        raise errors.UserError(f"{path}: holds no run; expected {_LAYOUT}, and this folder or one above it as the path")
    return sorted(runs, key=lambda run: (*map(natural, _names(run)), _seed(run)))


def load(path: str | pathlib.Path) -> pandas.DataFrame:
    """One row a run.

    The columns are those of ``COLUMNS``, then the metrics of the summary under their own names (``"test/error"``, a
    fraction), then ``config.<dotted key>`` and ``environment.<dotted key>``. A run whose files cannot be read is a row
    with the state ``"unreadable"`` that says why under ``error``.

    Args:
      path: as in `find`.

    Raises:
      UserError: as in `find`.
    """
    rows = [_row(run) for run in find(path)]
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
      none.

    Raises:
      UserError: as in `find`, or a line other than the last of a file cannot be read.
    """
    rows = []
    for run in find(path):
        names = (*_names(run), _seed(run))
        for record in _records(run / "metrics.jsonl"):
            place = (record.pop("step"), record.pop("epoch", None))
            rows += [(*names, *place, metric, value) for metric, value in record.items()]
    return pandas.DataFrame(rows, columns=CURVE_COLUMNS).astype(
        {"seed": "int64", "step": "int64", "epoch": "float64", "value": "float64"}
    )


def _is_run(folder: pathlib.Path) -> bool:
    """A folder that holds only a lock has not begun: it is no run yet."""
    return (
        re.fullmatch(r"seed-\d+", folder.name) is not None
        and SUPERSEDED not in folder.parts[-5:]
        and any((folder / name).is_file() for name in ("run.json", "status.json"))
    )


def _names(run: pathlib.Path) -> tuple[str, str, str]:
    """Experiment, scale and arm."""
    return run.parents[2].name, run.parents[1].name, run.parents[0].name


def _seed(run: pathlib.Path) -> int:
    return int(run.name.removeprefix("seed-"))


def _row(run: pathlib.Path) -> dict[str, dict[str, Any]]:
    columns = dict(zip(COLUMNS, (*_names(run), _seed(run)), strict=False))
    try:
        asked, status = _read(run / "run.json"), _read(run / "status.json")
        flat = {
            name: value
            for section in ("config", "environment")
            for name, value in _flatten(asked.get(section) or {}, section)
        }
        summary = {name: _number(value) for name, value in (status.get("summary") or {}).items()}
        columns |= {name: status.get(name) for name in _STATUS}
        columns["state"] = columns["state"] or "running"  # it has not said anything yet
        columns |= {name: asked.get(name, status.get(name)) for name in ("parameters", "hash")}
    except (OSError, ValueError, TypeError, AttributeError) as problem:
        reason = f"{type(problem).__name__}: {problem}".replace("\n", " ").replace(str(run) + "/", "")
        return {"columns": columns | {"state": "unreadable", "error": reason}, "summary": {}, "details": {}}
    return {"columns": columns, "summary": summary, "details": flat}


def _column(values: list[Any]) -> pandas.Series:
    return pandas.Series(values, dtype="object" if any(value is None for value in values) else None)


def _read(file: pathlib.Path) -> dict[str, Any]:
    """A file that is not there yet, or that a run failed before, is empty."""
    if not file.exists():
        return {}
    content = json.loads(file.read_bytes())
    if not isinstance(content, dict):
        raise ValueError(f"{file.name} is not an object")
    return content


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


def _records(file: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines. A last line that cannot be read was torn when its writer was killed."""
    if not file.is_file():
        return
    lines = file.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            record["step"] = int(record["step"])
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise errors.UserError(f"{file}: line {number} is no JSON object with a step") from None
            return
        yield record
