"""What analysis is given: images and labels that are none end in one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import (
    attribution,
    deconvnet,
    features,
    occlusion,
    partial_sums,
    percentiles,
    population,
    probes,
    receptive_field,
    rescaling,
    responses,
    training,
)

LABELS = [1, 3]


@pytest.fixture(scope="module")
def network():
    model = models.create("resnet_cifar", depth=8, width=2, num_classes=4)
    images = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
    return model, jax.jit(model.init)(jax.random.key(0), images), images


ASKED_OF_IMAGES = {
    "project": lambda m, v, x: deconvnet.project(m, v, x, "stage1", 0),
    "evolution": lambda m, v, x: deconvnet.evolution(m, [(1, v)], [x], "stage1", [0]),
    "strongest": lambda m, v, x: features.strongest(m, v, [x], "stage1"),
    "invariance": lambda m, v, x: features.invariance(m, v, np.asarray(x), LABELS, "scale", [1.5], ["stage1"]),
    "grad_cam": lambda m, v, x: attribution.grad_cam(m, v, x, jnp.array(LABELS), "stage1"),
    "correspondence": lambda m, v, x: occlusion.correspondence(m, v, x, [(0, 0), (1, 1)], "stage1", 2),
    "gradient": lambda m, v, x: receptive_field.gradient(m, v, x, "stage1"),
    "percentiles": lambda m, v, x: percentiles.percentiles(m, v, [x], "conv1"),
    "statistics": lambda m, v, x: population.statistics(m, v, [x]),
    "deviations": lambda m, v, x: responses.deviations(m, v, [x]),
    "partial_sums": lambda m, v, x: partial_sums.partial_sums(m, v, x, "conv1", 0),
    "change": lambda m, v, x: rescaling.change(m, v, x, jnp.array(LABELS), 2.0),
    "dead": lambda m, v, x: training.dead(m, v, [x]),
    "activations": lambda m, v, x: training.activations(m, v, [x], ["stage1"]),
    "gradients": lambda m, v, x: training.gradients(m, v, x, jnp.array(LABELS)),
}
NO_IMAGES = {
    "channels": (
        lambda x: x[..., :1],
        "conv1 gets 1 channels, for which its kernel is 3×3×1×2, and the weights have 3×3×3×2",
    ),
    "no batch": (lambda x: x[0], r"images are .* \[N, H, W, C\], not float32 of shape \(8, 8, 3\)"),
    "none": (lambda x: x[:0], r"there is no image, .* \(0, 8, 8, 3\)"),
    "whole numbers": (lambda x: x.astype("uint8"), "images are floating-point numbers .* not uint8"),
}


@pytest.mark.parametrize("what", NO_IMAGES)
@pytest.mark.parametrize("name", ASKED_OF_IMAGES)
def test_no_images(network, name, what):
    model, variables, images = network
    change, message = NO_IMAGES[what]
    with pytest.raises(errors.UserError, match=message):
        ASKED_OF_IMAGES[name](model, variables, change(images))


ASKED_OF_LABELS = {
    "invariance": lambda m, v, x, y: features.invariance(m, v, np.asarray(x), y, "scale", [1.5], ["stage1"]),
    "grad_cam": lambda m, v, x, y: attribution.grad_cam(m, v, x, np.array(y), "stage1"),
    "change": lambda m, v, x, y: rescaling.change(m, v, x, np.array(y), 2.0),
    "gradients": lambda m, v, x, y: training.gradients(m, v, x, np.array(y)),
    "along_line": lambda m, v, x, y: training.along_line(m, v, v, lambda: [(x, np.array(y))], [0.5]),
    "probes": lambda m, v, x, y: probes.probes(m, v, [(x, np.array(y))], [(x, np.array(LABELS))]),
}
NO_LABELS = {
    "too few": ([1], r"labels are whole numbers, one for each of 2 images, not int64 of shape \(1,\)"),
    "above": ([0, 4], "there is no class 4; they are numbered 0 to 3"),
    "below": ([-1, 0], "there is no class -1"),
    "no whole numbers": ([0.0, 1.0], "whole numbers, .* not float64"),
}


@pytest.mark.parametrize("what", NO_LABELS)
@pytest.mark.parametrize("name", ASKED_OF_LABELS)
def test_no_labels(network, name, what):
    labels, message = NO_LABELS[what]
    with pytest.raises(errors.UserError, match=message):
        ASKED_OF_LABELS[name](*network, labels)


def test_what_else_cannot_be_asked(network):
    model, variables, images = network
    for ask, message in (
        (lambda: occlusion.occlude(model, variables, images, 0, "stage1", 2), r"\[N, H, W, C\], .* \(1, 2, 8, 8, 3\)"),
        (
            lambda: occlusion.occlude(model, variables, images[0], 0, "stage1", 2, value=(1.0, 0.0)),
            r"a number, or one for each of 3 channels, not of shape \(2,\)",
        ),
        (
            lambda: occlusion.correspondence(model, variables, images, [(0, 0)] * 2, "stage1", 2, np.zeros((8, 8, 3))),
            r"not of shape \(8, 8, 3\)",
        ),
        (
            lambda: features.invariance(model, variables, np.asarray(images), LABELS, "scale", [], ["stage1"]),
            "there is no amount of scale",
        ),
        (lambda: deconvnet.evolution(model, [(1, variables)], [], "stage1", [0]), "there is no image"),
    ):
        with pytest.raises(errors.UserError, match=message):
            ask()


def test_what_is_not_finite_or_no_kernel(network):
    model, variables, images = network
    broken = np.array(images)
    broken[0, 0, 0, :2] = np.nan, np.inf
    with pytest.raises(errors.UserError, match="images have values that are not finite: 2 of 384"):
        features.invariance(model, variables, broken, LABELS, "scale", [1.5], ["stage1"])
    with pytest.raises(errors.UserError, match="filters have values that are not finite: 1 of 75"):
        features.filters(np.where(np.arange(75) == 3, np.nan, 1.0).reshape(5, 5, 1, 3), 1)
    with pytest.raises(errors.UserError, match=r"filters are a kernel \[h, w, channels, maps\], not of shape \(5, 5\)"):
        features.filters(np.ones((5, 5)), 1)
