"""Receptive fields: against a published table, against gradients, and on programs made to go wrong."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnjax import errors, models
from cnnjax.analysis import receptive_field
from cnnjax.ops import pooling

# Window, stride, padding: from the README of google-research/receptive_field; what it gives for networks whose padding depends
# on the image's size (TensorFlow's "same") is compared in window and stride only (padding None). ResNet-18 and -34 and the
# authors' own placing of strides: by the recurrence, by hand.
GOLDENS = {
    "alexnet": {
        "conv1": (11, 4, 0),
        "pool1": (19, 8, 0),
        "conv2": (51, 8, 16),
        "conv3": (99, 16, 32),
        "conv4": (131, 16, 48),
        "conv5": (163, 16, 64),
        "pool5": (195, 32, 64),
    },
    "vgg11": {
        "conv1_1": (3, 1, 1),
        "pool1": (4, 2, 1),
        "conv2_1": (8, 2, 3),
        "pool2": (10, 4, 3),
        "conv3_1": (18, 4, 7),
        "conv3_2": (26, 4, 11),
        "pool3": (30, 8, 11),
        "conv4_1": (46, 8, 19),
        "conv4_2": (62, 8, 27),
        "pool4": (70, 16, 27),
        "conv5_1": (102, 16, 43),
        "conv5_2": (134, 16, 59),
        "pool5": (150, 32, 59),
    },
    "vgg16": {
        "conv1_1": (3, 1, 1),
        "pool1": (6, 2, 2),
        "conv2_1": (10, 2, 4),
        "pool2": (16, 4, 6),
        "conv3_1": (24, 4, 10),
        "conv3_2": (32, 4, 14),
        "pool3": (44, 8, 18),
        "conv4_1": (60, 8, 26),
        "conv4_2": (76, 8, 34),
        "pool4": (100, 16, 42),
        "conv5_1": (132, 16, 58),
        "conv5_2": (164, 16, 74),
        "pool5": (212, 32, 90),
    },
    "bn_inception": {
        "conv1": (7, 2, None),
        "pool1": (11, 4, None),
        "conv2": (19, 4, None),
        "pool2": (27, 8, None),
        "inception_3a": (59, 8, None),
        "inception_3b": (91, 8, None),
        "inception_3c": (123, 16, None),
        "inception_4a": (187, 16, None),
        "inception_4b": (251, 16, None),
        "inception_4c": (315, 16, None),
        "inception_4d": (379, 16, None),
        "inception_4e": (443, 32, None),
        "inception_5a": (571, 32, None),
        "inception_5b": (699, 32, None),
    },
    "inception_v3": {
        "conv1a": (3, 2, 0),
        "conv2a": (7, 2, 0),
        "conv2b": (11, 2, 2),
        "pool3a": (15, 4, 2),
        "conv4a": (23, 4, 2),
        "pool5a": (31, 8, 2),
        "mixed_5b": (63, 8, 18),
        "mixed_5c": (95, 8, 34),
        "mixed_5d": (127, 8, 50),
        "mixed_6a": (159, 16, 58),
        "mixed_6b": (351, 16, 154),
        "mixed_6c": (543, 16, 250),
        "mixed_6d": (735, 16, 346),
        "mixed_6e": (927, 16, 442),
        "mixed_7a": (1055, 32, 490),
        "mixed_7b": (1183, 32, 554),
        "mixed_7c": (1311, 32, 618),
    },
    "inception_v4": {
        "mixed_3a": (15, 4, 2),
        "mixed_4a": (47, 4, 14),
        "mixed_5a": (55, 8, 14),
        "mixed_5b": (87, 8, 30),
        "mixed_5e": (183, 8, 78),
        "mixed_6a": (215, 16, 86),
        "mixed_6b": (407, 16, 182),
        "mixed_6h": (1559, 16, 758),
        "mixed_7a": (1687, 32, 806),
        "mixed_7b": (1815, 32, 870),
        "mixed_7c": (1943, 32, 934),
        "mixed_7d": (2071, 32, 998),
    },
    "resnet18": {
        "stage1": (43, 4, None),
        "stage2": (99, 8, None),
        "stage3": (211, 16, None),
        "stage4": (435, 32, None),
    },
    "resnet34": {
        "stage1": (59, 4, None),
        "stage2": (179, 8, None),
        "stage3": (547, 16, None),
        "stage4": (899, 32, None),
    },
    "inception_resnet_v2": {
        "mixed_5b": (63, 8, 18),
        "mixed_6a": (415, 16, 186),
        "block17_20": (2335, 16, 1146),
        "mixed_7a": (2399, 32, 1162),
        "conv_7b": (3039, 32, 1482),
    },
    # The table's networks have a stage's stride at its end.
    "resnet50": {
        "stage1": (35, 4, None),
        "stage2": (99, 8, None),
        "stage3": (291, 16, None),
        "stage4": (483, 32, None),
    },
    "resnet101": {
        "stage1": (35, 4, None),
        "stage2": (99, 8, None),
        "stage3": (835, 16, None),
        "stage4": (1027, 32, None),
    },
    "resnet152": {
        "stage1": (35, 4, None),
        "stage2": (163, 8, None),
        "stage3": (1315, 16, None),
        "stage4": (1507, 32, None),
    },
}


@pytest.mark.parametrize("name", GOLDENS)
def test_windows_are_those_of_the_table(name):
    model = models.create(name)
    found = receptive_field.fields(model, (1, *model.input_shape))
    for tap, (size, stride, padding) in GOLDENS[name].items():
        for axis in (found[tap].height, found[tap].width):
            assert (axis.size, axis.stride) == (size, stride), tap
            assert padding is None or axis.padding == padding, tap
            assert axis.problem == ""


@pytest.mark.parametrize(("large", "small"), [("vgg13_5x5", "vgg13"), ("vgg16_7x7", "vgg16")])
def test_larger_kernels_see_as_much_as_the_small_ones_that_they_stand_for(large, small):
    one, other = (receptive_field.fields(models.create(name), (1, 224, 224, 3)) for name in (large, small))
    for stage in range(1, 6):
        assert one[f"pool{stage}"] == other[f"pool{stage}"]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet50", 427),
        pytest.param("resnet101", 971, marks=pytest.mark.slow),
        pytest.param("resnet152", 1451, marks=pytest.mark.slow),
    ],
)
def test_a_stride_in_the_middle_convolution_narrows_the_windows(name, size):
    """torchvision's "v1.5", by hand."""
    model = models.create(name, stride_on="3x3")
    assert receptive_field.fields(model, (1, 64, 64, 3))["stage4"].height.size == size


