"""Metrics as TensorBoard reads them."""

import json
import pathlib

import pytest

from cnnjax import errors
from cnnjax.sweep import export


def read(folder: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """Every scalar of a folder, by TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), {"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def assert_same(events: pathlib.Path, run: pathlib.Path) -> None:
    found = read(events)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert set(found) == {key for row in rows for key in row} - {"step", "epoch"}
    for tag, values in found.items():
        expected = [(row["step"], row[tag]) for row in rows if tag in row]
        assert [step for step, _ in values] == [step for step, _ in expected]
        assert [value for _, value in values] == pytest.approx([value for _, value in expected], rel=1e-6)  # float32


def test_every_metric_of_every_run(write_run, tmp_path: pathlib.Path) -> None:
    runs = [write_run("plain20", 0), write_run("plain20", 3, 0.2), write_run("plain56", 0, 0.3)]
    folders = export.tensorboard(tmp_path / "runs", tmp_path / "events")
    assert folders == [tmp_path / "events" / run.relative_to(tmp_path / "runs") for run in runs]
    for folder, run in zip(folders, runs, strict=True):
        assert_same(folder, run)


def test_written_again_it_replaces(write_run, tmp_path: pathlib.Path) -> None:
    run = write_run()
    (folder,) = export.tensorboard(run, tmp_path / "events")
    (folder / "notes.txt").write_text("mine")
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 60, "epoch": 6.0, "batch/loss": 0.01}) + "\n")
    assert export.tensorboard(run, tmp_path / "events") == [folder]
    assert len(list(folder.glob("events*"))) == 1
    assert (folder / "notes.txt").read_text() == "mine"
    assert_same(folder, run)


def test_nothing_to_export(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.UserError, match="holds no run"):
        export.tensorboard(tmp_path, tmp_path / "events")
    assert not (tmp_path / "events").exists()


def test_a_run_outside_of_sweeps(write_run, tmp_path: pathlib.Path) -> None:
    alone = tmp_path / "runs" / "resnet56"
    write_run(seed=3).rename(alone)
    (folder,) = export.tensorboard(tmp_path / "runs", tmp_path / "events")
    assert folder == tmp_path / "events" / "resnet56" / "seed-3"
    assert_same(folder, alone)
