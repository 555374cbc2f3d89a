"""Linear classifiers of layers' features, against what can be said of them by hand."""

import jax
import numpy as np
import pytest
from sklearn.svm import SVC

from cnnjax import errors, models
from cnnjax.analysis import probes


def data(count, seed):
    """Images of two pixels: the class is whether they have the same sign, which no line divides."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], (count, 2))
    images = (signs + rng.uniform(-0.4, 0.4, signs.shape)).astype(np.float32)
    return images.reshape(count, 1, 2, 1), (signs.prod(1) > 0).astype(np.int32)


@pytest.fixture(scope="module")
def exclusive_or():
    """A network whose second layer has what the first has not: x + y and −x − y through a ReLU, then their sum."""
    model = models.create("mlp_cifar10", widths=(2, 2), num_classes=2)
    variables = jax.device_get(model.init(jax.random.key(0), np.zeros((1, 1, 2, 1), np.float32)))
    identity = {"kernel": np.eye(2, dtype=np.float32), "bias": np.full(2, 9, np.float32)}
    folded = {"kernel": np.array([[1, -1], [1, -1]], np.float32), "bias": np.array([-18, 18], np.float32)}
    return model, {"params": {**variables["params"], "fc1": identity, "fc2": folded}}


def test_what_a_layer_unfolds_a_line_divides(exclusive_or):
    """fc1 moves the pixels beyond the ReLU's bend, so they stay as they are; fc2 folds the plane along x = −y."""
    found = probes.probes(*exclusive_or, [data(200, 0)], [data(50, 1), data(50, 2)])
    assert list(found["layer"]) == ["fc1", "fc2"]
    assert list(found["features"]) == [2, 2]
    for name in probes.CLASSIFIERS:
        assert found[name].iloc[0] > 0.2
        assert found[name].iloc[1] == 0


def test_features_are_those_that_the_next_layer_is_given():
    """After its pools and normalisation, and after a residual network's average; not those of classifiers beside it."""
    expected = {
        ("alexnet", 67): {"conv1": "pool1", "conv2": "pool2", "conv3": "conv3", "conv4": "conv4", "conv5": "flatten"},
        ("resnet_cifar", 8): {"conv1": "conv1", "stage1": "stage1", "stage2": "stage2", "stage3": "global_pool"},
    }
    for (name, side), layers in expected.items():
        model = models.create(name, num_classes=3)
        variables = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, side, side, 3), np.float32))
        found = probes._taps(model, variables, (1, side, side, 3))
        assert {layer: found[layer] for layer in layers} == layers
    model = models.create("googlenet", num_classes=3, width_factor=1 / 16)
    variables = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 224, 224, 3), np.float32))
    found = probes._taps(model, variables, (1, 224, 224, 3))
    assert not [tap for tap in found.values() if tap.endswith("_logits")]
    assert found["inception_4a"] == "inception_4a"


def test_an_svm_is_a_linear_one(exclusive_or):
    """That of libsvm, another solver, on the same features, divides the test examples in the same way."""
    model, variables = exclusive_or
    images, _ = data(300, 3)
    labels = (images[:, 0, 0, 0] + 0.3 * images[:, 0, 1, 0] > 0.2).astype(np.int32)
    found = probes.probes(model, variables, [(images[:200], labels[:200])], [(images[200:], labels[200:])])
    flat = images.reshape(300, 2)
    svm = SVC(kernel="linear", C=1e3).fit(flat[:200], labels[:200])
    expected = (svm.predict(flat[200:]) != labels[200:]).mean()
    assert expected < 0.05
    assert found["svm"].iloc[0] == pytest.approx(expected, abs=0.03)


def test_batches_make_no_difference(exclusive_or):
    images, labels = data(90, 4)
    whole = probes.probes(*exclusive_or, [(images, labels)], [data(40, 5)])
    parts = probes.probes(*exclusive_or, [(images[:50], labels[:50]), (images[50:], labels[50:])], [data(40, 5)])
    assert whole.equals(parts)


def test_what_cannot_be_fitted(exclusive_or):
    images, labels = data(8, 0)
    with pytest.raises(errors.UserError, match="there are 1 classes and 8 examples"):
        probes.probes(*exclusive_or, [(images, np.zeros(8, int))], [(images, labels)])
    with pytest.raises(errors.UserError, match="there are 0 classes and 8 examples"):
        probes.probes(*exclusive_or, [], [(images, labels)])
    with pytest.raises(errors.UserError, match="there are 2 classes and 0 examples"):
        probes.probes(*exclusive_or, [(images, labels)], [])
    linear = models.create("mlp_cifar10", widths=(), num_classes=2)
    with pytest.raises(errors.UserError, match="no layer before its classifier"):
        probes.probes(linear, linear.init(jax.random.key(0), images), [(images, labels)], [(images, labels)])
