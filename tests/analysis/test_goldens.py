"""Costs that books, papers and courses work out. Those of whole networks are in `tests/models/test_sizes.py`."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cnnjax import arguments, models
from cnnjax.analysis import cost, description, memory
from cnnjax.analysis.layers import layers, trace
from cnnjax.analysis.memory import MIB
from cnnjax.nn.conv import Conv
from cnnjax.ops.activations import FUNCTIONS
from cnnjax.ops.pooling import pool


class Stack(nn.Module):
    """Convolutions of 3×3 (or another window) and what follows them: a list of maps, strides and windows."""

    rows: tuple[tuple[int, int, int], ...]
    bias: bool = True
    activation: str = "identity"

    @nn.compact
    def __call__(self, images, train=False):
        x, taps = images, {}
        for place, (maps, stride, window) in enumerate(self.rows, start=1):
            edge = (window // 2, window // 2)
            name = f"conv{place}"
            x = Conv(maps, (window, window), (stride, stride), (edge, edge), use_bias=self.bias, name=name)(x)
            x = taps[name] = FUNCTIONS[self.activation](x)
        return x, taps


def test_an_exercise():
    """Géron 2019, chapter 14, exercise 2: three layers of 3×3 at stride 2, 100, 200 and 400 maps, on 200×300 pixels.

    903,400 parameters; one image takes 12.6 MB in prediction, a batch of fifty 526 MB in training, the images not included.
    """
    found = description.describe(Stack(((100, 2, 3), (200, 2, 3), (400, 2, 3))), (200, 300, 3))
    assert found.parameters == 2_800 + 180_200 + 720_400 == 903_400
    assert found.stored == 100 * 150 * 100 + 50 * 75 * 200 + 25 * 38 * 400
    assert memory.inference(found.parameters, found.inference).total(1) == 4 * (1_500_000 + 750_000 + 903_400)
    assert round(memory.inference(found.parameters, found.inference).total(1) / 1e6, 1) == 12.6
    estimate = memory.training(found.parameters, found.stored)
    assert round((estimate.total(50) - estimate.model) / 2 / 1e6) == 526


def test_operations_of_one_convolution():
    """A course's example: one 3×3 kernel without a bias on 5×5 makes 9 products and 8 sums a place, 17 · 9 = 153."""

    class Valid(nn.Module):
        @nn.compact
        def __call__(self, images, train=False):
            return Conv(1, (3, 3), padding=((0, 0), (0, 0)), use_bias=False, name="conv")(images), {}

    assert cost.by_rules(Valid(), (1, 5, 5, 1))["convolutions"] == (153, 153)


def test_operations_of_a_layer_with_a_relu():
    """A course's script: 64 kernels of 3×3×3 on 300×300 without a bias, and a ReLU: 311.04 million."""
    found = cost.by_rules(Stack(((64, 1, 3),), bias=False, activation="relu"), (1, 300, 300, 3))
    assert found["convolutions"] == (305_280_000, 305_280_000)
    assert found["ReLU"] == (5_760_000, 5_760_000)
    assert sum(least for least, _ in found.values()) == 311_040_000


def test_rules_of_one_layer_each():
    """2 · C · k² a value with a bias; k² a value of a pool; 4 to 6 of a normalisation; 1 of a ReLU and 4 of a sigmoid."""

    class All(nn.Module):
        @nn.compact
        def __call__(self, images, train=False):
            x = Conv(5, (3, 3), use_bias=True, name="conv")(images)
            x = jax.nn.sigmoid(pool(jax.nn.relu(x), "max", (3, 3), (2, 2), ((1, 1), (1, 1))))
            x = pool(x, "average", x.shape[1:3]).reshape(len(x), -1)
            return nn.Dense(7, name="dense")(x), {}

    found = cost.by_rules(All(), (1, 8, 10, 3))
    assert found == {
        "convolutions": (2 * 27 * 5 * 80,) * 2,
        "matrix products": (2 * 5 * 7,) * 2,
        "pooling": (9 * 5 * 20 + 5 * 20,) * 2,
        "ReLU": (5 * 80,) * 2,
        "sigmoid": (4 * 5 * 20,) * 2,
        "batch normalisation": (0, 0),
    }


def test_rules_of_a_network():
    """ResNet-20 on 32×32: 19 normalisations of 16,384, 8,192 and 4,096 values; as many ReLUs; one average of 8×8×64."""
    values = 7 * 32 * 32 * 16 + 6 * 16 * 16 * 32 + 6 * 8 * 8 * 64
    found = cost.by_rules(models.create("resnet20"), (1, 32, 32, 3))
    assert found["batch normalisation"] == (4 * values, 6 * values)
    assert found["ReLU"] == (values, values)
    assert found["pooling"] == (8 * 8 * 64,) * 2
    assert found["matrix products"] == (2 * 64 * 10,) * 2  # with a bias
    products = cost.forward(models.create("resnet20"), (1, 32, 32, 3)) - 640
    assert found["convolutions"] == (2 * products - values,) * 2  # without


