"""Labels without images: those of the resident set, read once."""

import shutil

import numpy as np
import pytest

from cnnjax import data
from cnnjax.data import labels, sets
from cnnjax.data.records import Records


@pytest.fixture
def digits(tmp_path):
    """A prepared set of this test alone."""
    data.prepare("digits", tmp_path)
    return sets.require("digits", tmp_path)


@pytest.mark.parametrize("split", ["train", "test[5:]+train[:3]", "test"])
def test_they_are_the_resident_sets(split, digits, tmp_path):
    found = labels.read(digits, split)
    expected = data.load("digits", split, tmp_path).labels
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


def test_they_are_read_once(digits, monkeypatch):
    first = labels.read(digits, "test")

    def refuse(records, index):
        raise AssertionError("they are kept")

    monkeypatch.setattr(Records, "label", refuse)
    np.testing.assert_array_equal(labels.read(digits, "test[3:]"), first[3:])


@pytest.mark.parametrize("damage", ["cut", "of another set", "a folder", "not writable"])
def test_what_lies_there_instead_is_not_believed(damage, digits):
    first, kept = labels.read(digits, "test"), digits.folder / "labels" / "test.npy"
    content = kept.read_bytes()
    kept.unlink()
    if damage == "cut":
        kept.write_bytes(content[:-8])
    elif damage == "of another set":
        np.save(kept, first[1:])
    elif damage == "a folder":
        kept.mkdir()
    else:
        shutil.rmtree(kept.parent)
        kept.parent.write_text("no folder can be made here")
    np.testing.assert_array_equal(labels.read(digits, "test"), first)
