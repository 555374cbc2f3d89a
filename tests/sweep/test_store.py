import json
import math
import pathlib
import subprocess
import sys

import pytest

from cnnjax import errors
from cnnjax.sweep import store


def test_one_row_a_run_with_names_status_metrics_and_config(write_run):
    write_run("plain20", seed=3, error=0.25)
    run = write_run("plain56", seed=0, status={"state": "failed", "outcome": None, "error": "out of memory"})
    rows = store.load(run.parents[3])
    assert list(rows.columns[: len(store.COLUMNS)]) == store.COLUMNS
    first, second = rows.to_dict("records")
    assert (first["experiment"], first["scale"], first["arm"], first["seed"]) == ("degradation", "digits", "plain20", 3)
    assert (first["state"], first["outcome"], first["steps"], first["parameters"]) == (
        "finished",
        "completed",
        50,
        272474,
    )
    assert first["train/error"] == 0.25
    assert first["config.model.name"] == "plain20"
    assert first["config.data.mean"] == (0.5, 0.5)
    assert first["environment.packages.flax"] == "0.12.8"
    assert (second["state"], second["error"]) == ("failed", "out of memory")


@pytest.mark.parametrize("above", range(5))
def test_any_folder_from_the_root_to_the_run_finds_the_same_run(write_run, above, monkeypatch):
    run = write_run("plain20", seed=7)
    path = [run, *run.parents][above]
    monkeypatch.chdir(path)
    for way in (path, "."):
        rows = store.load(way)
        assert rows[["experiment", "scale", "arm", "seed"]].values.tolist() == [["degradation", "digits", "plain20", 7]]


def test_arms_come_in_natural_order_and_seeds_as_numbers(write_run):
    for arm in ("plain110", "plain20", "plain56"):
        for seed in (10, 2, 31, 1, 4):
            run = write_run(arm, seed)
    rows = store.load(run.parents[2])
    assert list(zip(rows["arm"], rows["seed"], strict=True)) == [
        (arm, seed) for arm in ("plain20", "plain56", "plain110") for seed in (1, 2, 4, 10, 31)
    ]


def test_decimal_numbers_in_names_are_ordered_by_value():
    assert sorted(["lr0.1", "lr0.05", "lr1", "lr0.01"], key=store.natural) == ["lr0.01", "lr0.05", "lr0.1", "lr1"]


@pytest.mark.parametrize("place", ["superseded/abc/plain20", "superseded/plain20", "superseded"])
def test_superseded_runs_are_ignored(write_run, place):
    run = write_run("plain20")
    old = run.parents[1] / place / "seed-9"
    old.parent.mkdir(parents=True)
    old.mkdir()
    for file in run.iterdir():
        (old / file.name).write_bytes(file.read_bytes())
    for path in run.parents[:4]:
        assert list(store.load(path)["seed"]) == [0]
        assert set(store.load_curves(path)["seed"]) == {0}
    with pytest.raises(errors.UserError):
        store.load(old)


def test_a_missing_or_empty_path_says_what_was_expected(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(errors.UserError, match=r"runs/<experiment>/<scale>/<arm>/seed-<s>") as raised:
            store.load(path)
        assert "\n" not in str(raised.value)


def test_a_folder_with_only_a_lock_is_no_run_yet(write_run):
    run = write_run("plain20")
    (run.parent / "seed-1").mkdir()
    (run.parent / "seed-1" / "lock").touch()
    assert list(store.load(run.parent)["seed"]) == [0]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("status.json", '{"state": "fin'),
        ("run.json", "[]"),
        ("run.json", ""),
        ("run.json", '{"config": {}, "hash": "../../up"}'),
        ("status.json", '{"summary": 3}'),
        ("status.json", '{"state": "finished", "outcome": "completed"}'),
        ("status.json", '{"step": "ten"}'),
        ("status.json", '{"summary": {"test/error": "low"}}'),
    ],
)
def test_unreadable_files_make_an_unreadable_row_beside_the_others(write_run, file, content):
    write_run("plain20", seed=0, config={"depth": 20})
    run = write_run("plain20", seed=1)
    (run / file).write_text(content)
    rows = store.load(run.parent).set_index("seed")
    assert rows.loc[1, "state"] == "unreadable"
    assert rows.loc[1, "error"]
    assert str(run) not in rows.loc[1, "error"]
    assert rows.loc[0, "state"] == "finished"
    assert repr(rows.loc[0, "config.depth"]) == "20"  # not 20.0 because another run lacks it


def test_a_run_that_has_not_said_anything_yet_is_running(write_run):
    run = write_run("plain20")
    (run / "status.json").unlink()
    hash_ = json.loads((run / "run.json").read_text())["hash"]
    assert store.load(run)[["state", "hash"]].values.tolist() == [["running", hash_]]


def test_a_run_that_failed_before_it_began_says_why(write_run):
    run = write_run("plain20", status={"state": "failed", "outcome": None, "error": "no such data set"})
    (run / "run.json").unlink()
    assert store.load(run)[["state", "error"]].values.tolist() == [["failed", "no such data set"]]


