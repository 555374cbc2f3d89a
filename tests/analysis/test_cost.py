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


def test_layers_of_alexnet_by_arithmetic():
    """Krizhevsky et al. 2012, §3.5: sides 55, 27 and 13; the second, fourth and fifth layers see half of the maps."""
    found = cost.by_layer(models.create("alexnet"), (2, 227, 227, 3))
    assert found == {
        "conv1": 2 * 55 * 55 * 96 * 11 * 11 * 3,
        "conv2": 2 * 27 * 27 * 256 * 5 * 5 * 48,
        "conv3": 2 * 13 * 13 * 384 * 3 * 3 * 256,
        "conv4": 2 * 13 * 13 * 384 * 3 * 3 * 192,
        "conv5": 2 * 13 * 13 * 256 * 3 * 3 * 192,
        "fc6": 2 * 6 * 6 * 256 * 4096,
        "fc7": 2 * 4096 * 4096,
        "fc8": 2 * 4096 * 1000,
    }
    assert [*found][:2] == ["conv1", "conv2"]


@pytest.mark.parametrize("scan", [True, False])
def test_a_scanned_networks_blocks_are_layers_of_their_own(scan):
    found = cost.by_layer(models.create("resnet_cifar", depth=14, width=4, scan=scan), (1, 16, 16, 3))
    assert found["stage2/block2/conv1"] == found["stage2/block1/conv2"] == 8 * 8 * 8 * 8 * 9
    assert len(found) == 14


def test_auxiliary_classifiers_are_layers_too():
    model = models.create("googlenet")
    found = cost.by_layer(model, (1, 224, 224, 3))
    side = sum(count for name, count in found.items() if name.startswith("aux"))
    assert sum(found.values()) - side == cost.forward(model, (1, 224, 224, 3))
    # A 1×1 convolution of 4×4×512 (and ×528) to 128, layers of 2048 to 1024 and of 1024 to 1000; Szegedy et al. 2014, §5.
    assert side == 16 * (512 + 528) * 128 + 2 * (2048 * 1024 + 1024 * 1000)
