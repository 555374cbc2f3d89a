"""What is known of sets, prepared or not."""

import pathlib

import numpy as np
import pytest

from cnnjax import config as configs
from cnnjax import data, errors
from cnnjax.data import pipeline
from cnnjax.plan.outline import outline
from cnnjax.train import streamed

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


def recipe(**dataset):
    settings = {f"dataset.{key}": value for key, value in dataset.items()}
    return configs.override(configs.load(CONFIGS / "resnet_cifar.py"), settings)


def test_a_prepared_set_is_itself():
    found, whole = outline(recipe(name="digits"), "train"), data.load("digits", "train")
    assert (found.labels == whole.labels).all()
    assert (found.images == whole.images[: len(found.images)]).all()


@pytest.mark.parametrize(
    ("name", "counts", "shape", "classes"),
    [
        ("cifar10", (50_000, 10_000), (32, 32, 3), 10),
        ("mnist", (60_000, 10_000), (28, 28, 1), 10),
    ],
)
def test_a_set_that_is_not_here(name, counts, shape, classes):
    train, test = (outline(recipe(name=name), which) for which in ("train", "test"))
    assert (len(train.labels), len(test.labels)) == counts
    assert train.images.shape[1:] == test.images.shape[1:] == shape
    assert train.num_classes == len(np.unique(train.labels)) == classes


def test_parts_of_it():
    assert len(outline(recipe(name="mnist", train="train[5000:]"), "train").labels) == 55_000
    found = outline(recipe(name="cifar10", classes=(3, 4)), "train")
    assert (found.num_classes, pipeline.steps_per_epoch(len(found.labels), 256)) == (2, 10_000 // 256)
    assert found.images.shape[1:] == (32, 32, 3)


@pytest.mark.parametrize(("name", "side"), [("resnet_imagenet", 224), ("inception_v3", 299), ("alexnet", 256)])
def test_imagenet_is_as_the_host_sends_it(name, side):
    """Crops where they are of any size, squares where the device crops these."""
    config = configs.load(CONFIGS / f"{name}.py")
    train, test = (outline(config, which) for which in ("train", "test"))
    assert (len(train), len(test), train.num_classes) == (1_281_167, 50_000, 1000)
    assert train.images.shape[1:] == test.images.shape[1:] == (side, side, 3)
    assert streamed.left(config).task.crop == (config.task.crop if side > config.task.crop else 0)


def test_a_set_of_which_nothing_is_known():
    with pytest.raises(errors.UserError, match="is not prepared"):
        outline(recipe(name="svhn_cropped"), "train")