def test_layers_of_scanned_stages_have_their_names():
    model = models.create("resnet20", scan=True)
    found = receptive_field.fields(model, (1, *model.input_shape))
    alone = receptive_field.fields(models.create("resnet20", scan=False), (1, *model.input_shape))
    assert found == alone
    # Two 3×3 a block on maps of stride 1, then 2: 3 + 3 · 4, + 2 (at stride 1) + 4, + 2 · 8.
    assert found["stage2/block2/conv1"].height.size == 15 + 2 + 4 + 4
    assert list(found).index("stage1/block3/conv2") < list(found).index("stage2/block1/conv1")


def test_windows_do_not_depend_on_the_size_of_the_image():
    model = models.create("resnet18")
    small, large = (receptive_field.fields(model, (1, side, side + 32, 3)) for side in (64, 224))
    for name in ("conv1", "pool1", "stage3", "stage4/block2/conv1"):
        assert [small[name].height.size, small[name].width.start] == [large[name].height.size, large[name].width.start]
    # What follows a flattened or averaged map sees all of it.
    assert large["classifier"].height.size == 435 + 6 * 32
    assert (large["classifier"].height.places, large["classifier"].height.stride) == (1, 0)
    assert large["classifier"].width.size == 435 + 7 * 32


def test_where_a_feature_looks():
    found = receptive_field.fields(models.create("alexnet"), (1, 227, 227, 3))["pool5"]
    assert found.window(0, 5) == ((-64, 131), (-64 + 5 * 32, -64 + 5 * 32 + 195))
    assert found.center(0, 1) == (33.0, 65.0)
    with pytest.raises(errors.UserError, match="there is no place 6; they are numbered 0 to 5"):
        found.window(6, 0)


