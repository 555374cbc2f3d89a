"""Convolutions against loops, SciPy, and each other."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from cnnjax import errors
from cnnjax.ops import convolution


def loops(x, kernel, strides, padding, dilation, groups):
    """The sum, written out."""
    axes = x.ndim - 2
    x = np.pad(x, [(0, 0), *[(p, p) for p in padding], (0, 0)])
    reach = [d * (k - 1) + 1 for k, d in zip(kernel.shape[:axes], dilation, strict=True)]
    space = [(n - r) // s + 1 for n, r, s in zip(x.shape[1:-1], reach, strides, strict=True)]
    y = np.zeros((x.shape[0], *space, kernel.shape[-1]))
    fan, each = kernel.shape[-2], kernel.shape[-1] // groups
    for place in itertools.product(*map(range, space)):
        for tap in itertools.product(*map(range, kernel.shape[:axes])):
            at = tuple(p * s + t * d for p, s, t, d in zip(place, strides, tap, dilation, strict=True))
            for group in range(groups):
                seen = x[(slice(None), *at, slice(group * fan, (group + 1) * fan))]
                y[(slice(None), *place, slice(group * each, (group + 1) * each))] += (
                    seen @ kernel[tap][:, group * each : (group + 1) * each]
                )
    return y


CASES = [
    ((7,), (3,), (1,), (0,), (1,), 1),
    ((8,), (4,), (3,), (2,), (1,), 2),
    ((5, 6), (3, 2), (1, 2), (1, 0), (1, 1), 1),
    ((7, 7), (2, 2), (2, 2), (0, 0), (1, 1), 4),
    ((8, 7), (3, 3), (1, 1), (2, 2), (2, 2), 1),
    ((4, 5, 4), (2, 3, 1), (1, 2, 1), (1, 1, 0), (1, 1, 1), 2),
]


def drawn(space, extents, groups, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, *space, 4)), rng.standard_normal((*extents, 4 // groups, 8))


@pytest.mark.parametrize(("space", "extents", "strides", "padding", "dilation", "groups"), CASES)
def test_correlation_is_the_sum(space, extents, strides, padding, dilation, groups):
    x, kernel = drawn(space, extents, groups)
    expected = loops(x, kernel, strides, padding, dilation, groups)
    found = convolution.correlate(jnp.float32(x), jnp.float32(kernel), strides, padding, dilation, groups)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_same_counts_what_a_dilated_kernel_reaches_over():
    """Three taps two apart reach over five: two zeros on each side keep the size."""
    x, kernel = drawn((8, 7), (3, 3), 1)
    expected = loops(x, kernel, (1, 1), (2, 2), (2, 2), 1)
    assert expected.shape == (2, 8, 7, 8)
    found = convolution.correlate(jnp.float32(x), jnp.float32(kernel), padding="same", dilation=2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolution_is_scipys(axes):
    rng = np.random.default_rng(1)
    x, kernel = rng.standard_normal((6,) * axes), rng.standard_normal((3, 2, 4)[:axes])
    found = convolution.convolve(jnp.float32(x[None, ..., None]), jnp.float32(kernel[..., None, None]))
    np.testing.assert_allclose(found[0, ..., 0], scipy.signal.convolve(x, kernel, "valid"), rtol=1e-4, atol=1e-4)
    turned = scipy.signal.correlate(x, kernel, "valid")
    assert not np.allclose(found[0, ..., 0], turned, atol=1e-2)


@pytest.mark.parametrize(("size", "extent", "stride"), [(13, 6, 5), (5, 3, 2), (6, 3, 2), (7, 2, 2), (4, 4, 1)])
def test_same_padding(size, extent, stride):
    """As many outputs as strides fit; an odd one of padding at the end: TensorFlow's rule, written out."""
    x, kernel = (
        np.random.default_rng(2).standard_normal((1, size, 1)),
        np.random.default_rng(3).standard_normal((extent, 1, 1)),
    )
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + extent - size, 0)
    padded = np.pad(x, [(0, 0), (total // 2, total - total // 2), (0, 0)])
    expected = loops(padded, kernel, (stride,), (0,), (1,), 1)
    found = convolution.correlate(jnp.float32(x), jnp.float32(kernel), stride, "same")
    assert found.shape[1] == outputs
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("space", "extents", "strides", "padding"),
    [((3,), (4,), (2,), (1,)), ((2, 3), (3, 2), (2, 1), (0, 0)), ((3, 3), (4, 4), (2, 2), (1, 1))],
)
def test_transposed_spreads_each_value(space, extents, strides, padding):
    rng = np.random.default_rng(4)
    x, kernel = rng.standard_normal((2, *space, 3)), rng.standard_normal((*extents, 5, 3))
    axes = len(space)
    whole = [(n - 1) * s + k for n, s, k in zip(space, strides, extents, strict=True)]
    y = np.zeros((2, *whole, 5))
    for place in itertools.product(*map(range, space)):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, strides, extents, strict=True))
        y[(slice(None), *window)] += np.einsum("nf,...cf->n...c", x[(slice(None), *place)], kernel)
    inside = tuple(slice(p, n - p) for p, n in zip(padding, whole, strict=True))
    found = convolution.transposed(jnp.float32(x), jnp.float32(kernel), strides, padding)
    assert found.ndim == axes + 2
    np.testing.assert_allclose(found, y[(slice(None), *inside)], rtol=1e-4, atol=1e-4)


