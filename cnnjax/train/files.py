"""Files that are whole at every moment."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any


def write_text(path: pathlib.Path, text: str) -> None:
    """Replaces a file's content in one step: a reader, or a kill, finds the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _named(path), temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: pathlib.Path, value: Any) -> None:
    """See :func:`write_text`."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def append_line(path: pathlib.Path, value: dict[str, Any]) -> None:
    """Appends one JSON object as a line, in one write."""
    with _named(path), path.open("a") as file:
        file.write(json.dumps(value) + "\n")


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """The JSON objects of a file of lines. A last line that a kill has cut short is left out."""
    rows = []
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


@contextlib.contextmanager
def _named(path: pathlib.Path) -> Iterator[None]:
    """Adds the file's name to an error of writing it, e.g. on a full disk: the system gives none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
