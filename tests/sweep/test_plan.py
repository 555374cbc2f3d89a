"""What a sweep has to do."""

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from cnnjax import errors
from cnnjax.sweep import experiment, plan, workers
from cnnjax.sweep.plan import Sweep


@pytest.fixture
def make(write_experiment, tmp_path: pathlib.Path) -> Callable[..., Sweep]:
    """The sweep of the tiny experiment."""

    def make(scale: str = "", seeds: tuple[int, ...] = (), overrides: tuple[str, ...] = (), **changes: Any) -> Sweep:
        return plan.make(
            experiment.load(write_experiment(tmp_path, **changes)), scale, seeds, overrides, tmp_path / "runs"
        )

    return make


def finish(sweep: Sweep, arm: int, seed: int, state: str = "finished") -> pathlib.Path:
    """Leaves what a run leaves."""
    folder, config = sweep.arms[arm].run(seed)
    folder.path.mkdir(parents=True)
    folder.open(config, {}, pytest.fail)
    folder.set_status(state=state, outcome="completed", step=11, seconds=1.0, summary={"test/error": 0.5})
    return folder.path


def test_arms_in_order_with_their_settings(make, tmp_path: pathlib.Path) -> None:
    sweep = make()
    assert [arm.name for arm in sweep.arms] == ["thin", "wide"]
    assert sweep.folder == tmp_path / "runs" / "tiny" / "digits"
    assert [arm.folder for arm in sweep.arms] == [sweep.folder / "thin", sweep.folder / "wide"]
    assert [arm.config.model.width for arm in sweep.arms] == [2, 3]
    assert {arm.config.model.depth for arm in sweep.arms} == {8}
    assert [list(arm.seeds) for arm in sweep.arms] == [[0, 1], [0, 1]]


def test_seed_of_a_run(make) -> None:
    folder, config = make().arms[1].run(5)
    assert folder.path.name == "seed-5"
    assert config.seed == 5
    assert config.model.width == 3


def test_order_of_changes(make) -> None:
    """The arm's win over the scale's, and the command line's over both."""
    assert [arm.config.model.width for arm in make(**{"model.width": 9}).arms] == [2, 3]
    changed = make(overrides=("--config.model.width=5", "--config.schedule.learning_rate=1"))
    assert [arm.config.model.width for arm in changed.arms] == [5, 5]
    assert changed.arms[0].config.schedule.learning_rate == 1.0
    assert changed.arms[0].overrides["schedule.learning_rate"] == 1
    assert changed.arms[0].overrides["model.width"] == 5


def test_scale_and_seeds(make) -> None:
    sweep = make("small", (7, 9))
    assert sweep.scale_name == "small"
    assert sweep.folder.name == "small"
    assert list(sweep.arms[0].seeds) == [7, 9]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scale": "digit"}, "unknown scale 'digit'; did you mean digits"),
        ({"overrides": ("--config.model.dept=20",)}, "did you mean config.model.depth"),
        ({"overrides": ("--config.model.depth=deep",)}, "config.model.depth is of type int, not 'deep'"),
        ({"overrides": ("--config.model=x",)}, "config.model is a group"),
        ({"overrides": ("--depth=20",)}, "unknown argument '--depth=20'"),
        ({"arms": {"odd": {"model.widht": 3}}}, "did you mean config.model.width"),
        ({"arms": {"odd": {"model.width": 3.5}}}, "config.model.width is of type int, not 3.5"),
        ({"arms": {"A b": {}}}, "an arm is a folder name"),
        ({"arms": {"../up": {}}}, "an arm is a folder name"),
    ],
)
def test_what_cannot_be(arguments: dict[str, Any], words: str, make) -> None:
    with pytest.raises(errors.UserError) as caught:
        make(**arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pending_are_those_that_are_not_finished(make) -> None:
    sweep = make()
    assert [arm.pending() for arm in sweep.arms] == [[0, 1], [0, 1]]
    finish(sweep, 0, 0)
    finish(sweep, 0, 1, "interrupted")
    finish(sweep, 1, 0, "failed")
    finish(sweep, 1, 1, "running")
    assert [arm.pending() for arm in sweep.arms] == [[1], [0, 1]]
    assert [arm.pending() for arm in make(seeds=(0, 1, 2)).arms] == [[1, 2], [0, 1, 2]]


def test_execution_is_no_part_of_what_is_computed(make) -> None:
    finish(make(), 0, 0)
    assert make(overrides=("--config.execution.steps_per_dispatch=7",)).arms[0].pending() == [1]
    assert make(overrides=("--config.batch_size=64",)).arms[0].pending() == [0, 1]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("status.json", b"{"),
        ("status.json", b"\x89PNG\xff"),
        ("status.json", b'{"state": "finished"}'),
        ("status.json", b'{"state": "finished", "outcome": "completed", "step": 1, "seconds": "2", "summary": {}}'),
        ("run.json", b"\xff"),
        ("run.json", b"[]"),
        ("run.json", b'{"config": {}, "hash": 7}'),
    ],
)
def test_damaged_run_is_not_finished(make, file: str, content: bytes) -> None:
    sweep = make()
    (finish(sweep, 0, 0) / file).write_bytes(content)
    assert sweep.arms[0].pending() == [0, 1]


