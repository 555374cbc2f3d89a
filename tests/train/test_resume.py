"""A run that was stopped or killed, and started again, is bit for bit the run that was not."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from cnnjax import config as configs
from cnnjax import errors, signals
from cnnjax.train import loop
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder

Result = Callable[[RunFolder], dict[str, bytes]]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.mark.parametrize(
    ("at", "every"),
    [
        pytest.param(4, "1 epochs", id="within an epoch"),
        pytest.param(5, "5 steps", id="at a checkpoint"),
        pytest.param(11, "2 epochs", id="at an evaluation, without a checkpoint"),
        pytest.param(11, "1 epochs", id="at an evaluation and a checkpoint"),
        pytest.param(19, "1 epochs", id="within the last epoch"),
    ],
)
def test_stopped_between_two_dispatches(at, every, folder, stop, resume, result: Result, undisturbed) -> None:
    said = stop(folder, at, checkpoint__every=every)
    assert said == [f"{folder.path}: stopped and saved at step {at} of 22"]
    assert folder.status()["state"] == "interrupted"
    assert (folder.checkpoints / f"{at}.json").is_file()

    assert resume(folder, checkpoint__every=every) == []
    assert result(folder) == result(undisturbed)


def test_stopped_after_every_dispatch(folder, stop, resume, result: Result, undisturbed) -> None:
    for at in (4, 8, 11, 15, 19):
        stop(folder, at)
        assert [row["step"] for row in folder.metrics()] == [step for step in (11,) if step <= at]
    resume(folder)
    assert result(folder) == result(undisturbed)


def test_metrics_within_an_epoch_are_kept_in_the_checkpoint(folder, stop, resume, undisturbed) -> None:
    """The row of an epoch covers the steps before the stop too: it is not the row of the rest of the epoch."""
    stop(folder, 4)
    resume(folder)
    assert folder.metrics()[0]["batch/loss"] == undisturbed.metrics()[0]["batch/loss"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_in_the_last_dispatch_it_finishes(
    number, signalled, recipe, folder, result: Result, undisturbed
) -> None:
    with signals.noted() as stopped:
        status = loop.train(signalled(22, number), recipe, folder, lambda line: None, stopped)
    assert status["state"] == "finished"
    assert result(folder) == result(undisturbed)


def test_handlers_of_signals_are_put_back(folder, stop) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stop(folder, 4)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


KILLED = {
    "within an epoch": "kill_at(program.Program, 'run', lambda self, state, sums, done, *_: done == 15)",
    "a row is written, its checkpoint not begun": "kill_at(checkpoint.Checkpoints, 'save', lambda _, step, tree: step == 22)",
    "a checkpoint is being written": "kill_at(checkpoint.Checkpoints, 'save', lambda _, step, tree: step == 22, after=True)",
    "a checkpoint is committed, its manifest not written": "kill_at(files, 'write_json', lambda path, _: path.stem == '22')",
    "a checkpoint is being removed": "kill_at(checkpoint.shutil, 'rmtree', lambda path, *_, **__: path.name == '11.removed')",
    "only the last status is not written": (
        "kill_at(run.RunFolder, 'set_status', lambda self, **fields: fields.get('state') == 'finished')"
    ),
}
QUICK = ("a row is written, its checkpoint not begun", "a checkpoint is committed, its manifest not written")


@pytest.mark.parametrize("moment", [pytest.param(m, marks=() if m in QUICK else pytest.mark.slow) for m in KILLED])
def test_killed(moment, folder, doctored, resume, result: Result, undisturbed) -> None:
    killed = doctored(folder, KILLED[moment], "--config.execution.checkpoint.keep=1")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert folder.status()["state"] == "running"
    if moment == "a checkpoint is committed, its manifest not written":
        assert (folder.checkpoints / "22").is_dir()
    if moment == "a checkpoint is being removed":
        assert (folder.checkpoints / "11.removed").is_dir()
        assert not (folder.checkpoints / "11.json").exists()

    said = resume(folder, checkpoint__keep=1)
    aside = {"22.unfinished"} if moment == "a checkpoint is committed, its manifest not written" else set()
    assert ["has no manifest" in line for line in said] == [True] * len(aside)
    assert result(folder) == result(undisturbed)
    names = {path.name for path in folder.checkpoints.iterdir()}
    assert names == {"22", "22.json", *aside}, "the best step is the last one, too"


DAMAGE: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "bit flipped": (lambda step: _flip(_largest(step)), "the sha256 of"),
    "truncated": (lambda step: os.truncate(_largest(step), 100), "the sha256 of"),
    "file missing": (lambda step: _largest(step).unlink(), "is missing"),
    "folder missing": (lambda step: shutil.rmtree(step), "its folder is missing"),
    "manifest cut short": (lambda step: os.truncate(step.with_suffix(".json"), 100), "its manifest is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_newest_checkpoint_damaged(damage, folder, stop, resume, result: Result, undisturbed) -> None:
    stop(folder, 15)
    harm, words = DAMAGE[damage]
    harm(folder.checkpoints / "15")
    (said,) = resume(folder)
    assert said.startswith("checkpoint 15 is corrupt (")
    assert words in said
    assert "\n" not in said
    assert (folder.checkpoints / "15.corrupt.manifest").is_file()
    assert (folder.checkpoints / "15.corrupt").is_dir() is (damage != "folder missing")
    assert result(folder) == result(undisturbed)


def test_every_checkpoint_damaged_it_begins_again(folder, stop, resume, result: Result, undisturbed) -> None:
    stop(folder, 15)
    for step in ("11", "15"):
        _flip(_largest(folder.checkpoints / step))
    assert len(resume(folder)) == 2
    assert result(folder) == result(undisturbed)


def _largest(folder: pathlib.Path) -> pathlib.Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def _flip(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _command(folder: RunFolder, settings: list[str]) -> list[str]:
    recipe = pathlib.Path(__file__).parents[2] / "configs" / "resnet_cifar_digits.py"
    return [sys.executable, "-m", "cnnjax", "train", str(recipe), "--run", str(folder.path), *settings]


def _wait(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    for _ in range(30000):
        if condition():
            return
        assert process.poll() is None, "the process ended by itself"
        time.sleep(0.01)
    pytest.fail("waited too long")


def _starts(folder: RunFolder) -> bool:
    status = folder.path / "status.json"
    return status.exists() and json.loads(status.read_text())["state"] == "running"


def test_command_told_to_stop(folder, tiny_settings, resume, result: Result, undisturbed) -> None:
    """SIGTERM comes while the program is being compiled: one dispatch is done and saved."""
    with subprocess.Popen(_command(folder, tiny_settings), stdout=subprocess.PIPE, text=True) as process:
        _wait(lambda: _starts(folder), process)
        process.terminate()
        output = process.communicate()[0]
    assert process.returncode == signals.EXIT_INTERRUPTED == 75
    assert "stopped and saved at step 4 of 22" in output
    assert folder.status()["state"] == "interrupted"
    assert resume(folder) == []
    assert result(folder) == result(undisturbed)


@pytest.mark.slow
def test_command_killed_three_times(folder, tiny_settings, result: Result, undisturbed) -> None:
    command = _command(folder, tiny_settings)
    moments = (
        lambda: _starts(folder),
        lambda: folder.metrics(),
        lambda: (folder.checkpoints / "11.json").exists(),
    )
    for moment in moments:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            _wait(moment, process)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "completed at step 22" in finished.stdout
    assert "bit-exact" not in finished.stdout
    assert result(folder) == result(undisturbed)


def test_another_environment_is_said(folder, stop, resume) -> None:
    stop(folder, 4)
    file = folder.path / "run.json"
    record = json.loads(file.read_text())
    record["environment"]["cores"] += 1
    record["environment"]["packages"]["jax"] = "0.0.1"
    file.write_text(json.dumps(record))
    (said,) = resume(folder)
    assert "not bit-exact" in said
    assert f"cores: {record['environment']['cores']} -> " in said
    assert "jax: 0.0.1 -> " in said
    assert "jaxlib" not in said
    assert json.loads(file.read_text())["resumed_from"]["packages"]["jax"] == "0.0.1"


def test_other_steps_per_dispatch_are_said(folder, stop, resume) -> None:
    stop(folder, 4)
    (said,) = resume(folder, steps_per_dispatch=50)
    assert "not bit-exact (steps_per_dispatch: 4 -> 50)" in said


def test_another_models_checkpoints(program: Program, recipe, folder, stop, undisturbed) -> None:
    wide = configs.override(recipe, {"model.width": 8})
    shutil.copytree(undisturbed.checkpoints, folder.checkpoints)
    shutil.copy(undisturbed.path / "run.json", folder.path)
    record = json.loads((folder.path / "run.json").read_text())
    (folder.path / "run.json").write_text(json.dumps({**record, "hash": configs.digest(wide)}))
    before = {path: path.read_bytes() for path in folder.checkpoints.rglob("*") if path.is_file()}
    with pytest.raises(errors.UserError, match="is a checkpoint of another model: it has") as caught:
        loop.train(Program(wide), wide, folder, pytest.fail)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in folder.checkpoints.rglob("*") if path.is_file()} == before
    assert folder.status()["state"] == "failed"


def test_told_to_stop_in_the_last_dispatch_of_a_seed_the_next_is_not_begun(tmp_path, tiny_settings) -> None:
    """And typed again, the command goes on with it."""
    script = """
import os, signal, sys
from cnnjax import cli
from cnnjax.train import loop
real = loop.train
def train(*arguments):
    status = real(*arguments)
    os.kill(os.getpid(), signal.SIGTERM)
    return status
loop.train = train
sys.exit(cli.main(sys.argv[1:]))
"""
    recipe = pathlib.Path(__file__).parents[2] / "configs" / "resnet_cifar_digits.py"
    command = ["train", str(recipe), "--run", str(tmp_path), "--seeds", "0-2", *tiny_settings]
    stopped = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True)
    assert stopped.returncode == signals.EXIT_INTERRUPTED, stopped.stderr
    assert sorted(path.name for path in tmp_path.glob("seed-*")) == ["seed-0"]
    assert RunFolder(tmp_path / "seed-0").status()["state"] == "finished"


def test_what_concerns_the_result_is_kept_with_it(folder, stop, resume) -> None:
    stop(folder, 4)
    file = folder.path / "run.json"
    record = json.loads(file.read_text())
    record["environment"]["arithmetic"]["matmul_precision"] = "bfloat16"
    file.write_text(json.dumps(record))
    (said,) = resume(folder)
    assert "not bit-exact (matmul_precision: bfloat16 -> None)" in said
    assert folder.status()["notes"] == [said]
