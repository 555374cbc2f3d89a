"""Training from streams: the results of a resident set, on any number of devices, stopped and resumed; files of any size."""

import json
import multiprocessing
import os
import pathlib
import signal
import time
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from cnnjax import cli, data, errors
from cnnjax import config as configs
from cnnjax.bench import input as files
from cnnjax.data import stream
from cnnjax.evaluate import evaluation, subject
from cnnjax.train import loop
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
COUNT = 24
DAMAGED = "0/4.jpg"


@pytest.fixture(scope="module")
def streamed(recipe: configs.ConfigDict) -> configs.ConfigDict:
    return configs.override(recipe, {"execution.stream": True})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A data_dir with ``pictures``: JPEG files of two sizes in two classes, a third of them to test on; one ends too early."""
    root = tmp_path_factory.mktemp("pictures")
    files.write(root / "files", COUNT)
    for number in range(0, COUNT, 3):
        file = root / "files" / str(number % 2) / f"{number}.jpg"
        with Image.open(file) as opened:
            part = opened.crop((0, 0, 200, 300))
        part.save(file, quality=95)
    damaged = root / "files" / DAMAGED
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    data.prepare_folder("pictures", root / "files", 0, (33, 0, 67), root / "sets")
    return root / "sets"


@pytest.fixture(scope="module")
def of_files(pictures: pathlib.Path) -> configs.ConfigDict:
    """AlexNet's little relative on 32×32 parts of the pictures, four steps."""
    settings = {
        "dataset.name": "pictures",
        "dataset.side": 0,
        "task.pad": 0,
        "task.crop": 32,
        "task.flip": True,
        "task.area": (0.2, 1.0),
        "task.aspect": (0.75, 1.333),
        "batch_size": 8,
        "duration": "4 steps",
        "evaluation.batch_size": 8,
        "evaluation.every": "2 steps",
        "evaluation.log": "1 steps",
        "execution.stream": True,
        "execution.devices": 1,
        "execution.data_dir": str(pictures),
        "execution.checkpoint.every": "2 steps",
        "schedule.boundaries": (),
    }
    return configs.override(configs.load(CONFIGS / "cifarnet_digits.py"), settings)


def trained(config: configs.ConfigDict, folder: RunFolder) -> list[dict[str, Any]]:
    loop.train(Program(config), config, folder, lambda line: None)
    return folder.metrics()


def test_a_streamed_set_trains_as_the_resident_one(
    streamed: configs.ConfigDict, undisturbed: RunFolder, tmp_path: pathlib.Path
) -> None:
    """To the last bit of what is recorded, losses and errors of both sets; and no step waited for nothing."""
    found = trained(streamed, RunFolder(tmp_path / "run"))
    assert found == undisturbed.metrics()
    assert any("test/error" in row for row in found)