@pytest.mark.parametrize("old", ["../../../../up", "", 7, None, "ABCDEF012345"])
def test_a_hash_that_is_none_names_no_folder(make, old: Any) -> None:
    sweep = make()
    path = finish(sweep, 0, 0)
    (path / "run.json").write_text(json.dumps({"config": {}, "hash": old}))
    assert sweep.supersede() == [sweep.folder / "superseded" / "unknown" / "thin" / "seed-0"]


def test_runs_with_other_settings_are_moved(make) -> None:
    old = make()
    paths = [finish(old, 0, 0), finish(old, 1, 0), finish(old, 1, 1, "running")]
    digests = [json.loads((path / "run.json").read_text())["hash"] for path in paths]
    new = make(arms={"wide": {"model.width": 4}})
    moved = new.supersede()
    assert moved == [new.folder / "superseded" / digests[i] / "wide" / f"seed-{i - 1}" for i in (1, 2)]
    assert paths[0].is_dir()
    assert not paths[1].exists()
    assert json.loads((moved[0] / "run.json").read_text())["config"]["model"]["width"] == 3
    assert new.supersede() == []


def test_moved_twice_nothing_is_overwritten(make) -> None:
    old, new = make(), make(arms={"wide": {"model.width": 4}})
    finish(old, 1, 0)
    (first,) = new.supersede()
    finish(old, 1, 0, "failed")
    (second,) = new.supersede()
    assert (first.name, second.name) == ("seed-0", "seed-0.2")
    assert json.loads((first / "status.json").read_text())["state"] == "finished"
    assert json.loads((second / "status.json").read_text())["state"] == "failed"


def test_runs_of_other_seeds_are_moved_only_if_their_settings_are_others(make) -> None:
    thin, wide = finish(make(), 0, 1), finish(make(), 1, 1)
    (moved,) = make(seeds=(0,), arms={"wide": {"model.width": 4}}).supersede()
    assert moved.parts[-2:] == ("wide", "seed-1")
    assert thin.is_dir()
    assert not wide.exists()


def test_folder_belongs_to_one_experiment(make) -> None:
    """It is known by its name and scale: its question may be put in other words."""
    sweep = make()
    sweep.claim_folder()
    make(question="Does width help at all?").claim_folder()
    marker = sweep.folder / plan.MARKER
    assert json.loads(marker.read_text())["question"] == "Does width help at all?"
    other = dataclasses.replace(
        sweep, experiment=dataclasses.replace(sweep.experiment, path=sweep.experiment.path.with_name("other.py"))
    )
    before = marker.read_bytes()
    with pytest.raises(errors.UserError, match="holds the runs of another experiment \\(tiny · digits\\)"):
        other.claim_folder()
    assert marker.read_bytes() == before


