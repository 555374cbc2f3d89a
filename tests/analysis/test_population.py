"""Batch normalisation's statistics over a population."""

import jax
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import population
from cnnjax.nn import stacking


@pytest.fixture(scope="module")
def network():
    model = models.create("resnet_cifar", depth=14, width=2, scan=True)
    images = np.random.default_rng(0).standard_normal((12, 8, 8, 3)).astype(np.float32) + 0.5
    return model, model.init(jax.random.key(0), images), images


def test_they_are_the_batches_means_and_unbiased_variances(network):
    """Of the first layer, from its convolution's output by NumPy; of all layers, what evaluation makes of a single batch."""
    model, variables, images = network
    parts = np.split(images, 3)
    found = population.statistics(model, variables, parts)
    assert jax.tree.structure(found) == jax.tree.structure(variables["batch_stats"])
    kernel = variables["params"]["conv1"]["kernel"]
    maps = [
        jax.lax.conv_general_dilated(part, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        for part in parts
    ]
    np.testing.assert_allclose(
        found["norm1"]["mean"], np.mean([m.mean((0, 1, 2)) for m in maps], 0), rtol=1e-4, atol=1e-6
    )
    variances = [np.asarray(m, np.float64).reshape(-1, 2).var(0, ddof=1) for m in maps]
    np.testing.assert_allclose(found["norm1"]["var"], np.mean(variances, 0), rtol=1e-4)


def test_evaluation_with_one_batchs_statistics_is_training_but_for_bessels_correction(network):
    model, variables, images = network
    found = population.statistics(model, variables, [images])
    (trained, _), _ = model.apply(variables, images, train=True, mutable=["batch_stats"])
    evaluated, _ = model.apply({**variables, "batch_stats": found}, images)
    np.testing.assert_allclose(evaluated, trained, atol=0.05 * np.abs(trained).max())
    assert np.abs(evaluated - trained).max() > 1e-4 * np.abs(trained).max()
    before, _ = model.apply(variables, images)
    assert np.abs(before - trained).max() > 10 * np.abs(evaluated - trained).max()


def test_the_moving_averages_do_not_matter(network):
    model, variables, images = network
    other = {**variables, "batch_stats": jax.tree.map(lambda leaf: leaf + 3, variables["batch_stats"])}
    one, two = (stacking.names(population.statistics(model, each, [images])) for each in (variables, other))
    for name, leaf in one.items():
        np.testing.assert_allclose(leaf, two[name], rtol=1e-3, atol=1e-4)


def test_what_cannot_be(network):
    model, variables, images = network
    with pytest.raises(errors.UserError, match="no batch to take"):
        population.statistics(model, variables, [])
    with pytest.raises(errors.UserError, match="has no batch normalisation"):
        population.statistics(models.create("vgg11"), {"params": {}}, [images])
    perceptron = models.create("mlp_bn_mnist")
    grey = np.zeros((1, 28, 28, 1), np.float32)
    with pytest.raises(errors.UserError, match="fc1_norm sees one value a channel"):
        population.statistics(perceptron, perceptron.init(jax.random.key(0), grey), [grey])
