"""What training did, on networks small enough to do it by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import errors, models
from cnnjax.analysis import training
from cnnjax.analysis.layers import layers


def made(name="resnet20", shape=(6, 12, 12, 3), **fields):
    model = models.create(name, num_classes=4, **fields)
    images = jax.random.normal(jax.random.key(1), shape)
    return model, model.init(jax.random.key(0), images), images, jnp.array([0, 1, 2, 3, 0, 1])[: shape[0]]


def test_gradients_are_those_of_the_loss():
    model, variables, images, labels = made("vgg11", (6, 32, 32, 3), width_factor=1 / 32, dropout=0.5)
    found = training.gradients(model, variables, images, labels).set_index("layer")

    def loss(kernel):
        params = {**variables["params"], "conv3_1": {**variables["params"]["conv3_1"], "kernel": kernel}}
        logits = model.apply({"params": params}, images)[0]  # evaluation: without dropout
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    kernel = variables["params"]["conv3_1"]["kernel"]
    gradient = jax.grad(loss)(kernel)
    np.testing.assert_allclose(found.loc["conv3_1"].gradient, jnp.linalg.norm(gradient.ravel()), rtol=1e-4)
    np.testing.assert_allclose(found.loc["conv3_1"].weight, jnp.linalg.norm(kernel.ravel()), rtol=1e-5)
    assert found.loc["conv3_1"].ratio == pytest.approx(found.loc["conv3_1"].gradient / found.loc["conv3_1"].weight)


def test_gradients_of_kernels_are_what_the_norms_are_of():
    model, variables, images, labels = made(width=4)
    found = training.kernel_gradients(model, variables, images, labels)
    norms = training.gradients(model, variables, images, labels)
    assert list(found) == norms["layer"].tolist()
    assert [*found][:2] == ["conv1", "stage1/block1/conv1"]
    assert found["stage2/block2/conv1"].shape == (3, 3, 8, 8)
    np.testing.assert_allclose([np.linalg.norm(each) for each in found.values()], norms["gradient"], rtol=1e-4)


def test_layers_of_scanned_stages_have_their_gradients():
    frames = []
    for scan in (True, False):
        model, variables, images, labels = made(width=4, scan=scan)
        frames.append(training.gradients(model, variables, images, labels))
    assert frames[0]["layer"].tolist() == frames[1]["layer"].tolist()
    assert "stage2/block2/conv1" in frames[0]["layer"].tolist()
    assert (frames[0]["gradient"] > 0).all()


def test_dead_features():
    model, variables, images, _ = made("vgg11", (6, 32, 32, 3), width_factor=1 / 32)
    params = jax.tree.map(lambda leaf: leaf, variables["params"])
    params["conv2_1"] = {**params["conv2_1"], "bias": params["conv2_1"]["bias"].at[jnp.array([0, 3])].set(-1e3)}
    found = training.dead(model, {"params": params}, [images[:4], images[4:]]).set_index("layer")
    assert (found.loc["conv2_1"].features, found.loc["conv2_1"].dead, found.loc["conv2_1"].share) == (4, 2, 0.5)
    assert "fc8" not in found.index  # logits are not rectified
    taps = [*model.apply(variables, images)[1]]
    assert [*found.index] == [name for name in taps if name in found.index]
    assert taps != sorted(taps)
    logistic = model.clone(activation="sigmoid")
    assert training.dead(logistic, variables, [images]).empty  # never negative, and no rectifiers
    with pytest.raises(errors.UserError, match="there is no batch"):
        training.dead(model, variables, [])


@pytest.mark.parametrize(("activation", "listed"), [("relu", ["conv1", "stage1"]), ("sigmoid", []), ("elu", [])])
def test_only_what_rectifiers_put_out_can_be_dead(activation, listed):
    """Sigmoids are never negative either, and so is the mean of what rectifiers put out."""
    model, variables, images, _ = made("resnet_cifar", (2, 8, 8, 3), depth=8, width=2, activation=activation)
    assert training.dead(model, variables, [images])["layer"].tolist()[:2] == listed
    assert "global_pool" in model.apply(variables, images)[1]
    assert "global_pool" not in training.dead(model, variables, [images])["layer"].tolist()


def test_what_is_joined_and_pooled_is_rectified_still():
    found = training._rectified(models.create("googlenet", width_factor=1 / 8), (1, 224, 224, 3))
    assert {"conv1", "pool1", "inception_3a", "pool3", "inception_5b"} <= {*found}
    assert not {"lrn1", "global_pool", "aux1_logits", "classifier"} & {*found}


def test_changes():
    _, variables, _, _ = made(width=4)
    moved = jax.tree.map(lambda leaf: 1.5 * leaf, variables["params"])
    found = training.changes(variables["params"], moved).set_index("parameter")
    np.testing.assert_allclose(found["change"], found["norm"] / 2, rtol=1e-5)
    assert found.loc["stage3/block2/conv2/kernel"].ratio == pytest.approx(0.5, rel=1e-5)
    with pytest.raises(errors.UserError, match="of different networks"):
        training.changes(variables["params"], made(width=2)[1]["params"])


def test_the_line_between_two_networks():
    """At its ends the losses of the two; of a network that is linear in its last layer, at 0.5 the mean logits' loss."""
    model, one, images, labels = made("mlp_cifar10", (6, 32, 32, 3))
    last = layers(model, images.shape)[-1].name
    other = {**one, "params": {**one["params"], last: jax.tree.map(lambda leaf: leaf + 0.1, one["params"][last])}}
    found = training.along_line(
        model, one, other, lambda: [(images[:4], labels[:4]), (images[4:], labels[4:])], [0, 0.5, 1]
    )
    ends = [model.apply(each, images)[0] for each in (one, other)]
    logits = [ends[0], (ends[0] + ends[1]) / 2, ends[1]]
    losses = [optax.softmax_cross_entropy_with_integer_labels(each, labels).mean() for each in logits]
    np.testing.assert_allclose(found["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(found["error"], [(each.argmax(-1) != labels).mean() for each in logits])
    with pytest.raises(errors.UserError, match="there is no example"):
        training.along_line(model, one, other, list, [0])
    with pytest.raises(errors.UserError, match="of different networks"):
        training.along_line(model, one, made(width=4)[1], list, [0])


def test_activations_of_a_set():
    model, variables, images, _ = made(width=4)
    found = training.activations(model, variables, [images[:4], images[4:]], ["stage1/block1/conv1", "stage3"])
    np.testing.assert_allclose(found["stage3"], model.apply(variables, images)[1]["stage3"], rtol=1e-4, atol=1e-5)
    assert found["stage1/block1/conv1"].shape == (6, 12, 12, 4)
    with pytest.raises(errors.UserError, match="unknown tap 'stage4'"):
        training.activations(model, variables, [images], ["stage4"])
    with pytest.raises(errors.UserError, match="there is no batch"):
        training.activations(model, variables, [], ["stage1"])