def test_the_last_sweep_is_remembered(make) -> None:
    sweep = make(seeds=(0, 3), overrides=("--config.model.width=5",))
    runs = sweep.folder.parents[1]
    assert plan.last(sweep.experiment, "", runs).arguments == ()
    sweep.claim_folder()
    last = plan.last(sweep.experiment, "", runs)
    assert (last.seeds, last.arguments) == ((0, 3), ("--config.model.width=5",))
    assert [arm.digest(3) for arm in last.arms] == [arm.digest(3) for arm in sweep.arms]
    make().claim_folder()
    assert plan.last(sweep.experiment, "", runs).arms[0].config.model.width == 2


@pytest.mark.parametrize("content", [b"\xff", b"[]", b'{"seeds": 3}', b'{"arguments": ["--config.gone=1"]}'])
def test_a_damaged_marker_is_named(make, content: bytes) -> None:
    sweep = make()
    sweep.claim_folder()
    (sweep.folder / plan.MARKER).write_bytes(content)
    with pytest.raises(errors.UserError, match=plan.MARKER) as caught:
        plan.last(sweep.experiment, "", sweep.folder.parents[1])
    assert "\n" not in str(caught.value)


def test_folder_with_something_else_in_it(make) -> None:
    sweep = make()
    sweep.folder.mkdir(parents=True)
    (sweep.folder / "thesis.tex").touch()
    with pytest.raises(errors.UserError, match="is not empty and holds no runs of an experiment"):
        sweep.claim_folder()
    assert [path.name for path in sweep.folder.iterdir()] == ["thesis.tex"]


def test_making_a_plan_makes_no_file(make, tmp_path: pathlib.Path) -> None:
    sweep = make()
    assert [arm.pending() for arm in sweep.arms] == [[0, 1], [0, 1]]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("seeds", "most", "sizes"),
    [(range(5), None, [5]), (range(5), 5, [5]), (range(5), 12, [5, 10, 12]), ((7, 1), 5, [2, 4, 5])],
)
def test_rounds_add_as_many_seeds_again(seeds, most, sizes):
    rounds = plan.rounds(seeds, most)
    assert [len(each) for each in rounds] == sizes
    for before, after in itertools.pairwise(rounds):
        assert after[: len(before)] == before
    assert rounds[0] == tuple(seeds)
    assert len(set(rounds[-1])) == len(rounds[-1])


def test_fewer_seeds_at_most_than_to_begin_with():
    with pytest.raises(errors.UserError, match="--until-decided 4 is below the 5 seeds to begin with"):
        plan.rounds(range(5), 4)
    with pytest.raises(errors.UserError, match="an interval takes two seeds"):
        plan.rounds((0,), 1)


def test_an_arm_that_begins_with_another(make) -> None:
    """It knows the other's settings by their digest: where those change, its own run is another."""
    later = {"init.weights": "arm:wide", "model.width": 3}
    first, same, changed = (
        make(arms={"later": later, **more}).arms[2] for more in ({}, {}, {"wide": {"model.width": 3, "task.pad": 0}})
    )
    assert (first.name, first.source) == ("later", "wide")
    assert first.digest(0) == same.digest(0) != changed.digest(0)
    assert make().arms[1].source == ""
    name, _, digest = first.overrides["init.weights"].partition("@")
    assert name == "arm:wide"
    assert len(digest) == 12


def test_an_arm_begins_with_one_before_it(make) -> None:
    with pytest.raises(
        errors.UserError, match=r"unknown arm that 'later' begins with .* 'later'; available: thin, wide"
    ):
        make(arms={"later": {"init.weights": "arm:later"}})


def test_a_run_that_is_not_measured_is_not_finished(make) -> None:
    sweep = make()
    path = finish(sweep, 0, 0)
    arm = dataclasses.replace(sweep.arms[0], measures=("responses",))
    assert arm.pending() == [0, 1]
    (path / "measures.json").write_text('{"responses": {"deviation": 1.0}}')
    assert arm.pending() == [1]
    assert "responses" in workers.command_line(arm, [0])
