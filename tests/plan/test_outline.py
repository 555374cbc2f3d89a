"""What is known of sets, prepared or not."""

import numpy as np
import pytest

from cnnjax import config as configs
from cnnjax import data, errors
from cnnjax.data import pipeline
from cnnjax.plan.outline import outline


def recipe(**dataset):
    return configs.stored(
        {"dataset": {"train": "train", "test": "test", "classes": (), **dataset}, "execution": {"data_dir": None}}
    )


def test_a_prepared_set_is_itself():
    found, whole = outline(recipe(name="digits"), "train"), data.load("digits", "train")
    assert (found.labels == whole.labels).all()
    assert (found.images == whole.images[: len(found.images)]).all()


@pytest.mark.parametrize(
    ("name", "counts", "shape", "classes"),
    [
        ("cifar10", (50_000, 10_000), (32, 32, 3), 10),
        ("mnist", (60_000, 10_000), (28, 28, 1), 10),
        ("ilsvrc2012_480", (1_229_920, 51_247), (480, 480, 3), 1000),
    ],
)
def test_a_set_that_is_not_here(name, counts, shape, classes):
    """ILSVRC-2012: 96 % and 4 % of 1,281,167 images."""
    train, test = (outline(recipe(name=name), which) for which in ("train", "test"))
    assert (len(train.labels), len(test.labels)) == counts
    assert train.images.shape[1:] == test.images.shape[1:] == shape
    assert train.num_classes == len(np.unique(train.labels)) == classes


def test_parts_of_it():
    assert len(outline(recipe(name="mnist", train="train[5000:]"), "train").labels) == 55_000
    found = outline(recipe(name="ilsvrc2012_256", classes=(3, 4)), "train")
    assert (found.num_classes, pipeline.steps_per_epoch(len(found.labels), 256)) == (2, 2 * 1230 // 256)
    assert found.images.shape[1:] == (256, 256, 3)


def test_a_set_of_which_nothing_is_known():
    with pytest.raises(errors.UserError, match="is not prepared"):
        outline(recipe(name="svhn_cropped"), "train")
