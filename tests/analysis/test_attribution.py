"""Maps of evidence, against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import attribution


def made(name, shape, **fields):
    model = models.create(name, num_classes=4, **fields)
    images = jax.random.normal(jax.random.key(1), shape)
    return model, model.init(jax.random.key(0), images), images


@pytest.mark.parametrize("scan", [True, False])
def test_class_activation_adds_up_to_the_logit(scan):
    model, variables, images = made("resnet20", (3, 32, 32, 3), width=8, scan=scan)
    classes = jnp.array([2, 0, 3])
    found = attribution.class_activation(model, variables, images, classes, "stage3")
    logits, taps = model.apply(variables, images)
    bias = variables["params"]["classifier"]["bias"]
    assert found.shape == (3, 8, 8)
    np.testing.assert_allclose(found.mean((1, 2)), (logits - bias)[jnp.arange(3), classes], rtol=1e-4, atol=1e-5)
    kernel = variables["params"]["classifier"]["kernel"]
    by_hand = jnp.einsum("nhwc,cn->nhw", taps["stage3"], kernel[:, classes])
    np.testing.assert_allclose(found, by_hand, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        attribution.grad_cam(model, variables, images, classes, "stage3"),
        np.maximum(by_hand, 0) / 64,
        rtol=1e-3,
        atol=1e-5,
    )


def test_grad_cam_of_a_layer_in_the_middle():
    """The gradient in a map, by differences: of the logit, where one value of the map is moved through the rest by hand."""
    model, variables, images = made("vgg11", (1, 32, 32, 3), width_factor=1 / 32)
    found = attribution.grad_cam(model, variables, images, jnp.array([1]), "pool5")
    maps = model.apply(variables, images)[1]["pool5"]
    params = variables["params"]

    def rest(maps):
        x = maps.reshape(1, -1)
        for name in ("fc6", "fc7"):
            x = jnp.maximum(x @ params[name]["kernel"] + params[name]["bias"], 0)
        return (x @ params["fc8"]["kernel"] + params["fc8"]["bias"])[0, 1]

    weights = jax.grad(rest)(maps).mean((1, 2))
    np.testing.assert_allclose(found[0], np.maximum((maps[0] * weights[0]).sum(-1), 0), rtol=1e-4, atol=1e-9)
    assert np.abs(weights).max() > 0


def test_a_module_is_asked_as_a_tap_is():
    model, variables, images = made("resnet20", (2, 8, 8, 3), width=4, scan=True)
    ask = (model, variables, images, jnp.array([1, 3]))
    for measure in (attribution.grad_cam, attribution.class_activation):
        np.testing.assert_array_equal(measure(*ask, "stage3/block3"), measure(*ask, "stage3"))
    # Before a block's last rectifier the same gradient meets other maps.
    assert attribution.grad_cam(*ask, "stage3/block3/norm2").shape == (2, 2, 2)


def test_what_has_no_evidence():
    model, variables, images = made("vgg11", (1, 32, 32, 3), width_factor=1 / 32)
    ask = (model, variables, images, jnp.array([1]))
    with pytest.raises(errors.UserError, match="the logits are no linear map of averages over the map of conv5_2"):
        attribution.class_activation(*ask, "conv5_2")
    with pytest.raises(errors.UserError, match="unknown tap 'conv5'; did you mean"):
        attribution.grad_cam(*ask, "conv5")
    with pytest.raises(errors.UserError, match=r"fc6 has no map: its shape is \(128,\)"):
        attribution.grad_cam(*ask, "fc6")
    with pytest.raises(errors.UserError, match="there is no class 4; they are numbered 0 to 3"):
        attribution.grad_cam(model, variables, images, jnp.array([4]), "conv5_2")
