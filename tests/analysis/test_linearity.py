"""Networks without activations are one linear layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import linearity

IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(6, 12, 12, 2)), jnp.float32)


def network(layers, **fields):
    model = models.create("pattern", layers=layers, num_classes=3, **fields)
    return model, model.init(jax.random.key(1), IMAGES)


def test_without_activations_a_network_is_its_layer():
    """The layer's kernel is what the network makes of each pixel alone, and the layer's logits are the network's."""
    model, variables = network("conv3-4 avgpool2 conv3-5 fc-7", activation="identity", batch_norm=False)
    kernel, bias = linearity.layer(model, variables, IMAGES.shape[1:])
    units = jnp.eye(IMAGES[0].size).reshape(-1, *IMAGES.shape[1:])
    nothing = model.apply(variables, jnp.zeros_like(IMAGES[:1]))[0]
    np.testing.assert_allclose(bias, nothing[0], atol=1e-6)
    found = (model.apply(variables, units)[0] - nothing).reshape(kernel.shape)
    np.testing.assert_allclose(kernel, found, atol=1e-5)
    logits = np.tensordot(IMAGES, kernel, 3) + bias
    np.testing.assert_allclose(model.apply(variables, IMAGES)[0], logits, atol=1e-4)
    assert linearity.defect(model, variables, IMAGES) < 1e-5


@pytest.mark.parametrize(
    ("layers", "activation"), [("conv3-4 avgpool2 fc-7", "relu"), ("conv3-4 pool2 fc-7", "identity")]
)
def test_activations_and_maxima_are_seen(layers, activation):
    model, variables = network(layers, activation=activation, batch_norm=False)
    assert linearity.defect(model, variables, IMAGES) > 0.1


def test_images_are_checked():
    model, variables = network("conv3-4 fc-7")
    with pytest.raises(errors.UserError, match="images are floating-point numbers"):
        linearity.defect(model, variables, IMAGES[0])
