"""Files that are whole at every moment."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from cnnjax import errors


def write(path: pathlib.Path, content: bytes) -> None:
    """Replaces a file's content in one step: a reader, or a kill, finds the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _named(path):
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """See :func:`write`."""
    write(path, text.encode())


def write_json(path: pathlib.Path, value: Any) -> None:
    """See :func:`write_text`."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def append_line(path: pathlib.Path, value: dict[str, Any]) -> None:
    """Appends one JSON object as a line, in one write."""
    with _named(path), path.open("a") as file:
        file.write(json.dumps(value) + "\n")


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """The rows of a file of lines: JSON objects with an integer ``step``. A last line that a kill has cut short is left out.

    Raises:
      UserError: any other line that is no such row.
    """
    lines, rows = path.read_bytes().splitlines() if path.exists() else [], []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            if number == len(lines):
                break
            row = None
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            raise errors.UserError(f"{path} is damaged: line {number} is no JSON object with an integer step")
        rows.append(row)
    return rows


@contextlib.contextmanager
def _named(path: pathlib.Path) -> Iterator[None]:
    """Gives an error of writing a file its name: on a full disk the system gives none, elsewhere that of a temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
