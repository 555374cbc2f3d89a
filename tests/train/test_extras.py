"""Running averages, plateaus, limited filters and images of several sizes: what a recipe may ask of training beside SGD."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnnjax import config as configs
from cnnjax import data, errors, interop
from cnnjax.nn import stacking
from cnnjax.train import loop, optimizer, pixels
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder


def leaves(tree: Any) -> dict[str, np.ndarray]:
    return {name: np.array(leaf) for name, leaf in stacking.names(tree).items()}


def params(state: Any) -> dict[str, np.ndarray]:
    return leaves(state.variables["params"])


def changed(recipe: configs.ConfigDict, **settings: Any) -> Program:
    return Program(configs.override(recipe, {key.replace("__", "."): value for key, value in settings.items()}))


@pytest.fixture(scope="module")
def averaging(recipe: configs.ConfigDict) -> Program:
    return changed(recipe, optimizer__average=0.3)


def test_an_average_of_four_steps_by_hand(averaging: Program, program: Program) -> None:
    """min(0.3, (1 + t) / (10 + t)) is 2/11, 3/12, 0.3, 0.3; the parameters move as in a run without it."""
    state, plain = averaging.init(0), program.init(0)
    expected = params(plain)
    assert all(np.array_equal(leaf, expected[name]) for name, leaf in params(state).items())
    for done, kept in enumerate((2 / 11, 3 / 12, 0.3, 0.3)):
        state, _ = averaging.run(state, averaging.zero(), done, 1)
        now = leaves(state.params)
        if done == 0:
            plain, _ = program.run(plain, program.zero(), 0, 1)
            for name, leaf in params(plain).items():
                np.testing.assert_allclose(leaf, now[name], rtol=1e-4, atol=1e-5)
        expected = {name: kept * mean + (1 - kept) * now[name] for name, mean in expected.items()}
        for name, leaf in params(state).items():
            np.testing.assert_allclose(leaf, expected[name], rtol=1e-5, atol=1e-6)
    assert max(np.abs(expected[name] - now[name]).max() for name in now) > 1e-3


def test_evaluation_and_weights_are_of_the_average(
    averaging: Program, program: Program, recipe: configs.ConfigDict, tmp_path: pathlib.Path
) -> None:
    state, _ = averaging.run(averaging.init(0), averaging.zero(), 0, 5)
    plain = program.init(0)
    swapped = plain.replace(params=jax.tree.map(np.array, state.opt_state.average), batch_stats=state.batch_stats)
    assert averaging.evaluate(state, "test") == program.evaluate(program.layout.put(swapped), "test")
    folder = RunFolder(tmp_path / "run")
    status = loop.train(averaging, averaging.config, folder, lambda line: None)
    model, variables = interop.load(folder.path)
    images = (averaging.feed.arrays["test"]["image"] - averaging.task.mean) / averaging.task.scale
    wrong = model.apply(variables, jnp.asarray(images))[0].argmax(-1) != averaging.feed.arrays["test"]["label"]
    assert status["summary"]["test/error"] == pytest.approx(float(wrong.mean()))


def test_a_run_with_an_average_that_is_stopped(averaging: Program, tmp_path: pathlib.Path) -> None:
    """At a rate at which the average is far from the parameters: resumed, all bits are the same."""
    config = configs.override(averaging.config, {"execution.steps_per_dispatch": 3})
    whole, parts = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parts")
    loop.train(averaging, config, whole, lambda line: None)
    for _ in range(2):
        calls = iter(range(100))
        with pytest.raises(loop.Interrupted):
            loop.train(averaging, config, parts, lambda line: None, lambda calls=calls: next(calls) >= 1)
    loop.train(averaging, config, parts, lambda line: None)
    assert (whole.path / "metrics.jsonl").read_bytes() == (parts.path / "metrics.jsonl").read_bytes()
    one, other = (leaves(interop.load(each.path).variables) for each in (whole, parts))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def flat(recipe: configs.ConfigDict) -> configs.ConfigDict:
    """A metric that cannot fall: nothing moves. Two evaluations an epoch of 11 steps."""
    return configs.override(
        recipe,
        {
            "schedule.learning_rate": 1e-12,
            "schedule.boundaries": (),
            "schedule.factor": 0.5,
            "schedule.plateau": "test/error",
            "schedule.patience": 2,
            "duration": "11 steps",
            "evaluation.every": "1 steps",
            "evaluation.log": "1 steps",
            "init.freeze_bn": "always",
            "optimizer.average": 0.9,
            "execution.steps_per_dispatch": 2,
            "execution.checkpoint.every": "2 steps",
        },
    )


def test_a_plateau_and_a_run_that_is_stopped_on_it(recipe: configs.ConfigDict, tmp_path: pathlib.Path) -> None:
    """The rate of a step is that after the evaluations before it; resumed, all bits are the same."""
    config = flat(recipe)
    program = Program(config)
    whole, parts = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parts")
    loop.train(program, config, whole, lambda line: None)
    rates = [row["lr"] for row in whole.metrics()]
    # The first evaluation is the least; each second one after it ends a plateau, which the next step sees.
    np.testing.assert_allclose(rates, 1e-12 * 0.5 ** np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]), rtol=1e-6)
    for stop in (3, 4):
        calls = iter(range(100))
        with pytest.raises(loop.Interrupted):
            loop.train(
                program, config, parts, lambda line: None, lambda calls=calls, stop=stop: next(calls) + 1 >= stop
            )
    loop.train(program, config, parts, lambda line: None)
    assert (whole.path / "metrics.jsonl").read_bytes() == (parts.path / "metrics.jsonl").read_bytes()
    one, other = (stacking.names(interop.load(each.path).variables) for each in (whole, parts))
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_a_scaled_rate_is_a_rate(recipe: configs.ConfigDict) -> None:
    halved = changed(recipe, schedule__plateau="train/loss")
    state, _ = halved.run(halved.init(0), halved.zero(), 0, 3, 0.5)
    other = changed(recipe, schedule__learning_rate=recipe.schedule.learning_rate / 2)
    expected = params(other.run(other.init(0), other.zero(), 0, 3)[0])
    for name, leaf in params(state).items():
        np.testing.assert_allclose(leaf, expected[name], rtol=1e-5, atol=1e-6)


def test_filters_are_limited_one_by_one() -> None:
    rng = np.random.default_rng(0)
    kernel = np.float32(rng.normal(size=(3, 3, 4, 5)) * [0.01, 0.05, 0.1, 0.5, 2.0])
    tree = {
        "conv1": {"kernel": kernel, "bias": np.full(5, 9.0, np.float32)},
        "fc": {"kernel": np.full((4, 5), 9.0, np.float32)},
        "stage1": {"block2_to_3": {"conv1": {"kernel": np.stack([kernel, kernel[..., ::-1]])}}},
    }
    found = optimizer.limited(jax.tree.map(jnp.asarray, tree), 0.1)
    expected = kernel.copy()
    for k in range(5):
        size = np.sqrt((kernel[..., k].astype(np.float64) ** 2).mean())
        if size > 0.1:
            expected[..., k] *= 0.1 / size
    np.testing.assert_allclose(found["conv1"]["kernel"], expected, rtol=1e-6)
    np.testing.assert_array_equal(found["conv1"]["kernel"][..., :2], kernel[..., :2])
    stacked = found["stage1"]["block2_to_3"]["conv1"]["kernel"]
    np.testing.assert_allclose(stacked, np.stack([expected, expected[..., ::-1]]), rtol=1e-6)
    for kept in (("conv1", "bias"), ("fc", "kernel")):
        np.testing.assert_array_equal(found[kept[0]][kept[1]], tree[kept[0]][kept[1]])


def test_filters_that_are_held_fast_are_not_limited(recipe: configs.ConfigDict) -> None:
    """They keep their bits, one block of a stage too, while all others are limited."""
    program = changed(
        recipe, optimizer__max_filter=0.02, init__frozen=("^conv1/", "stage2/"), init__frozen_until="2 steps"
    )
    state = program.init(0)
    before = leaves(state.params)
    state, _ = program.run(state, program.zero(), 0, 2)
    after = leaves(state.params)
    held = {name for name in before if name.startswith(("conv1/", "stage2/"))}
    assert {name for name in before if np.array_equal(before[name], after[name])} == held
    sizes = {name: np.sqrt((leaf**2).mean((0, 1, 2))).max() for name, leaf in after.items() if leaf.ndim == 4}
    assert {name for name, size in sizes.items() if size > 0.0201} == held & set(sizes)


def test_filters_stay_limited_in_training(recipe: configs.ConfigDict) -> None:
    program = changed(recipe, optimizer__max_filter=0.02)
    state, _ = program.run(program.init(0), program.zero(), 0, 2)
    sizes = [np.sqrt((leaf**2).mean((0, 1, 2))).max() for leaf in params(state).values() if leaf.ndim == 4]
    assert len(sizes) > 5
    assert max(sizes) == pytest.approx(0.02, rel=1e-5)
    with pytest.raises(errors.UserError, match=r"optimizer\.max_filter is at least 0"):
        changed(recipe, optimizer__max_filter=-1.0)


@pytest.mark.slow
def test_an_epoch_a_size(recipe: configs.ConfigDict) -> None:
    """Steps of an epoch see images of its size: the sums of activations tell which."""
    program = changed(recipe, task__sizes=(8, 12), optimizer__weight_decay=0.0)
    own = changed(recipe, optimizer__weight_decay=0.0)
    state, _ = program.run(program.init(0), program.zero(), 0, 2)
    expected = params(own.run(own.init(0), own.zero(), 0, 2)[0])
    for name, leaf in params(state).items():  # the first size is the images' own
        np.testing.assert_allclose(leaf, expected[name], rtol=1e-4, atol=1e-5)
    first = program.steps_per_epoch
    batch = program.batch(
        state.rng,
        program.feed.arrays["train"],
        jnp.arange(len(program.feed.arrays["train"]["label"])),
        jnp.int32(1),
        jnp.int32(0),
    )
    shapes = []
    record = program.task.__class__.loss

    def seen(self: Any, model: Any, variables: Any, batch: Any, *rest: Any, **more: Any) -> Any:
        shapes.append(batch["image"].shape[1:])
        return record(self, model, variables, batch, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program.task.__class__, "loss", seen)
        program.run(state, program.zero(), first, 1)
    assert set(shapes) == {(12, 12, 1)}
    assert batch["image"].shape[1:] == (8, 8, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule__plateau": "test/eror"}, "unknown schedule.plateau 'test/eror'; did you mean test/error"),
        ({"schedule__patience": 0}, "schedule.patience is at least one evaluation, not 0"),
        ({"optimizer__average": 1.0}, "optimizer.average is at least 0 and below 1, not 1.0"),
        ({"task__sizes": (8, 0)}, "task.sizes are numbers of pixels, not 0"),
        ({"task__sizes": ("8",)}, "task.sizes are numbers of pixels, not '8'"),
    ],
)
def test_what_a_recipe_can_get_wrong(settings: dict[str, Any], message: str, recipe: configs.ConfigDict) -> None:
    with pytest.raises(errors.UserError, match=message):
        changed(recipe, **settings)


def test_a_network_of_one_size() -> None:
    recipe = configs.load(pathlib.Path(__file__).parents[2] / "configs" / "pattern_digits.py")
    with pytest.raises(errors.UserError, match="the parameters of pattern depend on the size of its images"):
        changed(recipe, task__sizes=(16, 24))


def test_components_of_colours_are_those_of_a_slow_reference() -> None:
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(50, 4, 4, 3)) @ np.array([[30.0, 20, 5], [0, 9, 3], [0, 0, 4]]) + 128
    images = np.clip(mixed, 0, 255).astype(np.uint8)
    covariance = np.cov(images.reshape(-1, 3).astype(np.float64).T / 255, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    found = pixels.components(images, 255)
    for k in range(3):
        expected = vectors[:, k] * values[k] * 255
        sign = np.sign(found[:, k] @ expected)
        np.testing.assert_allclose(found[:, k] * sign, expected, rtol=1e-3, atol=1e-5)


def test_a_mean_a_channel_and_a_crop(recipe: configs.ConfigDict) -> None:
    program = changed(recipe, task__mean="channel", task__crop=6, task__pad=0)
    assert np.ptp(program.task.mean) == 0
    assert program.record().input_shape == (6, 6, 1)
    assert program.record().picture.size == (6, 6)
    assert program.record().picture.resize == 8
    state, _ = program.run(program.init(0), program.zero(), 0, 2)
    assert 0 <= program.evaluate(state, "test")["error"] <= 1
    with pytest.raises(errors.UserError, match=r"unknown task.mean 'pixels'; did you mean pixel"):
        changed(recipe, task__mean="pixels")


@pytest.mark.parametrize(("contrast", "whiten"), [("global", "zca"), ("local", ""), ("", "pca")])
def test_images_of_equal_contrast_whitened(contrast, whiten, recipe, tmp_path) -> None:
    """What the network sees in training, and what its file of weights makes of a picture, are the same."""
    program = changed(recipe, task__contrast=contrast, task__whiten=whiten, task__pad=0)
    images = data.load("digits", "train").images
    seen = np.asarray(program.task.preprocess({"image": jnp.asarray(images)}, None, train=False)["image"])
    if whiten:
        rows = seen.reshape(len(seen), -1)
        values = np.linalg.eigvalsh(rows.T @ rows / len(rows))
        assert values.max() == pytest.approx(1, abs=0.05)  # λ / (λ + 0.1) of the largest
        assert values.min() > -1e-5
    else:
        np.testing.assert_allclose(seen.mean(0), 0, atol=1e-4)
        assert seen.std() == pytest.approx(1, abs=1e-3)

    state = program.init(0)
    interop.weights.save(tmp_path / "w.safetensors", program.record(), state.variables)
    record, variables = interop.read(tmp_path / "w.safetensors")
    assert stacking.names(variables).keys() == stacking.names(state.variables).keys()
    shown = Image.fromarray((images[7, ..., 0].astype(np.float32) * (255 / 16)).round().astype(np.uint8))
    # A digit has values 0 ... 16, a picture 0 ... 255: rounded by 1/510 of white at most.
    np.testing.assert_allclose(record.picture(shown), seen[7], atol=0.05)


def test_contrast_and_whitening_where_they_mean_nothing(recipe, tmp_path) -> None:
    with pytest.raises(errors.UserError, match=r"of whole images: they want no task\.crop"):
        changed(recipe, task__contrast="local", task__crop=6)
    with pytest.raises(errors.UserError, match=r"task\.colour is a shift of pixels"):
        changed(recipe, task__whiten="zca", task__colour=0.1)
    program = changed(recipe, task__contrast="global")
    interop.weights.save(tmp_path / "w.safetensors", program.record(), program.init(0).variables)
    with pytest.raises(
        errors.UserError, match=r"have seen images of contrast 'global', not whitened; task\.contrast is ''"
    ):
        changed(recipe, init__weights=str(tmp_path / "w.safetensors"))