def test_parameters_may_be_told_with_the_status(write_run):
    run = write_run("plain20", status={"parameters": 7})
    asked = json.loads((run / "run.json").read_text())
    del asked["parameters"]
    (run / "run.json").write_text(json.dumps(asked))
    assert store.load(run)["parameters"].tolist() == [7]


def test_curves_are_long(write_run):
    run = write_run("plain20", seed=4, evaluations=2)
    (run / "metrics.jsonl").write_text(
        '{"step": 5, "epoch": 0.5, "batch/loss": 2.0}\n{"step": 10, "train/error": 0.5, "test/error": null}\n'
    )
    (run / "timing.jsonl").write_text('{"step": 5, "seconds": 7.5, "examples_per_second": 9}\n')
    curves = store.load_curves(run)
    assert list(curves.columns) == store.CURVE_COLUMNS
    place = ("degradation", "digits", "plain20", 4)
    first, second, third = curves.itertuples(index=False, name=None)
    assert first == (*place, 5, 0.5, 7.5, "batch/loss", 2.0)
    assert second[:5] == (*place, 10)
    assert all(map(math.isnan, second[5:7]))
    assert second[7:] == ("train/error", 0.5)
    assert third[7] == "test/error"
    assert math.isnan(third[8])


@pytest.mark.parametrize("torn", ['{"step": 20, "train/er', '{"st', "{", '{"step": 20, "a": "\udce2'])
def test_a_torn_last_line_is_ignored(write_run, torn):
    run = write_run("plain20", evaluations=2)
    whole = store.load_curves(run)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(torn.encode(errors="surrogateescape"))
    assert store.load_curves(run).equals(whole)


def test_a_whole_last_line_without_its_end_counts(write_run):
    run = write_run("plain20", evaluations=1)
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 99, "lr": 0.1}))
    assert 99 in set(store.load_curves(run)["step"])


def test_a_torn_line_in_the_middle_is_an_error(write_run):
    run = write_run("plain20", evaluations=1)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20, \n{"step": 30, "lr": 0.1}\n')
    with pytest.raises(errors.UserError, match=r"metrics\.jsonl: line 2"):
        store.load_curves(run)


def test_no_metrics_yet_is_an_empty_table(write_run):
    run = write_run("plain20")
    (run / "metrics.jsonl").unlink()
    assert store.load_curves(run).empty


def test_reading_does_not_import_jax():
    code = "import sys, cnnjax.sweep; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=pathlib.Path.cwd(), check=False).returncode == 0


def move(run, to):
    to.parent.mkdir(parents=True, exist_ok=True)
    run.rename(to)


@pytest.mark.parametrize(
    ("place", "path", "arm"),
    [
        ("resnet56", "", "resnet56"),
        ("resnet56", "resnet56", "resnet56"),
        ("mine/deep", "", "mine/deep"),
        ("deep/seed-4", "", "deep"),
        ("deep/seed-4", "deep", "deep"),
        ("deep/seed-4", "deep/seed-4", "deep"),
    ],
)
def test_runs_outside_of_sweeps_are_named_by_their_path(write_run, tmp_path, place, path, arm):
    move(write_run("plain20", 4, evaluations=1), tmp_path / "train" / place)
    for table in (store.load, store.load_curves):
        rows = table(tmp_path / "train" / path)[["experiment", "scale", "arm", "seed"]]
        assert rows.drop_duplicates().values.tolist() == [["", "", arm, 4]]


def test_runs_of_sweeps_and_others_lie_side_by_side(write_run, tmp_path):
    move(write_run("alone", 2), tmp_path / "runs" / "alone")
    write_run("plain20")
    (tmp_path / "runs" / "degradation" / "digits" / "superseded" / "x").mkdir(parents=True)
    rows = store.load(tmp_path / "runs")
    assert rows[["experiment", "arm", "seed"]].values.tolist() == [["", "alone", 2], ["degradation", "plain20", 0]]


def test_text_among_metrics_is_an_error(write_run):
    run = write_run("plain20", evaluations=2)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 60, "test/error": "low"}\n')
    with pytest.raises(errors.UserError, match=r"metrics\.jsonl: line 3: test/error is 'low', not a number"):
        store.load_curves(run)


def test_notes_do_not_repeat_the_folder(write_run):
    run = write_run("plain20", status={"notes": ["runs/x/seed-0: resumed, not bit-exact", "other"]})
    assert store.load(run)["notes"].item() == ("resumed, not bit-exact", "other")


def test_links_lead_to_other_disks_and_to_no_run_twice(write_run, tmp_path):
    run = write_run("plain20")
    (run.parent / "latest").symlink_to(run)
    (run.parent / "up").symlink_to(run.parents[3])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "degradation").symlink_to(run.parents[2])
    for path in (run.parents[3], tmp_path / "elsewhere"):
        assert store.load(path)[["experiment", "scale", "arm", "seed"]].values.tolist() == [
            ["degradation", "digits", "plain20", 0]
        ]
