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


def images_of(shape=(5, 12, 9, 3), seed=4):
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


@given(side=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_crop_is_a_part_of_the_image(side, seed):
    images = images_of()
    found = np.asarray(augment.crop(jax.random.split(jax.random.key(seed), 5), images, side))
    for image, part in zip(images, found, strict=True):
        places = [(y, x) for y in range(13 - side) for x in range(10 - side)]
        assert any(np.array_equal(image[y : y + side, x : x + side], part) for y, x in places)


def test_crops_reach_every_place():
    ramp = np.arange(12.0)[:, None, None] * 100 + np.arange(9.0)[None, :, None]
    found = augment.crop(jax.random.split(jax.random.key(0), 2000), np.broadcast_to(ramp, (2000, 12, 9, 1)), 7)
    corners = np.asarray(found)[:, 0, 0, 0]
    assert {(int(c) // 100, int(c) % 100) for c in corners} == {(y, x) for y in range(6) for x in range(3)}


def test_the_middle():
    images = images_of((2, 8, 11, 1))
    np.testing.assert_array_equal(augment.central(images, 4), images[:, 2:6, 3:7])
    np.testing.assert_array_equal(augment.central(images, 8), images[:, :, 1:9])


def plane(height, width):
    """An image that is its own coordinates, in units of its extent: what is resampled says where it was."""
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    return np.stack(np.broadcast_arrays(y[:, None], x[None]), -1).astype(np.float32)


def spans(part):
    """Height and width that a resampled plane covers, and its upper left corner, in units of the image's extent.

    Lines through pixels away from the edges, where filters see less than they are wide. Filters of a few taps are not centred
    to the last digit: half a per cent.
    """
    side = len(part)
    inner = np.arange(2, side - 2)
    lines = [np.polyfit(inner + 0.5, values[2:-2], 1) for values in (part[:, side // 2, 0], part[side // 2, :, 1])]
    return np.array([slope * side for slope, _ in lines]), np.array([start for _, start in lines])


def test_scale_jitter_covers_what_the_scale_says():
    """Of 40×60 with a shorter side of 20 ... 32, 16 pixels are 16/20 ... 16/32 of the height, 2/3 as much of the width."""
    images = np.broadcast_to(plane(40, 60), (400, 40, 60, 2))
    found = np.asarray(augment.jittered(jax.random.split(jax.random.key(1), 400), images, (20, 32), 16))
    assert found.shape == (400, 16, 16, 2)
    sizes, corners = map(np.array, zip(*map(spans, found), strict=True))
    allowed = 16 / np.arange(20, 33)
    assert set(np.abs(sizes[:, :1] - allowed).argmin(1)) == set(range(13))
    assert np.abs(sizes[:, :1] - allowed).min(1).max() < 6e-3
    np.testing.assert_allclose(sizes[:, 1], sizes[:, 0] * 40 / 60, atol=6e-3)
    assert corners.min() > -6e-3
    assert (corners + sizes).max() < 1 + 6e-3
    assert corners[:, 1].max() > 0.5


def test_resized_is_the_middle_at_a_scale():
    size, corner = spans(np.asarray(augment.resized(plane(40, 60)[None], 20, 16))[0])
    np.testing.assert_allclose(size, [16 / 20, 16 / 30], atol=1e-3)
    np.testing.assert_allclose(corner, (1 - size) / 2, atol=1e-3)


def test_parts_by_area_and_aspect():
    images = np.broadcast_to(plane(48, 48), (600, 48, 48, 2))
    keys = jax.random.split(jax.random.key(2), 600)
    found = np.asarray(augment.by_area(keys, images, (0.2, 0.8), (3 / 4, 4 / 3), 24))
    sizes, corners = map(np.array, zip(*map(spans, found), strict=True))
    area, aspect = sizes.prod(1), sizes[:, 1] / sizes[:, 0]
    assert 0.19 < area.min() < 0.23
    assert 0.72 < area.max() < 0.81
    assert abs(area.mean() - 0.5) < 0.03
    assert 0.74 < aspect.min() < 0.78
    assert 1.28 < aspect.max() < 1.35
    assert abs(np.log(aspect).mean()) < 0.03
    assert corners.min() > -5e-3
    assert (corners + sizes).max() < 1 + 5e-3


def test_one_colour_for_all_pixels_in_the_span_of_the_components():
    images, components = images_of(), np.array([[3.0, 0], [1, 0], [0, 2]], np.float32)
    found = np.asarray(augment.shifted(jax.random.split(jax.random.key(3), 5), images, components)) - images
    np.testing.assert_allclose(found, np.broadcast_to(found[:, :1, :1], found.shape), atol=1e-4)
    np.testing.assert_allclose(found[:, 0, 0, 0], 3 * found[:, 0, 0, 1], atol=1e-3)
    many = augment.shifted(jax.random.split(jax.random.key(4), 4000), np.zeros((4000, 1, 1, 3)), components)
    np.testing.assert_allclose(np.std(many, 0)[0, 0], [3, 1, 2], rtol=0.05)


def test_photometric_changes_are_the_three_in_some_order():
    """Of a grey image nothing but its brightness and contrast can change; a constant image keeps its colours' ratio."""
    keys = jax.random.split(jax.random.key(5), 300)
    flat = np.broadcast_to(np.float32([30.0, 60, 90]), (300, 4, 4, 3))
    found = np.asarray(augment.photometric(keys, flat, 0.4))
    np.testing.assert_allclose(found, np.broadcast_to(found[:, :1, :1], found.shape), rtol=1e-4)
    # Contrast is about the mean of all colours here, and so is saturation: only brightness moves that mean.
    assert 36 < found.mean((1, 2, 3)).min() < 39
    assert 81 < found.mean((1, 2, 3)).max() < 84
    spread = (found[:, 0, 0, 2] - found[:, 0, 0, 0]) / found.mean((1, 2, 3))
    assert spread.min() < 0.6
    assert spread.max() > 1.5
    grey = np.broadcast_to(images_of((1, 4, 4, 1)), (300, 4, 4, 3))
    changed = np.asarray(augment.photometric(keys, grey, 0.4))
    np.testing.assert_allclose(changed, np.broadcast_to(changed[..., :1], changed.shape), rtol=1e-4, atol=1e-3)
    assert len(np.unique(changed[:, 0, 0, 0].round(2))) > 250


@pytest.mark.parametrize(
    "change",
    [
        lambda keys, images: augment.crop(keys, images, 5),
        lambda keys, images: augment.jittered(keys, images, (8, 12), 8),
        lambda keys, images: augment.by_area(keys, images, (0.1, 1.0), (0.75, 1.33), 8),
        lambda keys, images: augment.shifted(keys, images, jnp.eye(3)),
        lambda keys, images: augment.photometric(keys, images, 0.4),
    ],
)
def test_an_examples_draw_does_not_depend_on_its_batch(change):
    images, keys = images_of(), jax.random.split(jax.random.key(6), 5)
    whole = jax.jit(change)(keys, images)
    for place in range(5):
        alone = jax.jit(change)(keys[place : place + 1], images[place : place + 1])
        np.testing.assert_allclose(alone[0], whole[place], rtol=1e-4, atol=1e-3)
