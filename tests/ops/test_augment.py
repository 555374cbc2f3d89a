"""Augmentations against loops in numpy, and what every draw has in common."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax.ops import augment

CROP = jax.jit(augment.pad_and_crop, static_argnums=2)


def keys(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def images(n, height=5, width=4, channels=2):
    """Every pixel is another number, and none is zero."""
    size = (n, height, width, channels)
    return np.arange(1, 1 + np.prod(size), dtype=np.float32).reshape(size)


def offset(original, cropped, pad):
    """The (top, left) of a crop, found by trying every window of the padded image; exactly one must fit."""
    height, width, _ = original.shape
    padded = np.zeros((height + 2 * pad, width + 2 * pad, original.shape[2]), original.dtype)
    padded[pad : pad + height, pad : pad + width] = original
    found = [
        (top, left)
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
        if (padded[top : top + height, left : left + width] == cropped).all()
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("size", "pad"), [((5, 4), 0), ((5, 4), 1), ((3, 6), 2)])
@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_crop_is_one_window_of_the_padded_image(size, pad, seed):
    batch = images(4, *size)
    for original, cropped in zip(batch, np.asarray(CROP(keys(4, seed), batch, pad)), strict=True):
        top, left = offset(original, cropped, pad)
        assert 0 <= top <= 2 * pad
        assert 0 <= left <= 2 * pad


def test_a_crop_is_at_the_offset_that_its_key_draws():
    batch, pad = images(12), 2
    cropped = np.asarray(augment.pad_and_crop(keys(12), batch, pad))
    drawn = [tuple(jax.random.randint(key, (2,), 0, 2 * pad + 1).tolist()) for key in keys(12)]
    assert [offset(one, other, pad) for one, other in zip(batch, cropped, strict=True)] == drawn
    assert len(set(drawn)) > 5


def test_every_offset_is_drawn_equally_often():
    n, pad = 4500, 1
    one = images(1, 3, 3, 1)
    cropped = np.asarray(augment.pad_and_crop(keys(n), np.repeat(one, n, 0), pad))
    counts = {}
    for each in cropped:
        counts[each.tobytes()] = counts.get(each.tobytes(), 0) + 1
    assert len(counts) == 9
    expected, deviation = n / 9, np.sqrt(n * 1 / 9 * 8 / 9)
    assert max(abs(count - expected) for count in counts.values()) < 4 * deviation


def test_flip_mirrors_left_and_right_as_its_key_draws():
    batch = images(16)
    flipped = np.asarray(augment.flip(keys(16), batch))
    drawn = [bool(jax.random.bernoulli(key)) for key in keys(16)]
    assert 0 < sum(drawn) < 16
    for original, result, mirrored in zip(batch, flipped, drawn, strict=True):
        columns = reversed(range(original.shape[1])) if mirrored else range(original.shape[1])
        np.testing.assert_array_equal(result, np.stack([original[:, column] for column in columns], axis=1))


def test_half_of_the_images_are_mirrored():
    n = 4000
    flipped = np.asarray(augment.flip(keys(n, 5), np.tile(np.array([[[[1.0], [2.0]]]], np.float32), (n, 1, 1, 1))))
    assert abs((flipped[:, 0, 0, 0] == 2).sum() - n / 2) < 4 * np.sqrt(n / 4)


@pytest.mark.parametrize("operation", [augment.flip, lambda k, x: augment.pad_and_crop(k, x, 2)], ids=["flip", "crop"])
def test_what_happens_to_an_image_does_not_depend_on_its_batch(operation):
    batch, its_keys = images(9), keys(9)
    whole = np.asarray(jax.jit(operation)(its_keys, batch))
    order = np.array([4, 8, 0])
    np.testing.assert_array_equal(operation(its_keys[order], batch[order]), whole[order])
    assert operation(its_keys, jnp.asarray(batch, jnp.bfloat16)).dtype == jnp.bfloat16
