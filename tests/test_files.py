"""Files that are whole at every moment."""

import json
import pathlib
import signal
import subprocess
import sys

import pytest

from cnnjax import errors, files


def test_write_makes_folders_and_leaves_nothing_else(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "b" / "file.json"
    files.write_json(path, {"x": [1, 2.5, None]})
    assert json.loads(path.read_text()) == {"x": [1, 2.5, None]}
    assert path.read_text().endswith("}\n")
    assert list(path.parent.iterdir()) == [path]


def test_write_replaces(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "a long old text")
    files.write_text(path, "new")
    assert path.read_text() == "new"


def test_failed_write_keeps_the_old_text(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_value_that_is_not_json_keeps_the_old_text(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    files.write_json(path, 1)
    with pytest.raises(TypeError):
        files.write_json(path, object())
    assert path.read_text() == "1\n"


def test_kill_while_writing_keeps_the_old_text(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old")
    script = (
        "import os, pathlib, signal, sys; from cnnjax import files\n"
        "files.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_text(pathlib.Path(sys.argv[1]), 'new')"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    files.write_text(path, "newer")
    assert path.read_text() == "newer"


def test_lines(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert files.read_lines(path) == []
    rows = [{"step": 1, "x": 0.1}, {"step": 2, "x": 1 / 3}]
    for row in rows:
        files.append_line(path, row)
    assert files.read_lines(path) == rows
    assert path.read_text().count("\n") == 2


@pytest.mark.parametrize("torn", ["{", '{"step": 3', '{"step": 3, "x": 0.'])
def test_torn_last_line_is_left_out(torn: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lines.jsonl"
    files.append_line(path, {"step": 1})
    with path.open("a") as file:
        file.write(torn)
    assert files.read_lines(path) == [{"step": 1}]


@pytest.mark.parametrize(
    "bad", ["", "{", "3", "[]", "null", '{"epoch": 1}', '{"step": "1"}', '{"step": 1.5}', '{"step": true}', "\xff"]
)
def test_bad_line_among_good_ones(bad: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lines.jsonl"
    content = f'{{"step": 1}}\n{bad}\n{{"step": 3}}\n'.encode("latin1")
    path.write_bytes(content)
    with pytest.raises(errors.UserError) as caught:
        files.read_lines(path)
    assert str(caught.value) == f"{path} is damaged: line 2 is no JSON object with an integer step"
    assert path.read_bytes() == content


@pytest.mark.parametrize("last", ["3", "[1]", '{"epoch": 1}'])
def test_last_line_that_is_whole_but_no_row(last: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"step": 1}\n' + last)
    with pytest.raises(errors.UserError, match="line 2 is no JSON object"):
        files.read_lines(path)


def test_error_of_writing_names_the_file(tmp_path: pathlib.Path) -> None:
    """As on a full disk: the system's error for a write has no name in it."""
    script = (
        "import pathlib, resource, sys; from cnnjax import files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for write in (files.write_json, files.append_line):\n"
        "    try: write(pathlib.Path(sys.argv[1]), {'x': 'y' * 2000})\n"
        "    except OSError as error: print(error.filename)"
    )
    path = tmp_path / "file"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path}\n" * 2


def test_a_folder_in_the_files_place_is_named(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError, match=r"/x'$"):
        files.write(tmp_path / "x", b"content")
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
