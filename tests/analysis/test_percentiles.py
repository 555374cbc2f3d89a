"""Percentiles of what units put out, against a network that is computed by hand."""

import jax
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import percentiles


@pytest.fixture(scope="module")
def perceptron():
    model = models.create("mlp_cifar10", widths=(5, 4), activation="sigmoid")
    images = np.random.default_rng(0).standard_normal((40, 3, 3, 1)).astype(np.float32)
    return model, model.init(jax.random.key(0), images), images


@pytest.mark.parametrize("layer", ["fc1", "fc2"])
def test_of_a_layer_before_its_activation_whatever_the_batches(perceptron, layer):
    model, variables, images = perceptron
    params = variables["params"]
    first = images.reshape(40, -1) @ params["fc1"]["kernel"] + params["fc1"]["bias"]
    second = 1 / (1 + np.exp(-first)) @ params["fc2"]["kernel"] + params["fc2"]["bias"]
    wanted = np.sort(np.asarray({"fc1": first, "fc2": second}[layer]), axis=0)
    found = percentiles.percentiles(model, variables, [images[:13], images[13:]], layer)
    # The 15th percentile of 40 values lies at place 5.85 of 0 ... 39, the median between two, the 85th at 33.15.
    by_hand = [
        0.15 * wanted[5] + 0.85 * wanted[6],
        (wanted[19] + wanted[20]) / 2,
        0.85 * wanted[33] + 0.15 * wanted[34],
    ]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5, atol=1e-6)


def test_over_training_each_checkpoint_has_its_rows(perceptron):
    model, variables, images = perceptron
    doubled = jax.tree.map(lambda leaf: 2 * leaf, variables)
    found = percentiles.over_training(model, [(7, variables), (9, doubled)], [images[:20], images[20:]], "fc1")
    assert list(found.columns) == ["step", "unit", "percentile", "value"]
    assert len(found) == 2 * 3 * 5
    for step, each in ((7, variables), (9, doubled)):
        table = found[found["step"] == step].pivot(index="percentile", columns="unit", values="value")
        assert list(table.index) == [15, 50, 85]
        np.testing.assert_array_equal(table, percentiles.percentiles(model, each, [images], "fc1"))
    with pytest.raises(errors.UserError, match="no checkpoint"):
        percentiles.over_training(model, [], [images], "fc1")


def test_movement_is_measured_by_the_spread_of_a_unit(perceptron):
    """Outputs ten times as large move as far; between the checkpoints the layer before is doubled."""
    model, variables, images = perceptron
    params = variables["params"]
    doubled = {**params, "fc1": jax.tree.map(lambda leaf: 2 * leaf, params["fc1"])}

    def enlarged(states):
        return [{**each, "fc2": jax.tree.map(lambda leaf: 10 * leaf, each["fc2"])} for each in states]

    def over(states):
        return percentiles.over_training(model, enumerate({"params": each} for each in states), [images], "fc2")

    plain, large = over([params, doubled]), over(enlarged([params, doubled]))
    found = percentiles.moved(plain)
    np.testing.assert_allclose(percentiles.moved(large), found, rtol=1e-4)
    low, middle, high = (plain["value"].to_numpy().reshape(2, 3, 4)[:, place] for place in range(3))
    by_hand = np.stack([np.ptp(each, axis=0) / (high - low).mean(0) for each in (low, middle, high)], 1)
    np.testing.assert_allclose(found, by_hand, rtol=1e-6)
    assert found.to_numpy().min() > 0


def test_a_constant_unit_has_no_spread(perceptron):
    model, variables, images = perceptron
    kernel = variables["params"]["fc1"]["kernel"]

    def over(kernel):
        states = [
            {"params": {**variables["params"], "fc1": {"kernel": kernel, "bias": np.full(5, at)}}} for at in (0.0, 1.0)
        ]
        return percentiles.moved(percentiles.over_training(model, enumerate(states), [images], "fc1"))

    assert list(over(kernel.at[:, 2].set(0)).index) == [0, 1, 3, 4]
    with pytest.raises(errors.UserError, match="no unit of the layer varies"):
        over(0 * kernel)


def test_places_of_a_map_count_as_examples_also_in_scanned_stages():
    model = models.create("resnet_cifar", depth=20, width=4, scan=True, batch_norm=True)
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)
    variables = model.init(jax.random.key(0), images)
    low, middle, high = percentiles.percentiles(model, variables, [images], "stage1/block3/norm1")
    assert low.shape == (4,)
    assert (low < middle).all()
    assert (middle < high).all()


def test_what_there_is_not(perceptron):
    model, variables, images = perceptron
    with pytest.raises(errors.UserError, match=r"unknown layer 'fc3'.*fc2"):
        percentiles.percentiles(model, variables, [images], "fc3")
    with pytest.raises(errors.UserError, match="no batch"):
        percentiles.percentiles(model, variables, [], "fc1")
