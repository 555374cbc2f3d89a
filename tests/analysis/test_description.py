"""What is said of a network: every registered one, and agreement with what is counted elsewhere."""

import math

import jax
import jax.numpy as jnp
import pytest

from cnnjax import models
from cnnjax.analysis import cost, description, sizes
from cnnjax.analysis.layers import unrolled

KNOWN = sizes.known()
FAST = ("alexnet", "googlenet", "lenet5", "resnet20", "seresnet18", "vgg16")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in sorted(models.entries())]
)
def test_layers_add_up_to_the_network(name):
    model = models.create(name)
    found = description.describe(model, model.input_shape)
    assert (found.parameters, found.macs, found.used) == (KNOWN[name].parameters, KNOWN[name].macs, KNOWN[name].used)
    assert found.layers["parameters"].sum() == found.parameters
    assert found.used <= found.parameters
    assert found.layers["macs"].sum() >= found.macs
    assert (found.layers["macs"].sum() == found.macs) == (found.used == found.parameters)
    images = jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    alone, _ = unrolled(model, {})
    if alone is model or alone == model:  # scanned stages have other variables
        assert found.flops == cost.flops(model.apply, variables, images)
    assert not found.layers["layer"].duplicated().any()
    largest = max(math.prod(output) for output in found.layers["output"])
    assert largest <= found.inference <= found.stored + math.prod(model.input_shape)


def test_the_published_integers():
    googlenet = description.describe(models.create("googlenet"), (224, 224, 3))
    assert (googlenet.parameters, googlenet.used) == (13_378_280, 6_998_552)
    assert round(googlenet.macs / 1e9, 3) == 1.583
    resnet = description.describe(models.create("resnet50"), (224, 224, 3))
    assert (resnet.parameters, resnet.used, resnet.macs) == (25_557_032, 25_557_032, 3_857_973_248)


def test_rows_are_in_the_order_of_the_computation():
    """Also where a tap behind an activation has the name of the convolution, and where dropout does nothing."""
    resnet = description.describe(models.create("resnet50"), (224, 224, 3)).layers
    assert resnet["layer"].tolist()[:4] == ["conv1", "norm1", "pool1", "stage1/block1/conv1"]
    googlenet = description.describe(models.create("googlenet"), (224, 224, 3)).layers.set_index("layer")
    assert [*googlenet.index].index("global_pool") < [*googlenet.index].index("drop")
    assert googlenet.loc["global_pool", "flops"] == 51_200  # 7 × 7 × 1024, and a division a map
    assert googlenet.loc["drop", "flops"] == 0


def test_windows_by_axis_and_of_branches_that_are_not_aligned():
    """1×7 at a stride of 16 adds 6 × 16 pixels to one axis."""
    layers = description.describe(models.create("inception_v3"), (299, 299, 3)).layers.set_index("layer")
    row = layers.loc["mixed_6b/branch2/conv2"]
    assert sorted(row.shapes["kernel"][:2]) == [1, 7]
    assert row.field_width - row.field == 6 * 16
    assert not layers.problem.any()
    apart = description.describe(models.create("xception", width_factor=0.125), (299, 299, 3)).layers.set_index("layer")
    assert apart.loc["conv2"].aligned
    assert not apart.loc["block2"].aligned


def test_a_row():
    layers = description.describe(models.create("alexnet"), (227, 227, 3)).layers.set_index("layer")
    row = layers.loc["conv2"]
    assert (row.output, row.parameters, row.macs) == ((27, 27, 256), 307_456, 223_948_800)
    assert row.flops == 2 * 223_948_800 + 2 * 27 * 27 * 256  # a bias and a ReLU
    assert (row.stored, row.field, row.stride, row.padding) == (27 * 27 * 256, 51, 8, 16)
    assert row.shapes == {"kernel": (5, 5, 48, 256), "bias": (256,)}
    assert layers.loc["pool1"].flops == 27 * 27 * 96 * 9
    assert list(layers.index[:3]) == ["conv1", "lrn1", "pool1"]
