"""The loop: what it does when, and how a run ends."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from cnnjax import config as configs
from cnnjax import data, errors, models
from cnnjax.tasks.classification import METRICS
from cnnjax.train import loop
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder

MEASURED = {f"{name}/{metric}" for name in ("train", "test") for metric in METRICS}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_files_of_a_finished_run(undisturbed: RunFolder, program: Program) -> None:
    assert {path.name for path in undisturbed.path.iterdir()} == {
        ".lock", "run.json", "metrics.jsonl", "timing.jsonl", "status.json", "checkpoints", "weights.safetensors",
    }  # fmt: skip
    assert {path.name for path in undisturbed.checkpoints.iterdir()} == {"11", "11.json", "22", "22.json"}
    status = undisturbed.status()
    assert (status["state"], status["outcome"], status["step"], status["steps"]) == ("finished", "completed", 22, 22)
    assert status["parameters"] == program.parameters == 4934
    assert [row["step"] for row in undisturbed.metrics()] == [11, 22]
    last = undisturbed.metrics()[-1]
    assert status["summary"] == {key: last[key] for key in MEASURED}
    np.testing.assert_allclose([row["lr"] for row in undisturbed.metrics()], [0.02, 0.002], rtol=1e-6)


def test_it_learns(program: Program, undisturbed: RunFolder) -> None:
    before = program.evaluate(program.init(0), "train")
    assert undisturbed.status()["summary"]["train/loss"] < before["loss"] - 0.1


def test_summary_is_what_each_example_says_by_itself(program, recipe, undisturbed, restored) -> None:
    """All of preprocessing and summing once more in NumPy, one image at a time."""
    train = data.load("digits", "train")
    images = np.asarray(train.images, np.float64)
    mean = images.mean(0)
    deviation = np.sqrt(((images - mean) ** 2).mean())
    variables = {"params": restored.params, "batch_stats": restored.batch_stats}
    model = models.create(**recipe.model)
    forward = jax.jit(lambda image: model.apply(variables, image[None], train=False)[0][0])
    summary = undisturbed.status()["summary"]
    for name in ("train", "test"):
        some = data.load("digits", name)
        losses, wrong = [], 0
        for image, label in zip(some.images, some.labels, strict=True):
            logits = np.asarray(forward(((image - mean) / deviation).astype(np.float32)), np.float64)
            losses.append(np.log(np.exp(logits - logits.max()).sum()) - (logits[label] - logits.max()))
            wrong += int(logits.argmax() != label)
        assert len(losses) == {"train": 1437, "test": 360}[name]
        assert summary[f"{name}/error"] == wrong / len(losses)
        np.testing.assert_allclose(summary[f"{name}/loss"], np.mean(losses), rtol=1e-5)


@pytest.fixture(scope="module")
def restored(undisturbed: RunFolder, program: Program) -> Any:
    """The final state of the undisturbed run."""
    tree = program.layout.abstract({"state": program.abstract, "sums": jax.eval_shape(program.task.init)})
    with loop.Checkpoints(undisturbed.checkpoints, 9, (), lambda steps: None, pytest.fail) as checkpoints:
        found = checkpoints.restore(tree)
    assert found is not None
    return found[1]["state"]


@pytest.mark.parametrize("size", [7, 1000])
def test_evaluation_is_exact_whatever_its_batch(size: int, recipe, undisturbed, restored) -> None:
    other = Program(configs.override(recipe, {"evaluation.batch_size": size}))
    for name in ("train", "test"):
        found = other.evaluate(restored, name)
        assert found["error"] == undisturbed.status()["summary"][f"{name}/error"]
        np.testing.assert_allclose(found["loss"], undisturbed.status()["summary"][f"{name}/loss"], rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_steps_per_dispatch_change_nothing(steps: int, program, recipe, folder, result, undisturbed) -> None:
    config = configs.override(recipe, {"execution.steps_per_dispatch": steps})
    loop.train(program, config, folder, pytest.fail)
    assert result(folder) == result(undisturbed)


def test_the_devices_are_read_where_something_is_due_and_nowhere_else(program, recipe, folder) -> None:
    """22 steps in dispatches of one: logged at 11 and 22, both sets evaluated there, checked before both saves; the weights."""
    dispatches = configs.override(recipe, {"execution.steps_per_dispatch": 1})
    before = program.fetched
    loop.train(program, dispatches, folder, lambda line: None)
    assert program.fetched - before == 2 * (1 + 2 + 1) + 1


def test_where_and_when_it_is_computed_is_no_part_of_the_metrics(undisturbed: RunFolder) -> None:
    keys = {key for row in undisturbed.metrics() for key in row}
    assert keys == {"step", "epoch", "lr", "batch/loss", "batch/error", *MEASURED}


def test_finished_run_is_left_alone(program, recipe, undisturbed: RunFolder) -> None:
    files = [path for path in undisturbed.path.rglob("*") if path.is_file() and path.name != ".lock"]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    status = loop.train(program, recipe, undisturbed, pytest.fail)
    assert status == undisturbed.status()
    files = [path for path in undisturbed.path.rglob("*") if path.is_file() and path.name != ".lock"]
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files} == before


def test_another_seed_is_another_run(program, recipe, folder, result, undisturbed) -> None:
    other = configs.override(recipe, {"seed": 1})
    with pytest.raises(errors.UserError, match="holds another run: seed = 0 there, 1 here"):
        loop.train(program, other, undisturbed, pytest.fail)
    loop.train(program, other, folder, pytest.fail)
    assert result(folder)["metrics"] != result(undisturbed)["metrics"]


def test_logged_between_evaluations(program, recipe, folder, undisturbed) -> None:
    config = configs.override(recipe, {"evaluation.log": "5 steps", "evaluation.every": "2 epochs"})
    loop.train(program, config, folder, pytest.fail)
    rows = folder.metrics()
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 22]
    assert [row["epoch"] for row in rows] == [round(step / 11, 6) for step in (5, 10, 15, 20, 22)]
    assert [row["step"] for row in rows if "train/error" in row] == [22]
    assert rows[-1]["test/error"] == undisturbed.metrics()[-1]["test/error"]
    steps = np.array([5, 5, 5, 5, 2])
    mean = (steps * [row["batch/loss"] for row in rows]).sum() / 22
    np.testing.assert_allclose(mean, np.mean([row["batch/loss"] for row in undisturbed.metrics()]), rtol=1e-5)


def test_checkpoints_at_named_durations(program, recipe, folder) -> None:
    config = configs.override(
        recipe,
        {
            "execution.checkpoint.at": ("3 steps", "1 epochs"),
            "execution.checkpoint.every": "6 steps",
            "execution.checkpoint.keep": 1,
        },
    )
    loop.train(program, config, folder, pytest.fail)
    assert {int(path.stem) for path in folder.checkpoints.glob("*.json")} == {3, 11, 22}


@pytest.fixture(scope="module")
def exploding(recipe: configs.ConfigDict) -> Program:
    """The first epoch is as usual; then the learning rate is absurd."""
    schedule = {"warmup": "1 epochs", "warmup_learning_rate": 0.02, "learning_rate": 1e30}
    return Program(configs.override(recipe, {f"schedule.{key}": value for key, value in schedule.items()}))


@pytest.mark.parametrize("every", ["1 epochs", "2 steps"])
def test_diverged_run(every: str, exploding: Program, folder: RunFolder, undisturbed: RunFolder) -> None:
    said: list[str] = []
    config = configs.override(exploding.config, {"execution.checkpoint.every": every})
    status = loop.train(exploding, config, folder, said.append)
    assert (status["state"], status["outcome"], status["summary"]) == ("finished", "diverged", {})
    (line,) = said
    assert "is not finite at step" in line
    assert line.endswith("the run ends here as diverged")
    assert [row["step"] for row in folder.metrics()] == [11], "no row of what is not a number"
    assert "NaN" not in (folder.path / "metrics.jsonl").read_text()

    with loop.Checkpoints(folder.checkpoints, 9, (), lambda steps: None, pytest.fail) as checkpoints:
        step, tree = checkpoints.restore(
            exploding.layout.abstract({"state": exploding.abstract, "sums": jax.eval_shape(exploding.task.init)})
        )
    assert 11 <= step < status["step"]
    assert exploding.finite(tree), "the last good checkpoint is kept"

    again = loop.train(exploding, config, folder, pytest.fail)
    assert again == status, "it is a finding, and is not tried again"


def test_failure_is_written_in_the_status(program, recipe, folder, undisturbed, result) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            return getattr(program, name)

        def run(self, state: Any, sums: Any, done: int, count: int, *rest: Any) -> Any:
            if done == 15:
                raise RuntimeError("out of memory\nwith details")
            return program.run(state, sums, done, count, *rest)

    with pytest.raises(RuntimeError):
        loop.train(Broken(), recipe, folder, pytest.fail)  # type: ignore[arg-type]
    status = folder.status()
    assert (status["state"], status["error"]) == ("failed", "out of memory")
    assert loop.train(program, recipe, folder, pytest.fail)["error"] is None
    assert result(folder) == result(undisturbed)


def test_locked_folder(program, recipe, folder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = RunFolder.locked
    monkeypatch.setattr(RunFolder, "locked", lambda self: real(self, wait_s=0.1))
    with real(folder), pytest.raises(errors.UserError, match="is in use by another process"):
        loop.train(program, recipe, folder, pytest.fail)
    assert not (folder.path / "run.json").exists()


@pytest.mark.slow
def test_full_disk(doctored: Callable[..., Any], folder: RunFolder, program, recipe, result, undisturbed) -> None:
    """Files may have 5,000 bytes: those of the run fit, those of a checkpoint do not."""
    lines = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))"
    failed = doctored(folder, lines)
    assert failed.returncode == 2
    where = folder.checkpoints / "11"
    assert failed.stderr == f"cnnjax: error: cannot save the checkpoint {where}: [Errno 27] File too large\n"
    assert folder.status()["state"] == "failed"
    json.loads((folder.path / "run.json").read_text())
    assert not list(folder.checkpoints.iterdir())

    loop.train(program, recipe, folder, pytest.fail)
    assert result(folder) == result(undisturbed)