def test_separable_is_a_kernel_of_products():
    rng = np.random.default_rng(5)
    x, depthwise, pointwise = (rng.standard_normal(shape) for shape in ((2, 6, 6, 3), (3, 3, 1, 6), (6, 4)))
    kernel = np.einsum("hwcm,cmf->hwcf", depthwise.reshape(3, 3, 3, 2), pointwise.reshape(3, 2, 4))
    found = convolution.separable(*map(jnp.float32, (x, depthwise, pointwise)), 1)
    np.testing.assert_allclose(found, loops(x, kernel, (1, 1), (1, 1), (1, 1), 1), rtol=1e-3, atol=1e-4)


def test_spatially_separable_is_the_outer_product():
    """Sobel's kernel is (1, 2, 1) times (-1, 0, 1)."""
    x = np.random.default_rng(6).standard_normal((2, 6, 7, 3))
    one, other = np.float32([1, 2, 1]), np.float32([-1, 0, 1])
    kernel = np.zeros((3, 3, 3, 3))
    for channel in range(3):
        kernel[:, :, channel, channel] = np.outer(one, other)
    found = convolution.spatially_separable(jnp.float32(x), [jnp.array(one), jnp.array(other)], 1)
    np.testing.assert_allclose(found, loops(x, kernel, (1, 1), (1, 1), (1, 1), 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "kernel", "fields", "message"),
    [
        ((1, 4, 3), (3, 2, 5), {}, "does not fit 3 channels"),
        ((1, 4, 4), (3, 2, 5), {"groups": 2}, "does not fit 4 channels"),
        ((1, 4, 4), (5, 4, 5), {}, "smaller than its kernel"),
        ((1, 4, 4), (3, 3, 4, 5), {}, "kernels as many, not 1 and 2"),
        ((1, 4), (4, 5), {}, "one, two or three spatial axes"),
        ((1, 4, 4, 4), (3, 3, 4, 5), {"strides": (1, 1, 1)}, "2 spatial axes want as many numbers"),
        ((1, 4, 3), (3, 3, 5), {"strides": 0}, "at least 1, not"),
        ((1, 4, 3), (3, 3, 5), {"dilation": -1}, "at least 1, not"),
        ((1, 4, 3), (3, 3, 5), {"padding": "valid"}, "unknown padding 'valid'; available: same"),
    ],
)
def test_what_does_not_fit(x, kernel, fields, message):
    with pytest.raises(errors.UserError, match=message):
        convolution.correlate(jnp.zeros(x), jnp.zeros(kernel), **fields)


def test_matrices_and_transposed_kernels_that_do_not_fit():
    x = jnp.zeros((1, 4, 4, 3))
    with pytest.raises(errors.UserError, match="does not fit the 6 channels"):
        convolution.separable(x, jnp.zeros((3, 3, 1, 6)), jnp.zeros((5, 2)))
    with pytest.raises(errors.UserError, match="its last axis is their channels"):
        convolution.transposed(x, jnp.zeros((3, 3, 2, 4)))


def test_gradients_by_turned_kernels():
    """Backward pass by hand: the input's gradient is a full convolution with the kernel, the kernel's a correlation with it."""
    rng = np.random.default_rng(7)
    x, kernel, upstream = (
        jnp.float32(rng.standard_normal(shape)) for shape in ((1, 6, 7, 2), (3, 2, 2, 3), (1, 4, 6, 3))
    )
    of_x, of_kernel = jax.vjp(convolution.correlate, x, kernel)[1](upstream)
    swapped = jnp.swapaxes(kernel, 2, 3)
    full = convolution.convolve(jnp.pad(upstream, ((0, 0), (2, 2), (1, 1), (0, 0))), swapped)
    np.testing.assert_allclose(of_x, full, rtol=1e-4, atol=1e-4)
    for tap in itertools.product(range(3), range(2)):
        seen = x[:, tap[0] : tap[0] + 4, tap[1] : tap[1] + 6]
        np.testing.assert_allclose(of_kernel[tap], jnp.einsum("nhwc,nhwf->cf", seen, upstream), rtol=1e-4, atol=1e-4)
