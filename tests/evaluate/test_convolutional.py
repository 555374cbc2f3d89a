"""Heads as convolutions."""

import jax
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.evaluate.convolutional import convolutional
from cnnjax.interop import convert
from cnnjax.nn import stacking

RNG = np.random.default_rng(4)


def drawn(model, shape):
    """Variables as large as those of a trained network, and no larger."""
    like = convert.shapes(model, shape)
    draw = lambda leaf: RNG.uniform(0.1, 1, leaf.shape) / np.sqrt(max(1, leaf.size / leaf.shape[-1]))  # noqa: E731
    return jax.tree.map(lambda leaf: draw(leaf).astype(np.float32) - (leaf.ndim > 1) * 0.05, like)


def test_at_the_size_of_training_it_is_the_network():
    shape = (12, 12, 3)
    fields = {
        "layers": "conv4/2-5 pool2 fc-7",
        "num_classes": 3,
        "batch_norm": True,
        "dropout": 0.5,
        "width_factor": 1.5,
    }
    model = models.create("pattern", **fields)
    variables = drawn(model, shape)
    wide, new = convolutional(model, variables, shape)
    assert stacking.names(new).keys() == stacking.names(variables).keys()
    images = RNG.normal(size=(2, 12, 12, 3)).astype(np.float32)
    expected, _ = model.apply(variables, images)
    np.testing.assert_allclose(wide.apply(new, images)[0], expected, rtol=1e-5, atol=1e-6)
    # Maps of 3×3 there; of 4×5 here, on which a kernel of 3×3 has 2×3 places.
    _, taps = wide.apply(new, RNG.normal(size=(1, 16, 20, 3)).astype(np.float32))
    assert [tap.shape for tap in taps.values()][-2:] == [(1, 2, 3, 3), (1, 3)]


def test_on_a_larger_image_it_is_the_average_over_windows():
    perceptron = models.create("mlp_cifar10", widths=(6,), num_classes=3)
    variables = drawn(perceptron, (4, 5, 2))
    wide, new = convolutional(perceptron, variables, (4, 5, 2))
    images = RNG.normal(size=(2, 6, 6, 2)).astype(np.float32)
    windows = [images[:, top : top + 4, left : left + 5] for top in range(3) for left in range(2)]
    expected = np.mean([perceptron.apply(variables, window)[0] for window in windows], 0)
    np.testing.assert_allclose(wide.apply(new, images)[0], expected, rtol=1e-5, atol=1e-6)


def test_vgg_is_its_own_dense_head():
    """The paper's head, 7×7 and 1×1, as the network has it: on images of another size, and not square."""
    fields = {"num_classes": 4, "width_factor": 1 / 32, "dropout": 0.0}
    connected, dense = models.create("vgg11", **fields), models.create("vgg11", head="convolutional", **fields)
    variables = drawn(connected, (224, 224, 3))
    leaves = stacking.names(variables)
    like = convert.shapes(dense, (224, 224, 3))
    reshaped = {name: leaves[name].reshape(leaf.shape) for name, leaf in stacking.names(like).items()}
    images = RNG.normal(size=(1, 256, 288, 3)).astype(np.float32)
    expected, _ = dense.apply(convert.unflatten(like, reshaped), images)
    wide, new = convolutional(connected, variables, (224, 224, 3))
    np.testing.assert_allclose(wide.apply(new, images)[0], expected, rtol=1e-4, atol=1e-6)
    same = convolutional(dense, variables, (224, 224, 3))
    assert same[0] is dense


def test_global_pooling_is_convolutional_already():
    model = models.create("resnet_cifar", depth=8, width=2)
    assert convolutional(model, {"params": {}}, (32, 32, 3)) == (model, {"params": {}})


def test_classifiers_beside_the_network_are_left_out():
    model = models.create("googlenet", num_classes=3, width_factor=1 / 16)
    like = convert.shapes(model, (224, 224, 3))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    wide, new = convolutional(model, zeros, (224, 224, 3))
    images = jax.ShapeDtypeStruct((1, 256, 320, 3), np.float32)
    logits, taps = jax.eval_shape(wide.apply, new, images)
    assert logits.shape == (1, 3)
    assert not [name for name in taps if name.endswith("_logits")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lenet5", "after the flattened maps comes rbf"),
        ("spp_zf5", "it ends in fc8, after no flattened maps"),
        ("mlp_bn_mnist", "after the flattened maps comes fc1"),
    ],
)
def test_heads_of_another_kind(name, reason):
    model = models.create(name)
    with pytest.raises(errors.UserError, match=reason):
        convolutional(model, {}, model.input_shape)
