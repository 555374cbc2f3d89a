"""Which part of an image becomes a square, held to the same rules on the device and to their statement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import errors
from cnnjax.data import crops, decode
from cnnjax.ops import augment

_window = jax.jit(augment.window, static_argnames="size")
SIZES = st.tuples(st.integers(20, 900), st.integers(20, 900))
DRAWS = st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4).map(np.array)


def _inside(box: crops.Box, height: int, width: int) -> bool:
    return (
        box.top >= 0
        and box.left >= 0
        and box.top + box.height <= height * (1 + 1e-12)
        and box.left + box.width <= width * (1 + 1e-12)
    )


@given(size=SIZES, draws=DRAWS)
def test_a_part_by_area(size, draws):
    """Szegedy et al. 2014, §6: 8 % to 100 % of the area, and 3/4 to 4/3, where it is not cut to the image."""
    box = crops.Crop(224, 256, area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)).random(*size, draws)
    assert _inside(box, *size)
    share, ratio = box.height * box.width / (size[0] * size[1]), box.width / box.height
    assert share <= 1 + 1e-9
    if box.height < size[0] and box.width < size[1]:
        assert share == pytest.approx(0.08 + 0.92 * draws[0])
        assert 3 / 4 - 1e-9 <= ratio <= 4 / 3 + 1e-9


@given(size=SIZES, draws=DRAWS)
def test_a_jittered_square(size, draws):
    """Simonyan & Zisserman 2014, §3.1: 224 pixels of an image whose shorter side has become one of 256 to 512."""
    box = crops.Crop(224, 256, jitter=(256, 512)).random(*size, draws)
    assert _inside(box, *size)
    assert box.height == box.width
    shorter = 224 * min(size) / box.height
    assert shorter == pytest.approx(round(shorter))
    assert 256 <= round(shorter) <= 512


@given(size=SIZES, draws=DRAWS)
def test_without_either_the_shorter_side_is_fixed(size, draws):
    box = crops.Crop(224, 256).random(*size, draws)
    assert _inside(box, *size)
    assert box.height == box.width == pytest.approx(min(size) * 224 / 256)
    middle = crops.Crop(224, 256).central(*size)
    assert (middle.height, middle.width) == (box.height, box.width)
    assert middle.top + middle.height / 2 == pytest.approx(size[0] / 2)
    assert middle.left + middle.width / 2 == pytest.approx(size[1] / 2)


def test_crops_reach_all_that_they_may():
    draws = np.stack([crops.draws(7, 0, index) for index in range(4000)])
    assert np.abs(draws.mean(0) - 0.5).max() < 0.02
    assert np.abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.06
    boxes = [crops.Crop(4, 8, jitter=(8, 10)).random(100, 200, each) for each in draws]
    sides = np.array([round(4 * 100 / box.height) for box in boxes])
    assert np.abs(np.bincount(sides)[8:] / len(sides) - 1 / 3).max() < 0.03
    tops = np.array([box.top / (100 - box.height) for box in boxes])
    lefts = np.array([box.left / (200 - box.width) for box in boxes])
    for places in (tops, lefts):
        assert places.min() < 0.01
        assert places.max() > 0.99


def test_draws_are_of_seed_epoch_and_example_only():
    same = crops.draws(1, 2, 3)
    np.testing.assert_array_equal(same, crops.draws(1, 2, 3))
    others = [
        crops.draws(*each)
        for each in ((0, 2, 3), (1, 3, 3), (1, 2, 4), (1, 3, 2), (2**31 - 1, 2, 3), (1, 2, 2**31 - 1))
    ]
    assert len(np.unique([same, *others], axis=0)) == 7
    assert ((same >= 0) & (same < 1)).all()


@settings(max_examples=15, deadline=None)
@given(draws=DRAWS, kind=st.sampled_from([{"jitter": (48, 90)}, {"area": (0.08, 1.0), "aspect": (3 / 4, 4 / 3)}, {}]))
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_of_the_device(draws, kind, channels, photograph):
    """`augment.window` of the whole image, to a rounding: two independent ways to the same interpolation."""
    pixels = np.asarray(photograph(0, 160, 120))[..., :channels]
    box = crops.Crop(40, 48, **kind).random(120, 160, draws)
    zoom = jnp.array([40 / box.height, 40 / box.width])
    expected = _window(jnp.asarray(pixels, jnp.float32), zoom, jnp.array([box.top, box.left]) * zoom, (40, 40))
    found = crops.resized(pixels, box, 40)
    assert (found.shape, found.dtype) == ((40, 40, channels), np.uint8)
    np.testing.assert_allclose(found, np.asarray(expected), atol=1.6)


@given(size=SIZES, draws=DRAWS, side=st.integers(8, 224))
def test_no_crop_is_enlarged_because_of_the_reduced_size(size, draws, side):
    image = decode.ImageFile(b"", *size, decode.REDUCTIONS)
    box = crops.Crop(side, side, area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)).random(*size, draws)
    chosen = crops.reduction(image, box, side)
    least = min(box.height, box.width)
    assert chosen == 1 or least / chosen >= side
    assert chosen == 8 or least / (2 * chosen) < side  # nor is more decoded than is wanted
    assert crops.reduction(decode.ImageFile(b"", *size, (1,)), box, side) == 1


@pytest.mark.parametrize("side", [20, 50, 110, 220])
def test_a_crop_of_a_reduced_image_is_one_of_the_whole(side, photograph, encoded):
    """Less than 3 of 255 lie, on average, between the resized eighth, quarter or half of a photograph and the whole resized."""
    image = decode.read(encoded(photograph(0, 600, 420), quality=95, subsampling=0))
    box = crops.Box(13.3, 40.7, 380.2, 470.1)
    found = crops.square(image, box, side, 3)
    assert crops.reduction(image, box, side) == {20: 8, 50: 4, 110: 2, 220: 1}[side]
    expected = crops.resized(decode.pixels(image, 3), box, side)
    assert np.abs(found.astype(int) - expected).mean() < (3 if side < 220 else 1e-9)
    moved = crops.resized(decode.pixels(image, 3), crops.Box(13.3 + 380 / side, 40.7, 380.2, 470.1), side)
    assert np.abs(found.astype(int) - moved).mean() > 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0, 256), "at least one pixel and at most the shorter side .256., not 0"),
        ((257, 256), "at most the shorter side .256., not 257"),
        ((224, 256, (200, 300)), "at least the crop's .224."),
        ((224, 256, (300, 256)), "jitter is two sides"),
        ((224, 256, (256, 300), (0.1, 1.0), (1.0, 1.0)), "give one"),
        ((224, 256, (), (0.0, 1.0), (1.0, 1.0)), "area is two shares"),
        ((224, 256, (), (0.1, 1.0)), "aspect is two ratios"),
        ((224, 256, (), (), (1.0, 1.0)), "aspect is two ratios"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(errors.UserError, match=message):
        crops.Crop(*settings)