def test_squeeze_and_excitation_sees_the_whole_image():
    found = receptive_field.fields(models.create("seresnet18"), (1, 224, 224, 3))
    assert (found["pool1"].height.size, found["stage1/block1/conv2"].height.size) == (11, 27)
    assert (found["stage1"].height.size, found["stage1"].height.stride, found["stage1"].height.problem) == (None, 4, "")
    with pytest.raises(errors.UserError, match=r"every place sees the whole image, from stage1/block1.* on"):
        found["stage1"].window(0, 0)
    # The first gate is where it begins, and everything after it says so.
    assert found["stage1/block1/conv2"].height.whole == ""
    places = {name: each.height.whole for name, each in found.items() if each.height.places > 1}
    since = [name for name, whole in places.items() if whole]
    assert since == [name for name in places if name not in ("conv1", "norm1", "pool1")][-len(since) :]
    assert set(places.values()) == {"", found["stage4"].height.whole}


class Toy(nn.Module):
    """What a function does to images."""

    function: object

    def __call__(self, images):
        return images, self.function(images)


def axes(function, shape=(1, 32, 32, 1)):
    """Window, stride, padding and alignment of each result, along height."""
    found = receptive_field.fields(Toy(function), shape)
    return {
        name: (f.height.size, f.height.stride, f.height.padding, f.height.aligned) for name, f in found.items() if name
    }


