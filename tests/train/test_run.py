"""The folder of a run: whose it is, what is in it, and who may write there."""

import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cnnjax import config as configs
from cnnjax import errors, files
from cnnjax.train.run import EXACT, RunFolder, folder_lock, read_json

ENVIRONMENT: dict[str, Any] = {**dict.fromkeys(EXACT, 1), "packages": {"jax": "1"}, "commit": "abc"}
FINISHED = {"state": "finished", "outcome": "completed", "step": 22, "seconds": 1.5, "summary": {"test/error": 0.5}}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def holder(folder: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder's lock."""
    script = "import sys, pathlib; from cnnjax.train.run import RunFolder\n"
    script += "with RunFolder(pathlib.Path(sys.argv[1])).locked(): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_second_process_is_kept_out_until_the_first_is_killed(folder: RunFolder, holder) -> None:
    with pytest.raises(errors.UserError) as caught, folder.locked(wait_s=0.1):
        pytest.fail("two processes hold one folder")
    assert str(caught.value) == f"{folder.path} is in use by another process"
    holder.kill()
    holder.wait()
    with folder.locked(wait_s=0.1):
        pass


def test_lock_is_released_after_an_error(folder: RunFolder) -> None:
    with pytest.raises(ZeroDivisionError), folder_lock(folder.path, "in use"):
        raise ZeroDivisionError
    with folder_lock(folder.path, "in use", wait_s=0.1):
        pass


def test_opened_it_says_what_was_asked(folder: RunFolder, tiny) -> None:
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    record = read_json(folder.path / "run.json")
    assert record["config"]["model"]["depth"] == 8
    assert record["config"]["schedule"]["boundaries"] == ["1 epochs"]
    assert record["hash"] == configs.digest(tiny)
    assert record["environment"] == ENVIRONMENT


def test_opened_again_nothing_is_said_or_written(folder: RunFolder, tiny) -> None:
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    before = (folder.path / "run.json").read_bytes()
    folder.open(configs.override(tiny, {"execution.devices": 4}), {**ENVIRONMENT, "commit": "other"}, pytest.fail)
    assert (folder.path / "run.json").read_bytes() == before


def test_another_run_is_told_by_the_setting_that_differs(folder: RunFolder, tiny) -> None:
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    before = (folder.path / "run.json").read_bytes()
    other = configs.override(tiny, {"model.depth": 14, "execution.devices": 4})
    with pytest.raises(errors.UserError) as caught:
        folder.open(other, ENVIRONMENT, pytest.fail)
    assert str(caught.value) == f"{folder.path} holds another run: model.depth = 8 there, 14 here"
    assert (folder.path / "run.json").read_bytes() == before


def test_many_differences_are_counted(folder: RunFolder, tiny) -> None:
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    other = configs.override(tiny, {"model.depth": 14, "model.width": 8, "seed": 3, "batch_size": 64, "task.pad": 0})
    with pytest.raises(errors.UserError, match=r"batch_size = 128 there, 64 here; .*; and 2 more$"):
        folder.open(other, ENVIRONMENT, pytest.fail)


def test_folder_with_something_else_in_it_is_left_alone(folder: RunFolder, tiny) -> None:
    folder.path.mkdir()
    (folder.path / "thesis.tex").write_text("years of work")
    with pytest.raises(errors.UserError, match="is not empty and holds no run"):
        folder.open(tiny, ENVIRONMENT, pytest.fail)
    assert [path.name for path in folder.path.iterdir()] == ["thesis.tex"]


def test_folder_of_a_run_that_failed_before_it_began_is_taken(folder: RunFolder, tiny) -> None:
    folder.set_status(state="failed", error="no such thing")
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    assert folder.recorded_hash() == configs.digest(tiny)


def test_folder_in_which_a_run_died_at_birth_is_taken(folder: RunFolder, tiny) -> None:
    folder.path.mkdir()
    (folder.path / ".lock").touch()
    (folder.path / ".run.json.123.tmp").write_text("{")
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    assert (folder.path / "run.json").is_file()


@pytest.mark.parametrize("key", EXACT)
def test_environment_that_matters(key: str, folder: RunFolder, tiny) -> None:
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    said: list[str] = []
    changed = {"jax": "2"} if key == "packages" else 2
    folder.open(tiny, {**ENVIRONMENT, key: changed}, said.append)
    what = "jax" if key == "packages" else key
    assert said == [f"{folder.path}: resumed in another environment, not bit-exact ({what}: 1 -> 2)"]
    record = read_json(folder.path / "run.json")
    assert record["environment"][key] == changed
    assert record["resumed_from"] == ENVIRONMENT


def test_finished_run_is_not_said_to_be_resumed(folder: RunFolder, tiny) -> None:
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    folder.set_status(**FINISHED)
    folder.open(tiny, {**ENVIRONMENT, "cores": 2}, pytest.fail)
    assert read_json(folder.path / "run.json")["environment"] == ENVIRONMENT


def test_status_fields_are_replaced_one_by_one(folder: RunFolder) -> None:
    assert folder.status() == {}
    folder.set_status(state="running", step=1)
    folder.set_status(step=2)
    assert folder.status() == {"state": "running", "step": 2}


def test_status_is_never_half_written(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.set_status(state="running")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        folder.set_status(state="finished", summary={"x": "y" * 10000})
    assert folder.status() == {"state": "running"}
    assert [path.name for path in folder.path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("name", ["status.json", "run.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"text"', b"\xff\xfe", b"\x00" * 9])
def test_damaged_file_is_named(content: bytes, name: str, folder: RunFolder) -> None:
    folder.path.mkdir()
    (folder.path / name).write_bytes(content)
    with pytest.raises(errors.UserError, match=rf"{re.escape(name)} is damaged: it is not a JSON object$"):
        (folder.status if name == "status.json" else folder.recorded_hash)()


@pytest.mark.parametrize(
    "wrong",
    [{"state": 3}, {"seconds": "long"}, {"step": "22"}, {"notes": "one"}]
    + [{"state": "finished", name: None} for name in ("summary", "seconds", "outcome", "step")]
    + [{"state": "finished", "summary": []}, {"state": "finished", "summary": {"test/error": "small"}}],
    ids=str,
)
def test_status_with_a_field_that_is_wrong(wrong: dict[str, Any], folder: RunFolder) -> None:
    for state in ("running", "finished"):
        files.write_json(folder.path / "status.json", {**FINISHED, "state": state})
        assert folder.status()["state"] == state
    files.write_json(folder.path / "status.json", {**FINISHED, "state": "running", **wrong})
    with pytest.raises(errors.UserError, match=rf"status\.json is damaged: ({[*wrong][-1]}|test/error) is of type"):
        folder.status()


@pytest.mark.parametrize(
    "wrong",
    [{"hash": None}, {"hash": "../../home"}, {"hash": "0123456789AB"}, {"config": 3}, {"environment": []}],
    ids=str,
)
def test_record_with_a_field_that_is_wrong(wrong: dict[str, Any], folder: RunFolder, tiny) -> None:
    assert folder.recorded_hash() is None
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    assert folder.recorded_hash() == configs.digest(tiny)
    file = folder.path / "run.json"
    files.write_json(file, {**read_json(file), **wrong})
    before = file.read_bytes()
    for call in (folder.recorded_hash, lambda: folder.open(tiny, ENVIRONMENT, pytest.fail)):
        with pytest.raises(errors.UserError, match=rf"run\.json is damaged: .*{next(iter(wrong))} is"):
            call()
    assert file.read_bytes() == before


def test_cut_removes_what_comes_after_a_step(folder: RunFolder) -> None:
    folder.path.mkdir()
    for step in (5, 10, 15):
        folder.add_metrics({"step": step, "lr": 0.1 + step})
        folder.add_timing({"step": step, "seconds": 1.5})
    before = (folder.path / "metrics.jsonl").read_text().splitlines(keepends=True)
    folder.cut(10)
    assert (folder.path / "metrics.jsonl").read_text() == "".join(before[:2])
    assert len(files.read_lines(folder.path / "timing.jsonl")) == 2


def test_cut_removes_a_torn_line(folder: RunFolder) -> None:
    folder.path.mkdir()
    folder.add_metrics({"step": 5, "lr": 0.1})
    whole = (folder.path / "metrics.jsonl").read_text()
    (folder.path / "metrics.jsonl").write_text(whole + '{"step": 10, "l')
    assert [row["step"] for row in folder.metrics()] == [5]
    folder.cut(10)
    assert (folder.path / "metrics.jsonl").read_text() == whole


@pytest.mark.parametrize("damaged", ["metrics.jsonl", "timing.jsonl"])
def test_cut_of_a_damaged_file_changes_nothing(damaged: str, folder: RunFolder) -> None:
    folder.path.mkdir()
    for step in (5, 10, 15):
        folder.add_metrics({"step": step})
        folder.add_timing({"step": step})
    file = folder.path / damaged
    file.write_text(file.read_text().replace("10", "1o"))
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    with pytest.raises(errors.UserError, match=rf"{re.escape(damaged)} is damaged: line 2 "):
        folder.cut(5)
    assert {path: path.read_bytes() for path in folder.path.iterdir()} == before


def test_cut_of_nothing(folder: RunFolder) -> None:
    folder.path.mkdir()
    folder.cut(0)
    assert list(folder.path.iterdir()) == []


def test_best_is_the_first_lowest_of_the_given_steps(folder: RunFolder) -> None:
    folder.path.mkdir()
    for step, error in ((5, 0.1), (10, 0.3), (15, 0.2), (20, 0.2)):
        folder.add_metrics({"step": step, "test/error": error})
    folder.add_metrics({"step": 25, "batch/error": 0.0})
    assert folder.best("test/error", [5, 10, 15, 20, 25]) == 5
    assert folder.best("test/error", [10, 15, 20, 25]) == 15
    assert folder.best("test/error", [25]) is None
    assert folder.best("test/loss", [5, 10]) is None


def test_record_is_readable_by_anyone(folder: RunFolder, tiny) -> None:
    folder.open(tiny, ENVIRONMENT, pytest.fail)
    assert json.loads((folder.path / "run.json").read_text())["config"]["dataset"]["name"] == "digits"
