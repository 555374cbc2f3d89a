"""The optimiser against loops in numpy, and which parameters decay."""

import functools
import itertools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from cnnjax import errors, models
from cnnjax.nn import stacking
from cnnjax.train import optimizer

BASE = {
    "kind": "sgd",
    "momentum": 0.9,
    "nesterov": False,
    "second_moment": 0.8,
    "epsilon": 1e-3,
    "clip": 0.0,
    "weight_decay": 0.05,
    "decay": "coupled",
    "decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 1.0)),
}


def make(rate=lambda step: 1.0, **changes):
    return optimizer.make(ml_collections.ConfigDict({**BASE, **changes}), rate)


def slow_sgd(params, gradients, rates, momentum, nesterov, decay, coupled, multipliers):
    """The update rule parameter by parameter, number by number."""
    params = {name: value.astype(np.float64) for name, value in params.items()}
    velocity = {name: np.zeros(value.shape) for name, value in params.items()}
    for step, rate in enumerate(rates):
        for name, w in params.items():
            penalty = decay * multipliers[name] * w
            g = gradients[step][name] + (penalty if coupled else 0)
            velocity[name] = momentum * velocity[name] + g
            change = g + momentum * velocity[name] if nesterov else velocity[name]
            params[name] = w - rate * (change + (0 if coupled else penalty))
    return params


@pytest.mark.parametrize(("decay", "nesterov"), [*itertools.product(["coupled", "decoupled"], [False, True])])
def test_several_steps_with_a_changing_rate(decay, nesterov):
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 2), "scale": (2,), "bias": (2,)}
    draw = lambda: {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}  # noqa: E731
    start, gradients = draw(), [draw() for _ in range(6)]
    rates = [0.1, 0.1, 0.1, 0.01, 0.01, 0.5]
    patterns = (("kernel$", 1.0), ("scale$", 0.5), ("bias$", 0.0))
    transformation = make(
        lambda step: jnp.array(rates)[step], decay=decay, nesterov=nesterov, decay_multipliers=patterns
    )
    params, state, update = start, transformation.init(start), jax.jit(transformation.update)
    for each in gradients:
        changes, state = update(each, state, params)
        params = optax.apply_updates(params, changes)
    multipliers = {"kernel": 1.0, "scale": 0.5, "bias": 0.0}
    expected = slow_sgd(start, gradients, rates, 0.9, nesterov, 0.05, decay == "coupled", multipliers)
    other = slow_sgd(start, gradients, rates, 0.9, nesterov, 0.05, decay != "coupled", multipliers)
    for name in shapes:
        np.testing.assert_allclose(params[name], expected[name], rtol=1e-5, atol=1e-6)
    assert np.abs(params["kernel"] - other["kernel"]).max() > 1e-3  # so that the two kinds are told apart


def slow_rmsprop(w, gradients, rate):
    """Szegedy et al. 2015 (Rethinking), §8, as TensorFlow has it: v = m v + η g / √(s + ε), s from one on."""
    mean, velocity = np.ones(w.shape), np.zeros(w.shape)
    for g in gradients:
        mean = 0.8 * mean + 0.2 * g**2
        velocity = 0.9 * velocity + g / np.sqrt(mean + 1e-3)
        w = w - rate * velocity
    return w


def slow_adam(w, gradients, rate):
    """Kingma & Ba 2014, algorithm 1."""
    first, second = np.zeros(w.shape), np.zeros(w.shape)
    for t, g in enumerate(gradients, start=1):
        first, second = 0.9 * first + 0.1 * g, 0.8 * second + 0.2 * g**2
        w = w - rate * first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.8**t)) + 1e-3)
    return w


@pytest.mark.parametrize(("kind", "slow"), [("rmsprop", slow_rmsprop), ("adam", slow_adam)])
def test_the_other_kinds(kind, slow):
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal((3, 2)), rng.standard_normal((7, 3, 2))
    transformation = make(lambda step: 0.1, kind=kind, weight_decay=0.0, decay_multipliers=((".", 1.0),))
    params = {"kernel": jnp.float32(start)}
    state = transformation.init(params)
    for each in gradients:
        changes, state = transformation.update({"kernel": jnp.float32(each)}, state, params)
        params = optax.apply_updates(params, changes)
    np.testing.assert_allclose(params["kernel"], slow(start, gradients, 0.1), rtol=1e-4, atol=1e-5)