@pytest.mark.parametrize(
    ("name", "fields", "parameters"),
    [
        # A tutorial's ResNet for CIFAR-10 in PyTorch, two blocks a stage, whose shortcuts are convolutions of 3×3.
        ("resnet_cifar", {"depth": 14, "shortcut": "B3"}, 195_738),
        ("resnet_cifar", {"depth": 14, "shortcut": "B"}, 175_258),
        (
            "resnet34",
            {"num_classes": 10, "shortcut": "B"},
            21_289_802,
        ),  # Géron 2019, chapter 14, without running statistics
        ("googlenet_3x3", {"auxiliary": "none"}, 6_624_904),  # torchvision 0.28
    ],
)
def test_networks_with_fields(name, fields, parameters):
    model = models.create(name, **fields)
    assert sum(layer.count for layer in layers(model, (1, *model.input_shape))) == parameters


def test_parts_of_networks():
    """GoogLeNet as slim has it (no scale beside a shift), VGG-16's convolutions, AlexNet's kernels alone."""

    def sizes(name, **fields):
        model = models.create(name, **fields)
        found = [(layer.name, layer.parameters) for layer in layers(model, (1, *model.input_shape))]
        return [(layer, each, math.prod(shape)) for layer, leaves in found for each, shape in leaves.items()]

    assert sum(size for _, leaf, size in sizes("googlenet_3x3", auxiliary="none") if leaf != "scale") == 6_617_624
    assert sum(size for layer, _, size in sizes("vgg16") if layer.startswith("conv")) == 14_714_688
    assert sum(size for _, leaf, size in sizes("alexnet") if leaf == "kernel") == 60_954_656


def test_operations_of_darknet_19():
    """Redmon & Farhadi 2016: a MAC is two operations; at the sizes of its definition and of its fine-tuning."""
    found = [2 * cost.forward(models.create("darknet19"), (1, side, side, 3)) for side in (256, 448)]
    assert found == [7_290_748_928, 22_327_918_592]


def test_maps_of_inception_modules():
    """Szegedy et al. 2014, Table 1."""
    taps = trace(models.create("googlenet"), (1, 224, 224, 3)).taps
    found = [var.aval.shape[-1] for name, var in taps if name.startswith("inception_")]
    assert found == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def test_a_dense_head_on_a_larger_image():
    """VGG-16 for 224 pixels sees 384 at 6×6 places."""
    taps = trace(models.create("vgg16", head="convolutional"), (1, 384, 384, 3)).taps
    assert dict(taps)["fc6"].aval.shape == (1, 6, 6, 4096)


def test_a_layer_of_ten_maps():
    """CNN Explainer's first convolution, Wang et al. 2020: ten kernels for each of three channels and ten biases."""
    first = layers(models.create("tiny_vgg"), (1, 64, 64, 3))[0]
    assert first.count == 280


def test_a_fully_connected_layer_as_a_convolution():
    """Long et al. 2015; 200 units on 100 maps of 7×7, as books have it: the same weights, and the same products."""
    x = jax.ShapeDtypeStruct((1, 7, 7, 100), jnp.float32)
    forms = (nn.Dense(200), x.update(shape=(1, 4900))), (Conv(200, (7, 7), padding=((0, 0), (0, 0))), x)
    for layer, images in forms:
        variables = jax.eval_shape(layer.init, jax.random.key(0), images)
        assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 980_200
        assert cost.macs(layer.apply, variables, images) == 980_000


def test_units():
    """1 KiB is 1,024 bytes and 1 KB a thousand: a disk of 512 GB holds 476.8 GiB, a batch of 32×3×256×256 takes 24 MiB."""
    assert round(arguments.memory("512GB") / 2**30, 1) == 476.8
    assert 4 * 32 * 3 * 256 * 256 == arguments.memory("24MiB") == 24 * MIB == 25_165_824
    assert arguments.memory("4MB") == 4 * 1000 * 1000


def test_how_often_a_parameter_is_used():
    """Of a convolution without a bias once a place of its map; of a fully connected layer once."""
    table = description.describe(models.create("resnet20"), (32, 32, 3)).layers.set_index("layer")
    assert table.loc["stage2/block2/conv1"].macs_per_parameter == 16 * 16
    assert table.loc["classifier"].macs_per_parameter == 640 / 650  # a bias is a parameter without a product
    assert table["macs_per_parameter"].isna()["stage2"]
