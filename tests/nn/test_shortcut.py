"""Shortcuts A, B and C: values, parameters, shapes."""

import functools

import jax
import numpy as np
import pytest

from cnnjax.nn.conv import Conv
from cnnjax.nn.norm import BatchNorm
from cnnjax.nn.shortcut import KINDS, Shortcut

X = np.random.default_rng(5).standard_normal((2, 7, 8, 4)).astype(np.float32)


def make(kind, features, strides):
    return Shortcut(kind, features, strides, functools.partial(Conv, use_bias=False), BatchNorm)


def parameters(kind, features, strides):
    shapes = jax.eval_shape(functools.partial(make(kind, features, strides).init, train=False), jax.random.key(0), X)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
            for path, leaf in jax.tree_util.tree_leaves_with_path(shapes.get("params", {}))}  # fmt: skip


PROJECTION = {"conv/kernel": (1, 1, 4, 8), "norm/scale": (8,), "norm/bias": (8,)}
SQUARE = {"conv/kernel": (1, 1, 4, 4), "norm/scale": (4,), "norm/bias": (4,)}


@pytest.mark.parametrize(
    ("kind", "features", "strides", "expected"),
    [
        ("A", 4, (1, 1), {}),
        ("A", 8, (2, 2), {}),
        ("B", 4, (1, 1), {}),
        ("B", 8, (2, 2), PROJECTION),
        ("B", 8, (1, 1), PROJECTION),
        ("B", 4, (2, 2), SQUARE),
        ("C", 4, (1, 1), SQUARE),
        ("C", 8, (2, 2), PROJECTION),
    ],
)
def test_parameters(kind, features, strides, expected):
    assert parameters(kind, features, strides) == expected


def test_the_kinds_are_those_of_the_paper_and_none():
    assert set(KINDS) == {"none", "A", "B", "C"}


@pytest.mark.parametrize("kind", ["A", "B"])
def test_identity_where_the_shape_stays(kind):
    y = make(kind, 4, (1, 1)).apply({}, X, train=False)
    np.testing.assert_array_equal(y, X)


def test_a_takes_every_second_position_and_appends_zeros():
    y = make("A", 10, (2, 2)).apply({}, X, train=False)
    assert y.shape == (2, 4, 4, 10)
    for row in range(4):
        for column in range(4):
            np.testing.assert_array_equal(y[:, row, column, :4], X[:, 2 * row, 2 * column])
    np.testing.assert_array_equal(y[..., 4:], np.zeros((2, 4, 4, 6)))


@pytest.mark.parametrize("kind", ["B", "C"])
def test_projection_is_a_normalised_matrix_product_of_every_second_position(kind):
    module = make(kind, 6, (2, 2))
    variables = module.init(jax.random.key(1), X, train=False)
    y, updates = module.apply(variables, X, train=True, mutable=["batch_stats"])
    z = X[:, ::2, ::2].astype(np.float64) @ np.asarray(variables["params"]["conv"]["kernel"], np.float64)[0, 0]
    mean, var = z.mean((0, 1, 2)), z.var((0, 1, 2))
    np.testing.assert_allclose(y, (z - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(updates["batch_stats"]["norm"]["mean"], 0.1 * mean, rtol=1e-4, atol=1e-6)