def test_gradients_are_clipped_together_before_they_decay():
    transformation = make(lambda step: 1.0, clip=1.0, momentum=0.0)
    params = {"kernel": jnp.array([2.0]), "bias": jnp.array([4.0])}
    large, small = ({"kernel": jnp.array([3.0 * each]), "bias": jnp.array([4.0 * each])} for each in (1.0, 0.1))
    for gradients, expected in ((large, (0.6, 0.8)), (small, (0.3, 0.4))):
        changes, _ = transformation.update(gradients, transformation.init(params), params)
        np.testing.assert_allclose(
            [-changes["kernel"][0], -changes["bias"][0]], np.add(expected, (0.1, 0.2)), rtol=1e-6
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "sdg"}, "unknown optimizer.kind 'sdg'; did you mean sgd"),
        ({"momentum": 1.0}, "optimizer.momentum is at least 0 and below 1, not 1.0"),
        ({"second_moment": -0.1}, "optimizer.second_moment is at least 0 and below 1, not -0.1"),
        ({"epsilon": float("nan")}, "optimizer.epsilon is at least 0, not nan"),
        ({"clip": -1.0}, "optimizer.clip is at least 0, not -1.0"),
        ({"weight_decay": -0.1}, "optimizer.weight_decay is at least 0, not -0.1"),
    ],
)
def test_what_is_no_optimiser(changes, message):
    with pytest.raises(errors.UserError, match=message):
        make(**changes)


def test_an_unknown_kind_of_decay():
    with pytest.raises(errors.UserError, match=r"unknown kind of weight decay 'couple'; did you mean coupled"):
        make(decay="couple")


@functools.cache
def shapes(scan):
    model = models.create("resnet_cifar", depth=32, width=4, scan=scan)
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]


PATTERNS = (
    ("^stage2/block3/", 0.0),
    ("^stage3/block[45]/conv2/kernel$", 3.0),
    ("^stage1/.*scale$", 0.25),
    ("kernel$", 1.0),
    ("(scale|bias)$", 0.5),
)


def expected_multiplier(name):
    if name.startswith("stage2/block3/"):
        return 0.0
    if name in ("stage3/block4/conv2/kernel", "stage3/block5/conv2/kernel"):
        return 3.0
    if name.startswith("stage1/") and name.endswith("scale"):
        return 0.25
    return 1.0 if name.endswith("kernel") else 0.5


@pytest.mark.parametrize("scan", [True, False])
def test_the_first_pattern_found_in_the_unstacked_name_decides(scan):
    tree = optimizer.multipliers(shapes(scan), PATTERNS)
    assert jax.tree.structure(tree) == jax.tree.structure(shapes(scan))
    found = {name: leaf.item() for name, leaf in stacking.names(jax.tree.map(np.asarray, tree)).items()}
    assert found == {name: expected_multiplier(name) for name in stacking.names(shapes(False))}
    assert sorted(set(found.values())) == [0.0, 0.25, 0.5, 1.0, 3.0]


@pytest.mark.parametrize("scan", [True, False])
def test_a_single_block_of_a_scanned_stage_can_be_spared(scan):
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes(scan))
    transformation = make(decay_multipliers=(("^stage2/block3/", 0.0), ("", 1.0)), weight_decay=0.25)
    zeros = jax.tree.map(np.zeros_like, params)
    changes = jax.jit(lambda g, p: transformation.update(g, transformation.init(p), p)[0])(zeros, params)
    for name, change in stacking.names(jax.tree.map(np.asarray, changes)).items():
        np.testing.assert_array_equal(change, 0.0 if name.startswith("stage2/block3/") else -0.25, err_msg=name)


def test_every_parameter_must_be_covered():
    with pytest.raises(errors.UserError, match=r"nothing matches '\S+bias' \(patterns: kernel\$, scale\$\)"):
        optimizer.multipliers(shapes(True), (("kernel$", 1.0), ("scale$", 1.0)))


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (("kernel(", 1.0), "missing )"),
        (("kernel$",), "not enough values"),
        (("kernel$", 1.0, 2.0), "too many values"),
        (("kernel$", "1.0"), "'1.0' is no number"),
        (("kernel$", None), "None is no number"),
        ((3, 1.0), "first argument must be string"),
        ("k1", "'1' is no number"),
        (3, "cannot unpack"),
    ],
)
def test_what_is_no_pattern_is_said(entry, problem):
    with pytest.raises(errors.UserError) as caught:
        optimizer.multipliers(shapes(False), (entry, ("", 1.0)))
    start, _, reason = str(caught.value).partition(f", not {entry!r}: ")
    assert start == "optimizer.decay_multipliers holds pairs (regular expression, multiplier)"
    assert problem in reason


@pytest.mark.parametrize("pattern", ["^stage4/", "stage2/block6/", "block2_to_5", "kernel$"])
def test_a_pattern_that_decides_nothing_is_a_mistake(pattern):
    patterns = (
        (("kernel$|scale$|bias$", 1.0), ("^stage4/|^kernel$", 1.0))
        if pattern == "kernel$"
        else ((pattern, 0.0), ("", 1.0))
    )
    with pytest.raises(errors.UserError, match="nothing is decided by"):
        optimizer.multipliers(shapes(True), patterns)
