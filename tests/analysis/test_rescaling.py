"""What larger weights change: nothing under batch normalisation, and a known power without it."""

import jax
import numpy as np
import pytest

from cnnjax import models
from cnnjax.analysis import rescaling


def change(factor, **fields):
    model = models.create("resnet_cifar", depth=8, width=4, shortcut="none", **fields)
    random = np.random.default_rng(0)
    images = random.standard_normal((8, 8, 8, 3)).astype(np.float32)
    variables = model.init(jax.random.key(0), images)
    return rescaling.change(model, variables, images, np.arange(8), factor)


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_normalised_networks_do_not_know_the_scale_of_their_weights(factor, scan):
    output, gradient = change(factor, batch_norm=True, bn_epsilon=1e-10, scan=scan)
    assert output < 1e-3
    assert gradient < 1e-2


def test_epsilon_is_what_is_left():
    assert change(4.0, batch_norm=True, bn_epsilon=1e-1)[0] > 10 * change(4.0, batch_norm=True, bn_epsilon=1e-5)[0]


def test_without_normalisation_seven_layers_multiply():
    """Biases are zero at first: the logits of doubled weights are 2^7 times as large."""
    output, gradient = change(2.0, batch_norm=False)
    assert output == pytest.approx(2**7 - 1, rel=1e-4)
    assert gradient > 1
    assert change(1.0, batch_norm=False) == (0, 0)
