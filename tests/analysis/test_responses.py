"""Layer responses: against NumPy where the numbers can be had by hand, and one name a normalisation."""

import jax
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import responses


def network(**fields):
    model = models.create("resnet_cifar", depth=14, width=2, **fields)
    images = np.random.default_rng(0).standard_normal((12, 8, 8, 3)).astype(np.float32) + 0.5
    return model, model.init(jax.random.key(0), images), images


def test_the_first_layers_is_that_of_its_normalised_convolution():
    """Parts of different sizes: the deviation is over all examples, not the mean of the parts' deviations."""
    model, variables, images = network()
    maps = jax.lax.conv_general_dilated(
        images, variables["params"]["conv1"]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    variables["params"]["norm1"]["scale"] = np.array([2.0, 3.0], np.float32)
    variables["params"]["norm1"]["bias"] = np.array([-1.0, 1.0], np.float32)
    expected = np.asarray(maps, np.float64) / np.sqrt(1 + 1e-5) * [2, 3] + [-1, 1]
    found = responses.deviations(model, variables, [images[:7], images[7:]])
    assert next(iter(found)) == "norm1"
    assert found["norm1"] == pytest.approx(expected.std(), rel=1e-5)


def test_a_layer_is_measured_before_its_sum_and_its_activation():
    """A block whose last scale is zero puts out what comes in; its layer's response is nothing."""
    model, variables, images = network()
    variables["params"]["stage2"]["block2"]["norm2"]["scale"] *= 0
    assert responses.deviations(model, variables, [images])["stage2/block2/norm2"] == 0


def test_scanned_networks_have_the_same_in_the_order_of_the_layers():
    unrolled, variables, images = network(scan=False, shortcut="B")
    scanned, stacked, _ = network(scan=True, shortcut="B")
    jax.tree.map(np.testing.assert_array_equal, stacked["params"]["conv1"], variables["params"]["conv1"])
    found = responses.deviations(scanned, stacked, [images])
    names = [name for name in found if "shortcut" not in name]
    blocks = [f"stage{s}/block{b}/norm{n}" for s in (1, 2, 3) for b in (1, 2) for n in (1, 2)]
    assert names == ["norm1", *blocks]
    assert len(found) == 15  # and two projections
    assert [*found] == [*responses.deviations(unrolled, variables, [images])]


def test_what_cannot_be_measured():
    model, variables, images = network()
    with pytest.raises(errors.UserError, match="no batch of images"):
        responses.deviations(model, variables, [])
    model, variables, images = network(batch_norm=False)
    with pytest.raises(errors.UserError, match="no batch normalisation"):
        responses.deviations(model, variables, [images])
