"""What a plan needs to know of a data set: how many images, of which shape and how many classes. Not the images."""

import dataclasses
import re

import numpy as np

from cnnjax import config as configs
from cnnjax import data, errors
from cnnjax.data import arrays

_SHOWN = 8
_ILSVRC = re.compile(r"ilsvrc2012_([1-9][0-9]{0,3})")
PUBLISHED: dict[str, tuple[int, int, tuple[int, ...], int]] = {
    "cifar10": (50_000, 10_000, (32, 32, 3), 10),
    "fashion_mnist": (60_000, 10_000, (28, 28, 1), 10),
    "mnist": (60_000, 10_000, (28, 28, 1), 10),
}
"""Training images, test images, their shape, and classes, as their publishers give them."""
_ILSVRC_IMAGES = 1_281_167
_TEST_SHARE = 0.04


def outline(config: configs.ConfigDict, which: str) -> data.Arrays:
    """The labels of a recipe's training or test set, those of its classes, and a few images in place of all.

    A set that is not prepared here is taken from :data:`PUBLISHED`, or, where it is called ``ilsvrc2012_SIDE``, for the
    training images of ILSVRC-2012 cut to that side, 4 % of which are tested on; its images are black then.

    Raises:
      UserError: a set of which nothing is known.
    """
    asked = config.dataset
    try:
        found = data.load(asked.name, asked[which], config.execution.data_dir)
        shape = found.images.shape[1:]
    except errors.UserError:
        if not (facts := _facts(asked.name)):
            raise
        train, test, shape, classes = facts
        ranges = arrays.resolve(asked[which], {"train": [train], "test": [test]})
        labels = np.arange(sum(stop - start for _, start, stop in ranges), dtype=np.int32) % classes
        names = tuple(map(str, range(classes)))
        nothing = np.zeros((len(labels), 0), np.uint8)
        found = data.Arrays(nothing, labels, classes, names, asked.name, asked[which], "")
    if asked.classes:
        found = found.only(asked.classes)
    few = np.zeros((_SHOWN, *shape), np.uint8)
    if found.images.size:
        few[: len(found.images)] = found.images[:_SHOWN]
    return dataclasses.replace(found, images=few)


def _facts(name: str) -> tuple[int, int, tuple[int, ...], int] | None:
    if side := _ILSVRC.fullmatch(name):
        test = round(_TEST_SHARE * _ILSVRC_IMAGES)
        return _ILSVRC_IMAGES - test, test, (int(side[1]), int(side[1]), 3), 1000
    return PUBLISHED.get(name)
