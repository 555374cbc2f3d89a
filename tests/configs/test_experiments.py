"""Every experiment's arms are settings of its recipes, and its claims are about them."""

import pathlib

import pytest

from cnnjax import cli, models
from cnnjax import config as configs
from cnnjax.sweep import experiment, plan
from cnnjax.tasks import classification

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.py"))
METRICS = {f"{name}/{metric}" for name in ("train", "test") for metric in classification.METRICS}

every_experiment = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)


def test_there_are_experiments():
    assert "degradation" in [path.stem for path in EXPERIMENTS]


@every_experiment
def test_every_arm_of_every_scale_is_valid(path, tmp_path):
    loaded = experiment.load(path)
    assert loaded.scales
    for name, scale in loaded.scales.items():
        sweep = plan.make(loaded, name, [], [], tmp_path)
        assert [arm.name for arm in sweep.arms] == list(scale.arms)
        assert len(set(scale.seeds)) == len(scale.seeds) >= 2  # a t interval needs two
        digests = [configs.digest(arm.config) for arm in sweep.arms]
        assert len(set(digests)) == len(digests), "two arms are the same run"
        for arm in sweep.arms:
            assert arm.config.is_locked
            models.create(**arm.config.model, num_classes=10)
            flat = configs.flatten(arm.config)
            found = {key: str(flat[key]).split("@")[0] if key == "init.weights" else flat[key] for key in flat}
            assert {key: found[key] for key in scale.arms[arm.name]} == dict(scale.arms[arm.name])
            for duration in (arm.config.duration, arm.config.schedule.warmup, *arm.config.schedule.boundaries):
                configs.steps(duration, 44, 32)


@every_experiment
def test_claims_are_about_roles_that_every_scale_has(path):
    loaded = experiment.load(path)
    assert loaded.question.endswith("?")
    assert loaded.source
    assert loaded.claims
    for claim in loaded.claims:
        waited = experiment.milestone(claim.metric)
        assert (waited[0] if waited else claim.metric) in METRICS
        assert claim.paper
        assert sum(claim.contrast.values()) == pytest.approx(0), "a contrast compares"
        for scale in loaded.scales.values():
            assert set(claim.contrast) <= set(scale.roles)
            assert {scale.roles[role] for role in claim.contrast} <= set(scale.arms)


@every_experiment
def test_every_arm_and_role_is_used(path):
    loaded = experiment.load(path)
    used = {role for claim in loaded.claims for role in claim.contrast}
    for scale in loaded.scales.values():
        assert set(scale.roles) == used


@every_experiment
def test_the_default_scale_needs_no_download(path):
    loaded = experiment.load(path)
    assert loaded.scale()[0] == "digits"
    config = plan.make(loaded, "", [], [], pathlib.Path("runs")).arms[0].config
    assert config.dataset.name == "digits"


def test_overrides_reach_every_arm_and_are_made_last(tmp_path):
    loaded = experiment.load(ROOT / "experiments" / "degradation.py")
    sweep = plan.make(loaded, "", [9], ["--config.model.depth=8", "--config.duration=1 steps"], tmp_path)
    assert {(arm.config.model.depth, arm.config.duration, tuple(arm.seeds)) for arm in sweep.arms} == {
        (8, "1 steps", (9,))
    }


@every_experiment
def test_what_would_run_is_shown(path, tmp_path, capsys):
    """Parameters and an estimate of every arm, at the size and for the classes that its network sees."""
    assert cli.main(["run", str(path), "--dry-run", "--runs", str(tmp_path)]) == 0
    assert "what would run" in capsys.readouterr().out
