import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from cnnjax.ops import losses


@given(
    n=st.sampled_from([1, 5]),
    classes=st.sampled_from([1, 3, 10]),
    scale=st.sampled_from([0.1, 1.0, 30.0, 1e4]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_cross_entropy_is_scipys(n, classes, scale, seed):
    rng = np.random.default_rng(seed)
    logits, labels = scale * rng.standard_normal((n, classes)), rng.integers(0, classes, n)
    expected = -special.log_softmax(logits, axis=-1)[np.arange(n), labels]
    with jax.enable_x64(True):
        found = jax.jit(losses.cross_entropy)(logits, labels)
    assert found.shape == (n,)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_smoothing_is_optax_s():
    logits, labels = np.random.default_rng(1).standard_normal((6, 5)), np.array([0, 4, 2, 2, 1, 3])
    for smoothing in (0.1, 0.6):
        targets = optax.smooth_labels(np.eye(5)[labels], smoothing)
        expected = optax.softmax_cross_entropy(logits, targets)
        np.testing.assert_allclose(losses.cross_entropy(logits, labels, smoothing), expected, rtol=1e-5)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    np.testing.assert_allclose(
        losses.cross_entropy(np.full((2, 10), 7.0, np.float32), np.array([0, 9])), np.log(10), rtol=1e-6
    )


def test_low_precision_is_raised_to_float32():
    logits = jax.numpy.asarray([[0.0, 0.0078125]], "bfloat16")
    found = losses.cross_entropy(logits, np.array([0]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [np.log(1 + np.exp(0.0078125))], rtol=1e-6)


def test_gradient_is_probability_minus_target():
    logits = np.random.default_rng(0).standard_normal((3, 5))
    labels = np.array([4, 0, 2])
    with jax.enable_x64(True):
        gradient = jax.grad(lambda z: losses.cross_entropy(z, labels).sum())(logits)
    np.testing.assert_allclose(gradient, special.softmax(logits, -1) - np.eye(5)[labels], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("label", [3, 100])
def test_a_label_beyond_the_classes_is_not_silently_another_class(label):
    assert np.isnan(losses.cross_entropy(np.zeros((1, 3), np.float32), np.array([label]))).all()
