"""The table of layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis.layers import evaluated, forward, layers


def network(scan, depth=20, **fields):
    return models.create("resnet_cifar", depth=depth, scan=scan, **fields)


def test_layers_of_a_small_network_in_order():
    found = [
        (layer.name, layer.output, layer.count)
        for layer in layers(network(False, 8, width=2, shortcut="B"), (4, 8, 8, 3))
    ]
    assert found == [
        ("conv1", (4, 8, 8, 2), 3 * 3 * 3 * 2),
        ("norm1", (4, 8, 8, 2), 4),
        ("stage1/block1/conv1", (4, 8, 8, 2), 3 * 3 * 2 * 2),
        ("stage1/block1/norm1", (4, 8, 8, 2), 4),
        ("stage1/block1/conv2", (4, 8, 8, 2), 3 * 3 * 2 * 2),
        ("stage1/block1/norm2", (4, 8, 8, 2), 4),
        ("stage2/block1/conv1", (4, 4, 4, 4), 3 * 3 * 2 * 4),
        ("stage2/block1/norm1", (4, 4, 4, 4), 8),
        ("stage2/block1/conv2", (4, 4, 4, 4), 3 * 3 * 4 * 4),
        ("stage2/block1/norm2", (4, 4, 4, 4), 8),
        ("stage2/block1/shortcut/conv", (4, 4, 4, 4), 2 * 4),
        ("stage2/block1/shortcut/norm", (4, 4, 4, 4), 8),
        ("stage3/block1/conv1", (4, 2, 2, 8), 3 * 3 * 4 * 8),
        ("stage3/block1/norm1", (4, 2, 2, 8), 16),
        ("stage3/block1/conv2", (4, 2, 2, 8), 3 * 3 * 8 * 8),
        ("stage3/block1/norm2", (4, 2, 2, 8), 16),
        ("stage3/block1/shortcut/conv", (4, 2, 2, 8), 4 * 8),
        ("stage3/block1/shortcut/norm", (4, 2, 2, 8), 16),
        ("classifier", (4, 10), 8 * 10 + 10),
    ]


@pytest.mark.parametrize("shortcut", ["A", "C"])
def test_scanned_networks_have_the_layers_of_unrolled_ones(shortcut):
    depth = 68  # eleven blocks a stage: block10 comes after block9, not after block1
    scanned, unrolled = (layers(network(scan, depth, shortcut=shortcut), (1, 32, 32, 3)) for scan in (True, False))
    assert scanned == unrolled
    blocks = [
        layer.name.split("/")[1]
        for layer in scanned
        if layer.name.startswith("stage2") and layer.name.endswith("conv1")
    ]
    assert blocks == [f"block{number}" for number in range(1, 12)]


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
@pytest.mark.parametrize("scan", [True, False])
def test_no_parameter_is_missing(shortcut, scan):
    model = network(scan, shortcut=shortcut)
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    assert sum(layer.count for layer in layers(model, (1, 32, 32, 3))) == sum(
        leaf.size for leaf in jax.tree.leaves(params)
    )


def test_a_measure_is_compiled_once_for_all_states_of_a_network():
    model = network(True, 20, width=4)
    images = jax.random.normal(jax.random.key(1), (5, 8, 8, 3))
    states = [model.init(jax.random.key(seed), images) for seed in (0, 1)]
    traced = []

    def both(model, variables, images, name):
        traced.append(images.shape)
        logits, found = forward(model, variables, images)
        return logits, found[name]

    for variables in states:
        logits, maps = zip(*evaluated(both, model, variables, [images[:3], images[3:]], "stage2/block2"), strict=True)
        assert all(isinstance(each, np.ndarray) for each in (*logits, *maps))
        expected, taps = model.apply(variables, images)
        np.testing.assert_allclose(np.concatenate(logits), expected, rtol=1e-3, atol=1e-4)
        # Of three blocks the second is before the tap, which is the third one's.
        assert maps[1].shape == (2, *taps["stage2"].shape[1:])
        assert np.abs(np.concatenate(maps) - taps["stage2"]).max() > 0.01
    assert traced == [(3, 8, 8, 3), (2, 8, 8, 3)]
    with pytest.raises(errors.UserError, match="there is no batch of images"):
        [*evaluated(both, model, states[0], [], "stage2")]