def conv(images, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    return lax.conv_general_dilated(
        images,
        jnp.ones((*kernel, 1, 1)),
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def test_by_hand():
    def program(images):
        dilated = conv(images, (3, 5), dilation=(4, 1))
        strided = conv(dilated, (2, 1), strides=(3, 1))
        padded = jnp.pad(images, ((0, 0), (5, 0), (0, 0), (0, 0)))
        rows = images[:, 3::2]
        return {
            "dilated": dilated,
            "strided": strided,
            "padded": padded,
            "rows": conv(rows, (3, 3)),
            "turned": conv(images.transpose(0, 2, 1, 3), (1, 3)),
            "folded": images.reshape(1, 32, 4, 8, 1).sum(3),
            "column": images.sum(2),
            "product": jnp.einsum("nhwc,cd->nhwd", images, jnp.ones((1, 4))),
            "sliding": conv(conv(conv(images, (5, 5)), (2, 2), strides=(2, 2)), (5, 5)),
            "constant": jnp.ones(3),
        }

    found = axes(program)
    assert found == {
        "dilated": (9, 1, 0, True),
        "strided": (10, 3, 0, True),
        "padded": (1, 1, 5, True),
        "rows": (5, 2, -3, True),
        "turned": (3, 1, 0, True),
        "folded": (1, 1, 0, True),
        "column": (1, 1, 0, True),
        "product": (1, 1, 0, True),
        "sliding": (14, 2, 0, True),  # a network for 14×14, every two pixels of a larger image
    }
    width = {name: f.width for name, f in receptive_field.fields(Toy(program), (1, 32, 32, 1)).items()}
    assert (width["dilated"].size, width["turned"].size, width["rows"].size) == (5, 1, 3)
    assert (width["column"].size, width["column"].stride) == (32, 0)


def test_branches():
    def program(images):
        same, valid = conv(images, (3, 3), padding=((1, 1), (1, 1))), conv(images, (3, 3))
        twice = conv(images, (4, 4), strides=(2, 2))
        halved = conv(images, (3, 3), strides=(2, 2), padding=((1, 0), (1, 0)))
        return {
            "aligned": same + images,
            "beside": jnp.concatenate([same, images], -1),
            "moved": valid + images[:, :30, :30],
            "strides": twice + images[:, :15, :15],
            "coarse": conv(images, (1, 1), strides=(4, 4)) + conv(halved, (1, 1), strides=(2, 2)),
        }

    found = receptive_field.fields(Toy(program), (1, 32, 32, 1))
    assert [found[name].height.size for name in ("aligned", "beside", "moved")] == [3, 3, 3]
    assert [found[name].height.aligned for name in ("aligned", "beside", "moved")] == [True, True, False]
    # The aligned network in the tests of google-research/receptive_field: window, stride, padding.
    assert axes(program)["coarse"] == (3, 4, 1, True)
    assert "strides of 2 and 1 pixels meet" in found["strides"].height.problem
    with pytest.raises(errors.UserError, match=r"there is no window from .* on"):
        found["strides"].window(0, 0)


def test_loops_are_looked_into():
    def program(images):
        def body(carry, kernel):
            carry = lax.conv_general_dilated(carry, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            return carry, carry

        last, each = lax.scan(body, images, jnp.ones((4, 3, 3, 1, 1)))
        again = jax.checkpoint(lambda x: conv(jax.jit(jnp.sin)(x), (3, 3)))(last)
        return {"last": last, "each": each, "again": again, "unknown": lax.cumsum(images, 1) + images}

    found = receptive_field.fields(Toy(program), (1, 32, 32, 1))
    assert [found[name].height.size for name in ("last", "each", "again")] == [9, 9, 11]
    assert found["each"].height.places == 32
    assert "nothing is known of 'cumsum'" in found["unknown"].height.problem


def test_what_cannot_be_asked():
    model = models.create("resnet_cifar", depth=8, width=1)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    with pytest.raises(errors.UserError, match="unknown tap 'stage4'; did you mean stage"):
        receptive_field.gradient(model, variables, jnp.zeros((1, 32, 32, 3)), "stage4")
    with pytest.raises(errors.UserError, match=r"stage3 has no place \(8, 0\): its map is 8×8"):
        receptive_field.gradient(model, variables, jnp.zeros((1, 32, 32, 3)), "stage3", (8, 0))
    with pytest.raises(errors.UserError, match="classifier has no map"):
        receptive_field.gradient(model, variables, jnp.zeros((1, 32, 32, 3)), "classifier")


def test_spread_is_four_deviations():
    line = np.exp(-0.5 * ((np.arange(101) - 50) / 5) ** 2)
    assert receptive_field.spread(np.outer(line, np.ones(20))) == pytest.approx((20, 4 * np.sqrt(399 / 12)), rel=1e-3)
    with pytest.raises(errors.UserError, match="no pixel has an influence"):
        receptive_field.spread(np.zeros((3, 3)))


FAST = ("alexnet", "googlenet_cifar", "lenet_mnist", "resnet20", "vgg11_bn", "zfnet")
LARGEST = 1100
# The connections of Table I; a ratio of 16 squeezes no fewer channels.
NOT_THINNER = {"lenet5": {"width_factor": 1.0}} | {
    name: {"width_factor": 0.25} for name in models.entries() if name.startswith("se")
}


# What the two of 1,202 layers see is larger than that, and to trace them takes a minute each.
NAMES = [name for name in sorted(models.entries()) if not name.endswith("1202")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in NAMES])
def test_the_gradient_reaches_all_of_the_window_and_no_further(name, monkeypatch):
    """With linear activations, sums for maxima and positive kernels nothing cancels: the gradient's support is the window.

    The least of it comes along one path, at the window's corner: one half to the power of the network's depth.
    """
    monkeypatch.setitem(pooling._REDUCTIONS, "max", (0.0, lax.add))
    thin = {"width_factor": 1 / 64, "activation": "identity", "num_classes": 2, "dtype": "float64"}
    model = models.create(name, **{**thin, **NOT_THINNER.get(name, {})})
    with jax.enable_x64(True):
        found = receptive_field.fields(model, (1, *model.input_shape))
        maps = [
            tap
            for tap, field in found.items()
            if "/" not in tap and field.height.places > 1 and 1 < (field.height.size or 0) <= LARGEST
        ]
        if not maps:
            assert all(field.height.stride == 0 for field in found.values()), (
                "only networks without maps have no windows"
            )
            return
        field = found[maps[-1]].height
        long, short = max(field.size + 2 * field.stride + 8, model.input_shape[0]), min(model.input_shape[:2])
        for axis, (height, width) in enumerate(((long, short), (short, long))):
            shape = (1, height, width, model.input_shape[2])
            shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones(shape))
            variables = jax.tree_util.tree_map_with_path(functools.partial(_plain, axis), shapes)
            influence = receptive_field.gradient(model, variables, jnp.ones(shape), maps[-1]).sum(1 - axis)
            at = receptive_field.fields(model, shape)[maps[-1]]
            at = (at.height, at.width)[axis]
            reached = np.flatnonzero(influence)
            first, end = at.window(at.places // 2)
            assert (reached[0], reached[-1] + 1) == (max(first, 0), min(end, long))


def _plain(axis, path, leaf):
    """Kernels of one half along an axis, in the middle of the other, the mean over channels; no biases, no normalisation."""
    kind = path[-1].key
    if kind != "kernel":
        return np.full(leaf.shape, 1.0 if kind in ("scale", "var") else 0.0)
    kernel = np.full(leaf.shape, 0.5 / leaf.shape[-2])
    if kernel.ndim == 4:
        across = kernel if axis else kernel.swapaxes(0, 1)
        middle = len(across) // 2
        across[:middle] = across[middle + 1 :] = 0
    return kernel
