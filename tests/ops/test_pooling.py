"""Pooling against loops, its gradient against a backward pass written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import errors
from cnnjax.ops import pooling


def positions(size, window, stride, edges, ceil):
    """First positions of the windows, counted one by one."""
    low, high = edges
    found, first = [], -low
    while first + window <= size + high:
        found.append(first)
        first += stride
    if ceil and first < size and (not found or found[-1] + window < size + high):
        found.append(first)
    return found


def slow_pool(x, kind, window, strides, padding, ceil, count_padding):
    """Loops over examples, windows and channels."""
    (h, w), (vertical, horizontal) = x.shape[1:3], padding
    tops = positions(h, window[0], strides[0], vertical, ceil)
    lefts = positions(w, window[1], strides[1], horizontal, ceil)
    y = np.zeros((x.shape[0], len(tops), len(lefts), x.shape[3]))
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            rows = range(max(top, 0), min(top + window[0], h))
            columns = range(max(left, 0), min(left + window[1], w))
            seen = x[:, rows][:, :, columns]
            height = min(top + window[0], h + vertical[1]) - top if count_padding else len(rows)
            width = min(left + window[1], w + horizontal[1]) - left if count_padding else len(columns)
            if kind == "max":
                y[:, i, j] = seen.max((1, 2))
            else:
                y[:, i, j] = seen.sum((1, 2)) / (height * width if kind == "average" else 1)
    return y


@st.composite
def cases(draw):
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    strides = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in window)
    size = tuple(draw(st.integers(k, 9)) for k in window)
    return size, window, strides, padding, draw(st.booleans()), draw(st.booleans())


@given(cases(), st.sampled_from(pooling.KINDS))
@settings(max_examples=60, deadline=None)
def test_windows_are_those_of_the_loops(case, kind):
    size, window, strides, padding, ceil, count_padding = case
    x = np.random.default_rng(0).standard_normal((2, *size, 3)).astype(np.float32)
    expected = slow_pool(x, kind, window, strides, padding, ceil, count_padding)
    found = pooling.pool(x, kind, window, strides, padding, ceil, count_padding)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "window", "stride", "edges", "ceil", "expected"),
    [
        (55, 3, 2, (0, 0), False, 27),  # AlexNet
        (110, 3, 2, (0, 0), True, 55),  # ZFNet
        (26, 3, 2, (0, 0), True, 13),
        (32, 3, 2, (0, 0), True, 16),  # NIN
        (32, 3, 2, (0, 0), False, 15),
        (112, 3, 2, (1, 1), False, 56),  # ResNet
        (2, 3, 1, (0, 0), False, 0),
        (1, 1, 2, (0, 0), True, 1),
    ],
)
def test_sizes_of_the_papers(size, window, stride, edges, ceil, expected):
    assert pooling.output_size(size, window, stride, edges, ceil) == expected


@pytest.mark.parametrize("space", [(7,), (5, 6), (4, 5, 6)], ids=["1d", "2d", "3d"])
def test_as_many_dimensions_as_the_window_has(space):
    x = np.random.default_rng(1).standard_normal((2, *space, 3)).astype(np.float32)
    y = pooling.pool(x, "max", (2,) * len(space))
    trimmed = x[(slice(None), *(slice(n // 2 * 2) for n in space))]
    blocks = trimmed.reshape(2, *(part for n in space for part in (n // 2, 2)), 3)
    np.testing.assert_array_equal(y, blocks.max(tuple(range(2, 2 * len(space) + 1, 2))))


@pytest.mark.parametrize("kind", pooling.KINDS)
def test_gradients_go_where_the_values_came_from(kind):
    """Overlapping 3×3 windows at stride 2: the whole gradient to the largest, or a share to each."""
    x = np.random.default_rng(2).permutation(2 * 7 * 7 * 2).reshape(2, 7, 7, 2).astype(np.float32)
    dy = np.random.default_rng(3).standard_normal((2, 3, 3, 2)).astype(np.float32)
    expected = np.zeros_like(x)
    for n, i, j, c in np.ndindex(dy.shape):
        window = (n, slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3), c)
        if kind == "max":
            row, column = np.unravel_index(x[window].argmax(), (3, 3))
            expected[n, 2 * i + row, 2 * j + column, c] += dy[n, i, j, c]
        else:
            expected[window] += dy[n, i, j, c] / (9 if kind == "average" else 1)
    _, backward = jax.vjp(lambda x: pooling.pool(x, kind, (3, 3), (2, 2)), jnp.asarray(x))
    np.testing.assert_allclose(backward(dy)[0], expected, rtol=1e-5, atol=1e-5)


def test_what_a_shift_does_to_a_maximum():
    """Géron 2019, Fig. 14-9: a shift by one pixel within the windows changes nothing, by two moves the result by one."""
    image = np.zeros((1, 4, 8, 1), np.float32)
    image[0, 1, 2], image[0, 2, 4] = 1, 2
    pooled = [pooling.pool(np.roll(image, shift, 2), "max", (2, 2)) for shift in range(3)]
    np.testing.assert_array_equal(pooled[0], pooled[1])
    np.testing.assert_array_equal(np.roll(pooled[0], 1, 2), pooled[2])


def test_channels_are_pooled_in_groups():
    x = np.random.default_rng(4).standard_normal((2, 3, 3, 6)).astype(np.float32)
    y = pooling.channel_pool(x, 3)
    np.testing.assert_array_equal(y[..., 1], x[..., 3:].max(-1))
    assert y.shape == (2, 3, 3, 2)
    with pytest.raises(errors.UserError, match="20 channels are not divided by a pooling window of 3"):
        pooling.channel_pool(np.zeros((1, 20)), 3)


def test_the_whole_map():
    x = np.random.default_rng(5).standard_normal((2, 3, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(pooling.global_pool(x), x.mean((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(pooling.global_pool(x, "max"), x.max((1, 2)))


@pytest.mark.parametrize(
    ("size", "count", "expected"),
    [
        (13, 6, [(0, 3), (2, 5), (4, 7), (6, 9), (8, 11), (10, 13)]),
        (13, 4, [(0, 4), (3, 7), (6, 10), (9, 13)]),
        (13, 3, [(0, 5), (4, 9), (8, 13)]),
        (13, 2, [(0, 7), (6, 13)]),
        (10, 6, [(0, 2), (1, 4), (3, 5), (5, 7), (6, 9), (8, 10)]),
        (3, 6, [(0, 1), (0, 1), (1, 2), (1, 2), (2, 3), (2, 3)]),
    ],
)
def test_bins_of_the_paper(size, count, expected):
    """He et al. 2014, appendix: ⌊(i - 1) w / n⌋ to ⌈i w / n⌉, written out by hand."""
    assert pooling.bins(size, count) == expected


@given(st.integers(1, 40), st.integers(1, 8))
def test_bins_cover_every_position_and_are_never_empty(size, count):
    found = pooling.bins(size, count)
    assert len(found) == count
    assert all(first < last for first, last in found)
    assert {place for first, last in found for place in range(first, last)} == set(range(size))


@pytest.mark.parametrize("size", [(13, 13), (10, 7), (3, 2), (1, 1)])
@pytest.mark.parametrize(
    ("levels", "cells"), [((6, 3, 2, 1), 50), ((4, 3, 2, 1), 30), ((4, 2, 1), 21), ((3, 2, 1), 14)]
)
def test_a_pyramid_is_as_long_for_every_size(size, levels, cells):
    x = np.random.default_rng(6).standard_normal((2, *size, 3)).astype(np.float32)
    y = pooling.pyramid_pool(x, levels)
    assert y.shape == (2, 3 * cells)
    np.testing.assert_array_equal(y[:, -3:], x.max((1, 2)))
    first = x[:, slice(*pooling.bins(size[0], levels[0])[0]), slice(*pooling.bins(size[1], levels[0])[1 % levels[0]])]
    np.testing.assert_array_equal(y[:, 3:6], first.max((1, 2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: pooling.pool(x, "maximum", (2, 2)), "unknown kind of pooling 'maximum'"),
        (lambda x: pooling.pool(x, "max", (5, 5)), "a map of 4×4 is smaller than its window of 5×5"),
    ],
)
def test_what_cannot_be(call, message):
    with pytest.raises(errors.UserError, match=message):
        call(np.zeros((1, 4, 4, 2), np.float32))


def test_a_kind_of_bins_that_is_none():
    with pytest.raises(errors.UserError, match="unknown kind of pooling into bins 'sum'"):
        pooling.bin_pool(jnp.zeros((1, 4, 4, 1)), "sum", 2)