def both(folder: pathlib.Path, recipe: str, **settings: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is recorded of a streamed run of a small network, and of a resident one."""
    small = {"batch_size": 64, "evaluation.batch_size": 128, "evaluation.log": "2 steps", "evaluation.every": "4 steps"}
    changed = {**small, **{key.replace("__", "."): value for key, value in settings.items()}}
    config = configs.override(configs.load(CONFIGS / recipe), changed)
    streams = configs.override(config, {"execution.stream": True})
    return trained(streams, RunFolder(folder / "streamed")), trained(config, RunFolder(folder / "resident"))


def test_some_classes_and_wrong_labels_stream_as_they_lie_on_devices(tmp_path: pathlib.Path) -> None:
    """To the last bit; labels are kept beside the set, and read again they are the same."""
    settings = {"dataset__classes": (7, 2, 4), "dataset__wrong_labels": 0.25, "execution__devices": 1}
    found, expected = both(tmp_path, "mlp_digits.py", duration="8 steps", **settings)
    assert found == expected
    examples = stream.Examples("digits", "train[30%:]+test[:10]").only((7, 2))
    resident = data.load("digits", "train[30%:]+test[:10]").only((7, 2))
    np.testing.assert_array_equal(examples.as_arrays().labels, resident.labels)
    np.testing.assert_array_equal(examples.as_arrays().images[:], resident.images)


def assert_close(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Up to the order of sums."""
    for row, other in zip(found, expected, strict=True):
        np.testing.assert_allclose([row[key] for key in other], list(other.values()), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("mapping", ["jit", "pmap"])
def test_on_devices(mapping: str, tmp_path: pathlib.Path) -> None:
    """What a resident set gives under the same mapping."""
    found, expected = both(
        tmp_path, "mlp_digits.py", execution__parallel=mapping, execution__devices=8, duration="8 steps"
    )
    assert len(found) == 4
    assert_close(found, expected)


def test_sharded_optimizers_and_pieces_stream_too(tmp_path: pathlib.Path) -> None:
    devices = {"execution__devices": 4, "execution__shard_optimizer": True, "execution__accumulate": 2}
    small = {"model__depth": 8, "model__width": 2, "model__bn_group": 8, "duration": "4 steps"}
    found, expected = both(tmp_path, "resnet_cifar_digits.py", **devices, **small, optimizer__kind="adam")
    assert len(found) == 2
    assert_close(found, expected)


def test_stopped_and_resumed(of_files: configs.ConfigDict, tmp_path: pathlib.Path) -> None:
    """Files of two sizes, cropped at random: stopped after two steps, the next two are those of an undisturbed run."""
    undisturbed = trained(of_files, RunFolder(tmp_path / "undisturbed"))
    folder = RunFolder(tmp_path / "stopped")
    asked, program = configs.override(of_files, {"execution.steps_per_dispatch": 2}), Program(of_files)
    with pytest.raises(loop.Interrupted):
        loop.train(program, asked, folder, lambda line: None, stopped=lambda: 1)
    assert [row["step"] for row in folder.metrics()] == [1]
    assert trained(of_files, folder) == undisturbed
    assert len({row["batch/loss"] for row in undisturbed}) == 4


def test_readers_change_nothing(of_files: configs.ConfigDict, tmp_path: pathlib.Path) -> None:
    """A process that reads, and threads."""
    config = configs.override(of_files, {"duration": "2 steps"})
    threads = trained(config, RunFolder(tmp_path / "threads"))
    assert trained(configs.override(config, {"execution.readers": 1}), RunFolder(tmp_path / "process")) == threads


def test_damaged_images_are_named_in_the_run(of_files: configs.ConfigDict, tmp_path: pathlib.Path) -> None:
    folder, said = RunFolder(tmp_path / "run"), list[str]()
    loop.train(Program(of_files, said.append), of_files, folder, said.append)
    notes = [note for note in folder.status()["notes"] if note.startswith("skipped")]
    assert len(notes) == 1
    assert f"({DAMAGED})" in notes[0]
    assert set(notes) <= set(said)


def test_a_run_on_files_is_evaluated(of_files: configs.ConfigDict, tmp_path: pathlib.Path) -> None:
    """By crops of the middle squares: the centre, of the same part as during training, is what training has found."""
    folder = RunFolder(tmp_path / "run")
    settings = {"duration": "40 steps", "evaluation.every": "40 steps", "dataset.classes": (1, 0)}
    rows = trained(configs.override(of_files, settings), folder)
    centre = evaluation.evaluate([subject.read(folder.path)], "whole")
    assert subject.read(folder.path).examples.class_names == ("1", "0")
    for split, count in (("test", 8), ("train", COUNT - 8)):
        found = evaluation.evaluate([subject.read(folder.path, split=split)], "whole")
        damaged = [line for line in found.notes if DAMAGED in line]
        assert found.how["examples"] == count - len(damaged)
        assert (found.labels == found.scores.argmax(1)).mean() == pytest.approx(
            1 - rows[-1][f"{split}/error"], abs=0.13
        )
    ten = evaluation.evaluate([subject.read(folder.path)], "10crop")
    assert ten.how["views"] == 10
    assert (ten.scores != centre.scores).any()


def test_waiting_is_measured(streamed: configs.ConfigDict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds that no batch was there for the devices: of a reader that takes its time, however many steps a dispatch has.

    A step ends while the next batch is read, and its time is not waiting; what lies between two dispatches is not either.
    """
    program = Program(streamed)
    state, sums = program.run(program.init(0), program.zero(), 0, 2)
    read = stream.Reader.__next__

    def slow(reader: stream.Reader) -> stream.Batch:
        jax.block_until_ready(held)
        time.sleep(0.4)
        return read(reader)

    monkeypatch.setattr(stream.Reader, "__next__", slow)
    for done, count in ((2, 1), (3, 1), (4, 2)):
        held, before = state, program.feed.waited_s
        jax.block_until_ready(held)
        time.sleep(0.5)
        state, sums = program.run(jax.tree.map(lambda leaf: leaf.copy(), state), sums, done, count)
        assert program.feed.waited_s - before > 0.4
    program.feed.close()
    assert Program(configs.override(streamed, {"execution.stream": False})).feed.waited_s == 0


def test_a_lost_reader_is_no_failure(of_files: configs.ConfigDict, tmp_path: pathlib.Path) -> None:
    """Killed, as where there is no more memory: the run is interrupted, and goes on from its last checkpoint."""
    plain = configs.override(of_files, {"duration": "16 steps", "evaluation.every": "16 steps"})
    config = configs.override(plain, {"execution.readers": 1})
    undisturbed, folder = trained(plain, RunFolder(tmp_path / "undisturbed")), RunFolder(tmp_path / "run")

    def kill(done: int, *rest: Any) -> None:
        if done == 2:
            for each in multiprocessing.active_children():
                os.kill(each.pid or 0, signal.SIGKILL)
                each.join()

    with pytest.raises(
        loop.Interrupted, match=r"a process that reads images was lost .* goes on from the last checkpoint"
    ):
        loop.train(Program(config), config, folder, lambda line: None, show=kill)
    assert folder.status()["state"] == "interrupted"
    rows = trained(configs.override(config, {"execution.readers": 0}), folder)
    assert [row["batch/loss"] for row in rows] == [row["batch/loss"] for row in undisturbed]


def test_a_damaged_image_is_said_once(of_files: configs.ConfigDict, tmp_path: pathlib.Path) -> None:
    said = list[str]()
    config = configs.override(of_files, {"duration": "8 steps"})
    loop.train(Program(config, said.append), config, RunFolder(tmp_path / "run"), said.append)
    assert len([line for line in said if line.startswith("skipped")]) == 1


def test_what_other_hosts_find_damaged_is_said_and_counts(
    of_files: configs.ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both sets, at each evaluation; here there is one host, and what the other says is given."""
    said = list[str]()
    program = Program(of_files, said.append)
    state = program.init(0)
    program.evaluate(state, "test")
    before = len(said)
    monkeypatch.setattr("cnnjax.train.hosts.gathered", lambda own: [own, "[3, 5]"])
    for _ in range(2):
        program.evaluate(state, "test")
    assert [line.partition(" of ")[0] for line in said[before:]] == ["skipped: image 3", "skipped: image 5"]
    monkeypatch.setattr(program.feed._examples["test"], "most_damaged", 2)
    monkeypatch.setattr("cnnjax.train.hosts.gathered", lambda own: [own, "[7]"])
    with pytest.raises(errors.UserError, match=r"more than 2 images of pictures test are damaged"):
        program.evaluate(state, "test")


def test_some_of_the_training_examples_are_evaluated(recipe: configs.ConfigDict, streamed: configs.ConfigDict) -> None:
    """The same ones of a stream and of a resident set; the test set is evaluated whole, and a note says so."""
    few = {"evaluation.train": 100}
    programs = [Program(configs.override(each, few)) for each in (recipe, streamed)]
    state = programs[0].init(0)
    assert [float(each.feed.evaluate(state.variables, "train")["count"]) for each in programs] == [100, 100]
    assert float(programs[1].feed.evaluate(state.variables, "test")["count"]) == 360
    assert programs[0].evaluate(state, "train") == programs[1].evaluate(state, "train")
    assert "train/... is of 100 of the 1,437 training examples, at equal distances" in programs[0].notes
    with pytest.raises(errors.UserError, match=r"evaluation\.train is a number"):
        Program(configs.override(recipe, {"evaluation.train": -1}))


def test_two_seeds_of_one_program_do_not_share_a_stream(
    streamed: configs.ConfigDict, recipe: configs.ConfigDict
) -> None:
    program, resident = Program(streamed), Program(recipe)
    for seed in (0, 1):
        state, sums = program.run(program.init(seed), program.zero(), 0, 1)
        expected = resident.run(resident.init(seed), resident.zero(), 0, 1)[1]
        assert program.task.compute(sums) == resident.task.compute(expected)
        if seed == 0:  # as far as the other one is about to be
            program.run(state, sums, 1, 1)
    program.feed.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset.classes": (0, 10)}, "digits has no class 10; they are numbered 0 to 9"),
        ({"dataset.wrong_labels": 1.5}, "dataset.wrong_labels is a share"),
        ({"execution.readers": -1}, "execution.readers is at least 0, not -1"),
    ],
)
def test_what_cannot_be_streamed(changes: dict[str, Any], message: str, streamed: configs.ConfigDict) -> None:
    with pytest.raises(errors.UserError, match=message):
        Program(configs.override(streamed, changes))


def test_files_of_different_sizes_want_a_stream_and_a_crop(of_files: configs.ConfigDict) -> None:
    with pytest.raises(errors.UserError, match=r"execution\.stream = True with a task\.crop trains on them"):
        Program(configs.override(of_files, {"execution.stream": False}))
    with pytest.raises(errors.UserError, match=r"images of different sizes want a dataset\.side, or a task\.crop"):
        Program(configs.override(of_files, {"task.crop": 0, "task.area": (), "task.aspect": ()}))
    with pytest.raises(errors.UserError, match=r"they want no task\.crop"):
        Program(configs.override(of_files, {"task.contrast": "global"}))


def test_by_the_command(of_files: configs.ConfigDict, pictures: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Trained, and shown with the share of time that was waited."""
    folder = tmp_path / "run"
    changed = configs.flatten(of_files)
    base = configs.flatten(configs.load(CONFIGS / "cifarnet_digits.py"))
    settings = [f"--config.{key}={value}" for key, value in changed.items() if base[key] != value]
    assert cli.main(["train", str(CONFIGS / "cifarnet_digits.py"), "--run", str(folder), *settings]) == 0
    rows = [json.loads(line) for line in (folder / "timing.jsonl").read_text().splitlines()]
    assert all(0 <= row["waited"] <= 1 for row in rows)


def test_a_sweep_of_files_can_be_rehearsed(pictures: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At ImageNet's scale; plain18 of two classes is torchvision's of 11,689,512 parameters without shortcuts."""
    experiment = CONFIGS.parent / "experiments" / "degradation.py"
    settings = [
        "dataset.name=pictures",
        "dataset.test=test",
        "evaluation.batch_size=8",
        "batch_size=8",
        "model.bn_group=8",
    ]
    words = [f"--config.{each}" for each in (*settings, f"execution.data_dir={pictures}")]
    assert cli.main(["run", str(experiment), "--dry-run", "--scale", "imagenet", *words]) == 0
    shortcuts = sum(half * whole + 2 * whole for half, whole in ((64, 128), (128, 256), (256, 512)))
    assert f" {11_689_512 - 998 * 513 - shortcuts:,} " in capsys.readouterr().out
