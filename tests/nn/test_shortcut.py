"""Shortcuts A, B and C: values, parameters, shapes."""

import jax
import numpy as np
import pytest

from cnnjax.nn.rows import Conv, Scope
from cnnjax.nn.shortcut import KINDS, Block, Shortcut

X = np.random.default_rng(5).standard_normal((2, 7, 8, 4)).astype(np.float32)


@pytest.fixture
def make(settings):
    def module(kind, features, strides, train=False):
        return Scope((Shortcut(kind, features, strides),), settings(train))

    return module


def shapes_of(module):
    shapes = jax.eval_shape(module.init, jax.random.key(0), X)
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
        ("B3", 8, (2, 2), {**PROJECTION, "conv/kernel": (3, 3, 4, 8)}),
        ("B3", 4, (1, 1), {}),
        ("highway", 8, (2, 2), PROJECTION),
    ],
)
def test_parameters(make, kind, features, strides, expected):
    assert shapes_of(make(kind, features, strides)) == expected


def test_the_kinds():
    assert set(KINDS) == {"none", "A", "B", "C", "B3", "highway"}


@pytest.mark.parametrize("kind", ["A", "B"])
def test_identity_where_the_shape_stays(make, kind):
    y = make(kind, 4, (1, 1)).apply({}, X)
    np.testing.assert_array_equal(y, X)


def test_a_takes_every_second_position_and_appends_zeros(make):
    y = make("A", 10, (2, 2)).apply({}, X)
    assert y.shape == (2, 4, 4, 10)
    for row in range(4):
        for column in range(4):
            np.testing.assert_array_equal(y[:, row, column, :4], X[:, 2 * row, 2 * column])
    np.testing.assert_array_equal(y[..., 4:], np.zeros((2, 4, 4, 6)))


@pytest.mark.parametrize("kind", ["B", "C"])
def test_projection_is_a_normalised_matrix_product_of_every_second_position(make, kind):
    variables = make(kind, 6, (2, 2)).init(jax.random.key(1), X)
    y, updates = make(kind, 6, (2, 2), train=True).apply(variables, X, mutable=["batch_stats"])
    z = X[:, ::2, ::2].astype(np.float64) @ np.asarray(variables["params"]["conv"]["kernel"], np.float64)[0, 0]
    mean, var = z.mean((0, 1, 2)), z.var((0, 1, 2))
    np.testing.assert_allclose(y, (z - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(updates["batch_stats"]["norm"]["mean"], 0.1 * mean, rtol=1e-4, atol=1e-6)


def test_a_highway_block_is_gated(settings):
    """Srivastava et al. 2015, equation 3: y = H · T + x · (1 - T), written down with numpy."""
    body = (Conv("conv1", 4, 1, activation="identity", norm=False),)
    module = Block(body, "highway", 4, (1, 1)).module(settings(norm=None), "block")
    variables = module.init(jax.random.key(2), X)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    assert set(params) == {"conv1", "conv_gate"}
    np.testing.assert_array_equal(params["conv_gate"]["bias"], -2)
    h = np.maximum(X @ params["conv1"]["kernel"][0, 0] + params["conv1"]["bias"], 0)
    t = 1 / (1 + np.exp(-(X @ params["conv_gate"]["kernel"][0, 0] - 2)))
    np.testing.assert_allclose(module.apply(variables, X), h * t + X * (1 - t), rtol=1e-4, atol=1e-5)
