import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits

from cnnjax.data import BUILDERS, load
from cnnjax.data.digits import Digits, is_test


def _as_rows(images, labels):
    return sorted(bytes(image.tobytes()) + bytes([label]) for image, label in zip(images, labels, strict=True))


@pytest.fixture(scope="module")
def source():
    digits = load_digits()
    return digits.images.astype(np.uint8)[..., None], digits.target


def test_the_splits_are_disjoint_and_together_all_of_scikit_learn(data_dir, source):
    images, labels = source
    train, test = load("digits", "train", data_dir), load("digits", "test", data_dir)
    assert train.images.shape == (1437, 8, 8, 1)
    assert test.images.shape == (360, 8, 8, 1)
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int32
    held_out = is_test(labels)
    np.testing.assert_array_equal(train.images, images[~held_out])
    np.testing.assert_array_equal(test.images, images[held_out])
    assert _as_rows(images, labels) == sorted(_as_rows(train.images, train.labels) + _as_rows(test.images, test.labels))
    assert train.images.max() == 16  # the original counts, unscaled
    assert train.class_names == tuple("0123456789")
    assert train.num_classes == 10


def test_every_class_is_divided_four_to_one(source):
    _, labels = source
    held_out = is_test(labels)
    sizes, tests = np.bincount(labels), np.bincount(labels[held_out])
    assert held_out.sum() == 360
    assert (np.abs(tests - sizes / 5) < 1).all()


def test_the_rule_on_a_case_by_hand():
    # Class by class: 0s at 1, 3; 1s at 0, 2, 4, 5. The list is 1 3 0 2 4 5, its every fifth from the first: 1 and 5.
    assert np.flatnonzero(is_test(np.array([1, 0, 1, 0, 1, 1]))).tolist() == [1, 5]


def test_tfds_reads_it_with_and_without_the_builder(data_dir, source):
    images, labels = source
    held_out = is_test(labels)
    with_builder = Digits(data_dir=data_dir).as_data_source("train[:100]")
    assert len(with_builder) == 100
    without = tfds.builder_from_directory(data_dir / "digits" / "1.0.0").as_data_source("test")
    assert len(without) == 360
    for example, i in ((with_builder[7], np.flatnonzero(~held_out)[7]), (without[359], np.flatnonzero(held_out)[359])):
        np.testing.assert_array_equal(example["image"], images[i])
        assert example["label"] == labels[i]


@pytest.mark.parametrize("name", BUILDERS)
def test_the_table_knows_each_builder(name):
    builder = BUILDERS[name].load()
    assert builder.name == name
    assert str(builder.VERSION) == ".".join(map(str, BUILDERS[name].version))
