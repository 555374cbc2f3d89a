"""MACs counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnjax import models
from cnnjax.analysis import cost
from cnnjax.nn.conv import Conv, conv2d

X = jax.ShapeDtypeStruct((2, 10, 12, 6), jnp.float32)


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((3, 3, 6, 4), {"padding": ((1, 1), (1, 1))}, 2 * 10 * 12 * 4 * 3 * 3 * 6),
        ((3, 5, 6, 4), {"strides": (2, 3)}, 2 * 4 * 3 * 4 * 3 * 5 * 6),
        ((3, 3, 1, 6), {"groups": 6}, 2 * 8 * 10 * 6 * 3 * 3),
        ((3, 3, 3, 8), {"groups": 2}, 2 * 8 * 10 * 8 * 3 * 3 * 3),
        ((3, 3, 6, 4), {"dilation": (2, 2)}, 2 * 6 * 8 * 4 * 3 * 3 * 6),
    ],
)
@pytest.mark.parametrize("form", ["canonical", "onednn", "plain"])
def test_convolutions(shape, options, expected, form):
    kernel = jax.ShapeDtypeStruct(shape, jnp.float32)
    assert cost.macs(lambda x, k: conv2d(x, k, form=form, **options), X, kernel) == expected


def test_matrix_products():
    assert cost.macs(jnp.dot, np.ones((3, 5)), np.ones((5, 7))) == 3 * 5 * 7
    assert (
        cost.macs(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), np.ones((2, 3, 5)), np.ones((2, 5, 7)))
        == 2 * 3 * 5 * 7
    )


def test_nothing_else_is_counted():
    assert cost.macs(lambda x: jax.nn.relu(x * 2 + 1).sum() / 3, X) == 0


def test_bodies_of_scans_count_as_often_as_they_run():
    matrix = np.ones((4, 4), np.float32)

    def inner(x):
        return lax.scan(lambda x, _: (matrix @ x, None), x, None, length=3)[0]

    def outer(x):
        return lax.scan(lambda x, _: (inner(jax.jit(jnp.dot)(matrix, x)), None), x, None, length=5)[0]

    assert cost.macs(inner, matrix) == 3 * 64
    assert cost.macs(outer, matrix) == 5 * (1 + 3) * 64
    assert cost.macs(lambda x: lax.fori_loop(0, 7, lambda _, x: matrix @ x, x), matrix) == 7 * 64


@pytest.mark.parametrize("shortcut", ["A", "C"])
def test_a_scanned_network_costs_what_an_unrolled_one_does(shortcut):
    scanned, unrolled = (
        cost.forward(models.create("resnet32", shortcut=shortcut, width=4, scan=scan), (3, 16, 16, 1))
        for scan in (True, False)
    )
    assert scanned == unrolled > 0


def test_a_networks_cost_is_proportional_to_the_batch():
    conv = Conv(4, (3, 3))
    assert cost.forward(conv, (5, 8, 8, 2)) == 5 * cost.forward(conv, (1, 8, 8, 2)) == 5 * 8 * 8 * 4 * 9 * 2
