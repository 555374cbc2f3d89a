"""What training means for classification."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from cnnjax import errors
from cnnjax.ops import augment
from cnnjax.tasks.classification import METRICS, Classification

RNG = np.random.default_rng(8)
MEAN = RNG.uniform(0, 255, (4, 5, 3)).astype(np.float32)


def keys(n):
    return jax.random.split(jax.random.key(3), n)


class Linear(nn.Module):
    """A linear classifier with the contract of a network; counts its training calls in batch_stats."""

    @nn.compact
    def __call__(self, images, train=False):
        calls = self.variable("batch_stats", "calls", lambda: jnp.zeros(()))
        if train:
            calls.value += 1
        return nn.Dense(3)(images.reshape(len(images), -1)), {}


@pytest.fixture(scope="module")
def example():
    task = Classification(MEAN, 50.0)
    batch = {"image": RNG.normal(size=(6, 4, 5, 3)).astype(np.float32), "label": np.array([0, 2, 1, 1, 0, 2])}
    variables = Linear().init(jax.random.key(0), batch["image"])
    return task, batch, variables


def test_preprocess_normalises_and_passes_the_rest_on():
    images = RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    batch = {"image": images, "label": np.arange(6), "mask": np.ones(6)}
    result = Classification(MEAN, 50.0, pad=1, flip=True).preprocess(batch, None, train=False)
    assert result["image"].dtype == np.float32
    np.testing.assert_allclose(result["image"], (images.astype(np.float64) - MEAN) / 50, rtol=1e-5, atol=1e-6)
    assert result["label"] is batch["label"]
    assert result["mask"] is batch["mask"]
    assert batch["image"] is images


def test_training_without_augmentations_is_evaluation():
    task = Classification(MEAN, 50.0)
    batch = {"image": RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)}
    trained, evaluated = (task.preprocess(batch, keys(6), train)["image"] for train in (True, False))
    np.testing.assert_array_equal(trained, evaluated)


@pytest.mark.parametrize(("pad", "flip"), [(1, False), (0, True), (2, True)])
def test_training_augments_what_is_normalised(pad, flip):
    batch = {"image": RNG.integers(0, 256, (16, 4, 5, 3), dtype=np.uint8)}
    task = Classification(MEAN, 50.0, pad, flip)
    expected = plain = task.preprocess(batch, None, train=False)["image"]
    # Each augmentation has a stream of its own, so that one does not change with the other.
    fold = lambda number: jax.vmap(lambda key: jax.random.fold_in(key, number))(keys(16))  # noqa: E731
    if flip:
        expected = augment.flip(fold(0), expected)
    if pad:
        expected = augment.pad_and_crop(fold(1), expected, pad)
    found = task.preprocess(batch, keys(16), train=True)["image"]
    np.testing.assert_array_equal(found, expected)
    assert (found != plain).any()


def test_loss_and_errors_are_those_of_numpy(example):
    task, batch, variables = example
    loss, (sums, updates) = task.loss(Linear(), variables, batch, {}, train=False)
    dense = variables["params"]["Dense_0"]
    logits = batch["image"].reshape(6, -1) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])
    each = -special.log_softmax(logits, -1)[np.arange(6), batch["label"]]
    np.testing.assert_allclose(loss, each.mean(), rtol=1e-5)
    np.testing.assert_allclose(sums["loss"], each.sum(), rtol=1e-5)
    assert sums["errors"] == (logits.argmax(-1) != batch["label"]).sum()
    assert sums["count"] == 6
    assert updates == {}


def test_masked_examples_do_not_count(example):
    task, batch, variables = example
    mask = np.array([1, 0, 1, 1, 0, 1], np.float32)
    kept = {name: value[mask == 1] for name, value in batch.items()}
    masked = task.loss(Linear(), variables, {**batch, "mask": mask}, {}, train=False)
    subset = task.loss(Linear(), variables, kept, {}, train=False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), masked, subset)
    assert masked[1][0]["count"] == 4
    gradient = lambda batch: jax.grad(  # noqa: E731
        lambda params: task.loss(Linear(), {**variables, "params": params}, batch, {}, train=False)[0]
    )(variables["params"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        gradient({**batch, "mask": mask}),
        gradient(kept),
    )


def test_calibration_and_logits_are_those_of_loops(example):
    """Equal bins of confidence; in each, what is claimed less what is right."""
    _, _, variables = example
    rng = np.random.default_rng(0)
    big = {"image": rng.normal(size=(500, 4, 5, 3)).astype(np.float32), "label": rng.integers(0, 3, 500)}
    big["mask"] = (np.arange(500) % 7 > 0).astype(np.float32)
    task = Classification(MEAN, 50.0)
    found = task.compute(task.loss(Linear(), variables, big, {}, train=False)[1][0])
    dense = variables["params"]["Dense_0"]
    logits = big["image"].reshape(500, -1) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])
    bins = [[] for _ in range(15)]
    for row, label, kept in zip(logits, big["label"], big["mask"], strict=True):
        if kept:
            confidence = special.softmax(row).max()
            bins[min(int(15 * confidence), 14)].append((confidence, row.argmax() == label))
    total = sum(map(len, bins))
    expected = sum(abs(sum(c for c, _ in each) - sum(right for _, right in each)) for each in bins) / total
    np.testing.assert_allclose(found["calibration_error"], expected, rtol=1e-4)
    gap = (logits.max(-1) - logits.mean(-1))[big["mask"] == 1].mean()
    np.testing.assert_allclose(found["logit_gap"], gap, rtol=1e-4)
    assert set(found) == set(METRICS)


class TwoHeads(nn.Module):
    """Two linear classifiers, the second an auxiliary one."""

    @nn.compact
    def __call__(self, images, train=False):
        flat = images.reshape(len(images), -1)
        return nn.Dense(3)(flat), {"first_logits": nn.Dense(3)(flat), "first": flat}


def test_auxiliary_classifiers_and_smoothing_are_of_training_alone(example):
    _, batch, _ = example
    variables = TwoHeads().init(jax.random.key(0), batch["image"])
    flat, target = batch["image"].reshape(6, -1), 0.9 * np.eye(3)[batch["label"]] + 0.1 / 3
    logs = [
        special.log_softmax(flat @ np.asarray(each["kernel"]) + np.asarray(each["bias"]), -1)
        for each in variables["params"].values()
    ]
    main, side = (-(target * each).sum(-1).mean() for each in logs)
    task = Classification(MEAN, 50.0, label_smoothing=0.1, auxiliary_weight=0.3)
    loss, (sums, _) = task.loss(TwoHeads(), variables, batch, {}, train=True)
    np.testing.assert_allclose(loss, main + 0.3 * side, rtol=1e-5)
    plain, (evaluated, _) = task.loss(TwoHeads(), variables, batch, {}, train=False)
    np.testing.assert_allclose(plain, -logs[0][np.arange(6), batch["label"]].mean(), rtol=1e-5)
    assert all(sums[name] == evaluated[name] for name in ("loss", "errors", "count"))
    mask = np.array([1, 0, 1, 1, 0, 1], np.float32)
    kept = {name: value[mask == 1] for name, value in batch.items()}
    masked, subset = (
        task.loss(TwoHeads(), variables, each, {}, train=True)[0] for each in ({**batch, "mask": mask}, kept)
    )
    np.testing.assert_allclose(masked, subset, rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("label_smoothing", 1.0, "at least 0 and below 1, not 1.0"),
        ("label_smoothing", float("nan"), "at least 0 and below 1, not nan"),
        ("auxiliary_weight", -0.1, "at least 0, not -0.1"),
        ("auxiliary_weight", float("inf"), "at least 0, not inf"),
    ],
)
def test_what_is_no_smoothing_or_weight(field, value, message):
    with pytest.raises(errors.UserError, match=rf"task\.{field} is {message}"):
        Classification(MEAN, 1.0, **{field: value})


def test_only_training_changes_variables(example):
    task, batch, variables = example
    _, (_, updates) = task.loss(Linear(), variables, batch, {"dropout": jax.random.key(0)}, train=True)
    assert updates["batch_stats"]["calls"] == 1
    assert set(updates) == {"batch_stats"}


def test_the_metric_is_a_monoid():
    task = Classification(MEAN, 1.0)
    sums = [
        {**task.init(), **dict(zip(("loss", "errors", "count"), map(jnp.float32, each), strict=True))}
        for each in [(5, 1, 4), (3, 2, 8), (7, 0, 2)]
    ]
    equal = lambda one, other: jax.tree.map(np.testing.assert_array_equal, one, other)  # noqa: E731
    a, b, c = sums
    equal(task.merge(task.init(), a), a)
    equal(task.merge(a, task.init()), a)
    equal(task.merge(task.merge(a, b), c), task.merge(a, task.merge(b, c)))
    computed = task.compute(task.merge(task.merge(a, b), c))
    assert (computed["loss"], computed["error"]) == (15 / 14, 3 / 14)


def test_the_metric_of_batches_is_that_of_all(example):
    task, batch, variables = example
    total = task.init()
    for first in (0, 4):
        part = {name: value[first : first + 4] for name, value in batch.items()}
        total = task.merge(total, task.loss(Linear(), variables, part, {}, train=False)[1][0])
    whole = task.compute(task.loss(Linear(), variables, batch, {}, train=False)[1][0])
    assert task.compute(total) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("pad", [-1, 8, 99])
def test_padding_that_is_none_or_leaves_nothing_of_an_image(pad):
    with pytest.raises(errors.UserError, match=rf"task\.pad is at least 0 and below the 8 pixels of .*, not {pad}"):
        Classification(np.zeros((8, 9, 3)), 1.0, pad=pad)
    Classification(np.zeros((8, 9, 3)), 1.0, pad=7)


def wide(**settings):
    return Classification(np.full((12, 12, 3), 7.0, np.float32), 50.0, **settings)


def test_what_the_network_sees_of_an_image():
    batch = {"image": RNG.integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)}
    plain = (batch["image"] - 7.0) / 50
    task = wide(crop=8)
    assert task.shape == (8, 8, 3)
    np.testing.assert_allclose(task.preprocess(batch, None, False)["image"], plain[:, 2:10, 2:10], rtol=1e-5)
    found = np.asarray(task.preprocess(batch, keys(4), True)["image"])
    for image, part in zip(plain, found, strict=True):
        assert any(np.allclose(image[y : y + 8, x : x + 8], part, atol=1e-5) for y in range(5) for x in range(5))
    for settings in ({"jitter": (16, 24)}, {"area": (0.1, 1.0), "aspect": (0.75, 1.33)}):
        task = wide(crop=16, **settings)
        for train in (True, False):
            assert task.preprocess(batch, keys(4), train)["image"].shape == (4, 16, 16, 3)


def test_colours_move_in_training_only():
    batch = {"image": RNG.integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)}
    task = wide(colours=np.eye(3, dtype=np.float32) * 5)
    plain = (batch["image"] - 7.0) / 50
    np.testing.assert_allclose(task.preprocess(batch, None, False)["image"], plain, rtol=1e-5, atol=1e-6)
    moved = np.asarray(task.preprocess(batch, keys(4), True)["image"]) - plain
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1, :1], moved.shape), atol=1e-5)
    assert 0.01 < np.abs(moved).max() < 0.5  # five of fifty


@pytest.mark.parametrize("settings", [{}, {"crop": 8}, {"crop": 8, "jitter": (9, 11)}])
def test_pixels_come_back(settings):
    """Of the whole image, a crop, and a crop of one that was resized: what goes in without mean and deviation."""
    images = RNG.integers(0, 256, (3, 12, 12, 3)).astype(np.uint8)
    task = dataclasses.replace(wide(**settings), mean=images.mean(0, dtype=np.float32))
    plain = dataclasses.replace(task, mean=np.zeros_like(task.mean), scale=1.0)
    seen, expected = (each.preprocess({"image": images}, None, train=False)["image"] for each in (task, plain))
    np.testing.assert_allclose(task.pixels(seen), expected, atol=1e-3)
    whitened = dataclasses.replace(wide(), contrast="global")
    np.testing.assert_array_equal(whitened.pixels(seen), seen)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": 13}, "task.crop is at least 0 and at most the 12 pixels of the images' shorter side, not 13"),
        ({"crop": -1}, "task.crop is at least 0 and at most"),
        ({"jitter": (8, 12)}, "want a task.crop"),
        ({"crop": 8, "jitter": (7, 12)}, r"task.jitter is two sides of at least task.crop \(8\)"),
        ({"crop": 8, "jitter": (12,)}, "task.jitter is two sides"),
        ({"crop": 8, "jitter": (8, 12), "area": (0.1, 1.0), "aspect": (1.0, 1.0)}, "two ways to a crop"),
        ({"crop": 8, "area": (0.1, 1.5), "aspect": (1.0, 1.0)}, "task.area is two shares"),
        ({"crop": 8, "area": (0.1, 1.0)}, "task.aspect is two ratios"),
        ({"photometric": 1.0}, "task.photometric is at least 0 and below 1"),
    ],
)
def test_crops_that_cannot_be(settings, message):
    with pytest.raises(errors.UserError, match=message):
        wide(**settings)
