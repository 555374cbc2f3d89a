"""Patches of scikit-learn's photographs, against loops over its pixels."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from cnnjax.data import load, prepare
from cnnjax.data.photographs import REGIONS, lights

# Rows and columns of squares: regions are 180, 210, 127, 190 and 250 pixels high, and 120 + 80, 120 + 80, 102 + 68, 114 + 76
# and 84 + 56 wide.
SIZES = {
    "train": {"sky": 21 * 14, "pagoda": 25 * 14, "trees": 14 * 11, "flower": 22 * 13, "leaves": 30 * 9},
    "test": {"sky": 21 * 9, "pagoda": 25 * 9, "trees": 14 * 7, "flower": 22 * 8, "leaves": 30 * 6},
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    prepare("photographs", folder)
    return {split: load("photographs", split, folder) for split in ("train", "test")}


@pytest.mark.parametrize("split", SIZES)
def test_classes_and_how_many(sets, split):
    found = sets[split]
    assert found.class_names == tuple(SIZES[split])
    np.testing.assert_array_equal(np.bincount(found.labels), list(SIZES[split].values()))
    assert found.images.shape == (sum(SIZES[split].values()), 8, 8, 3)
    assert found.images.std() > 30


@pytest.mark.parametrize("split", SIZES)
def test_every_image_is_half_a_square_under_its_light(sets, split):
    photographs = {name: load_sample_image(name).astype(float) for name in ("china.jpg", "flower.jpg")}
    number = 0
    for name, top, left, height, width in REGIONS.values():
        begin, end = (
            (left, left + round(0.6 * width)) if split == "train" else (left + round(0.6 * width), left + width)
        )
        for y in range(top, top + height - 15, 8):
            for x in range(begin, end - 15, 8):
                square = photographs[name][y : y + 16, x : x + 16]
                small = [
                    [square[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((0, 1)) for j in range(8)] for i in range(8)
                ]
                expected = np.clip(np.array(small) * light(number + 1), 0, 255)
                np.testing.assert_allclose(sets[split].images[number], expected, atol=0.5 + 1e-9)
                number += 1
    assert number == len(sets[split].labels)


def light(number):
    """The root of x⁴ = x + 1, found by halving; each channel's exponent is the fraction of a multiple of a power of it."""
    low, high = 1.0, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if middle**4 < middle + 1 else (low, middle)
    return np.array([2 ** ((number / low**power) % 1 - 0.5) for power in (1, 2, 3)])


def test_lights_are_spread_evenly():
    """In each channel and each quarter of the exponents about a quarter of them; together no two are the same."""
    exponents = np.log2(lights(1000)) + 0.5
    for channel in range(3):
        counts = np.histogram(exponents[:, channel], 4, (0, 1))[0]
        assert (np.abs(counts - 250) <= 10).all()
    assert abs(np.corrcoef(exponents.T) - np.eye(3)).max() < 0.05
    assert len({tuple(each) for each in exponents.round(6)}) == 1000


def test_no_pixel_is_in_both_parts():
    """Regions of one photograph do not overlap, and the parts of one are beside each other."""
    for name in ("china.jpg", "flower.jpg"):
        seen = np.zeros(load_sample_image(name).shape[:2], int)
        for where, top, left, height, width in REGIONS.values():
            if where == name:
                assert top + height <= seen.shape[0]
                assert left + width <= seen.shape[1]
                seen[top : top + height, left : left + width] += 1
        assert seen.max() == 1
