"""Every experiment's arms are settings of its recipes, and its claims are about them."""

import functools
import pathlib

import jax
import numpy as np
import pytest

from cnnjax import cli, models
from cnnjax import config as configs
from cnnjax.analysis import cost
from cnnjax.sweep import experiment, measures, plan
from cnnjax.tasks import classification
from cnnjax.train import compiler
from cnnjax.train.program import Program

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.py"))
METRICS = {f"{name}/{metric}" for name in ("train", "test") for metric in classification.METRICS} | {*measures.METRICS}

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


SIDES = {"digits": 8, "photographs": 8, "cifar10": 32, "mnist": 28}
"""Of sets that recipes take as they are."""


@pytest.mark.slow
@every_experiment
def test_every_arm_of_every_scale_has_a_network_for_its_images(path, tmp_path):
    """Shapes only, at the size that is trained on: nothing else of a large scale can be built here."""
    loaded, known = experiment.load(path), set()
    for name in loaded.scales:
        for arm in plan.make(loaded, name, [], [], tmp_path).arms:
            task, data = arm.config.task, arm.config.dataset
            for side in task.sizes or (task.crop or data.side or SIDES[data.name],):
                key = str((arm.config.model, side))
                if key not in known:
                    images = jax.ShapeDtypeStruct(
                        (2, side, side, 1 if data.name in ("digits", "mnist") else 3), "float32"
                    )
                    network = models.create(**arm.config.model, num_classes=10)
                    assert jax.eval_shape(network.init, jax.random.key(0), images)["params"]
                known.add(key)


@every_experiment
def test_claims_are_about_roles_that_their_scales_have(path):
    loaded = experiment.load(path)
    assert loaded.question.endswith("?")
    assert loaded.source
    assert loaded.claims
    for claim in loaded.claims:
        waited = experiment.milestone(claim.metric)
        assert (waited[0] if waited else claim.metric) in METRICS
        assert claim.paper
        absolute = set(map(abs, claim.contrast.values())) == {1} and len(claim.contrast) == 1
        assert absolute or sum(claim.contrast.values()) == pytest.approx(0), "a contrast compares, or bounds one arm"
        assert not (absolute and claim.metric.startswith(("train/", "test/"))), "an error alone is no claim"
        for name in claim.scales or loaded.scales:
            scale = loaded.scales[name]
            assert set(claim.contrast) <= set(scale.roles)
            assert {scale.roles[role] for role in claim.contrast} <= {*scale.arms, *scale.ensembles}


@every_experiment
def test_every_arm_and_role_is_used(path):
    loaded = experiment.load(path)
    for name, scale in loaded.scales.items():
        assert set(scale.roles) == {role for claim in loaded.claims_at(name) for role in claim.contrast}


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


def test_xception_and_its_twin_are_as_large_as_is_said(tmp_path):
    sweep = plan.make(experiment.load(ROOT / "experiments" / "separable.py"), "", [], [], tmp_path)
    sizes = {}
    for arm in sweep.arms:
        side = arm.config.dataset.side
        sizes[arm.name] = cost.size(models.create(**arm.config.model, num_classes=10), (1, side, side, 1))
    for parameters, products in (sizes["xception"], sizes["inception"]):
        assert f"{parameters:,} " in sweep.scale.note
        assert f"{products / 1e6:.2f} million" in sweep.scale.note
    np.testing.assert_allclose(sizes["inception"], sizes["xception"], rtol=0.05)


def test_receptive_fields_are_compared_at_equal_parameters(tmp_path):
    loaded = experiment.load(ROOT / "experiments" / "receptive_field.py")
    for name, images in {"digits": (1, 16, 16, 1), "cifar10": (1, 32, 32, 3)}.items():
        sweep = plan.make(loaded, name, [], [], tmp_path)
        found = [cost.size(models.create(**arm.config.model, num_classes=10), images)[0] for arm in sweep.arms]
        least, most = min(found), max(found)
        assert most / least < 1.02
        assert f"{least:,} to {most:,} " in sweep.scale.note


@every_experiment
def test_what_would_run_is_shown(path, tmp_path, capsys):
    """Parameters and an estimate of every arm, at the size and for the classes that its network sees."""
    assert cli.main(["run", str(path), "--dry-run", "--runs", str(tmp_path)]) == 0
    assert "what would run" in capsys.readouterr().out


NETWORK = (
    *("model", "batch_size", "dataset.side", "dataset.classes", "task.crop", "task.sizes", "task.auxiliary_weight"),
    *(
        "optimizer.kind",
        "optimizer.average",
        "optimizer.max_filter",
        "schedule.plateau",
        "init.frozen",
        "init.freeze_bn",
    ),
)
"""Settings that decide what a training step is made of; others are numbers in it, or when it is made."""
SWITCHES = ("task", "optimizer", "dataset.wrong_labels")
"""Of these only whether they are on."""
STEP = {
    "duration": "1 steps",
    "init.weights": "",
    "init.head": "",
    "init.added": "",
    "evaluation.batch_size": 720,
    "execution.devices": 1,
    "execution.cpu_convolution": "xla",
    "execution.steps_per_dispatch": 1,
}
"""What makes a run short, and one that begins with another's weights begin by itself."""


@pytest.fixture(scope="module")
def known():
    """Recipes of which a step has been made, and settings of steps that have been traced, in this and other experiments."""
    return set()


@pytest.mark.slow
@every_experiment
def test_every_arm_makes_a_step(path, known, tmp_path, monkeypatch):
    """Every arm's step is traced, if no other's was the same; the first one of each recipe, and of each file, is made, too."""
    # Compiled for this one step: it may be slow.
    monkeypatch.setattr(compiler, "options", lambda platform: {"xla_backend_optimization_level": 0})
    arms = plan.make(experiment.load(path), "", [], [], tmp_path).arms
    for arm in arms:
        config = configs.override(arm.config, STEP)
        flat = sorted(configs.flatten(config).items())
        made = [each for each in flat if each[0].startswith(NETWORK)]
        key = str((made, [name for name, value in flat if name.startswith(SWITCHES) and value]))
        if key in known and arm is not arms[0]:
            continue
        program = Program(config)
        if arm is arms[0] or arm.recipe.stem not in known:
            begun = program.init(0)
            before = jax.tree.map(np.copy, begun.params)
            after, sums = program.run(begun, program.zero(), 0, 1)
            assert program.finite(after.params)
            assert float(sums["count"]) == config.batch_size
            assert not all(map(np.array_equal, jax.tree.leaves(before), jax.tree.leaves(after.params)))
        else:
            examples = program.feed.arrays["train"]
            order = jax.ShapeDtypeStruct(examples["label"].shape, "int32")
            step = functools.partial(program.feed.steps, kind=(False, (config.task.sizes or (0,))[0]))
            sums = jax.eval_shape(program.task.init)
            state, _ = jax.eval_shape(step, program.abstract, sums, examples, order, 0, 0, 1, 1.0)
            assert jax.tree.structure(state) == jax.tree.structure(program.abstract)
        known |= {key, arm.recipe.stem}
