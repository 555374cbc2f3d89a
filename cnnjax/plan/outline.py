"""What a plan needs to know of a data set: how many images, of which shape and how many classes. Not the images."""

import dataclasses

import numpy as np

from cnnjax import config as configs
from cnnjax import data, errors
from cnnjax.data import arrays
from cnnjax.train import streamed

_SHOWN = 8
PUBLISHED: dict[str, tuple[dict[str, int], tuple[int, ...], int]] = {
    "cifar10": ({"train": 50_000, "test": 10_000}, (32, 32, 3), 10),
    "fashion_mnist": ({"train": 60_000, "test": 10_000}, (28, 28, 1), 10),
    "imagenet2012": ({"train": 1_281_167, "validation": 50_000}, (), 1000),
    "mnist": ({"train": 60_000, "test": 10_000}, (28, 28, 1), 10),
}
"""Images of each split, their shape (empty: they are of different sizes, and of three channels), and classes, as their
publishers give them."""


def outline(config: configs.ConfigDict, which: str) -> data.Arrays:
    """The labels of a recipe's training or test set, those of its classes, and a few images in place of all.

    A set that is not prepared here is taken from :data:`PUBLISHED`; its images are black then. Those of a set that is streamed
    are as the host sends them.

    Raises:
      UserError: a set of which nothing is known, or which cannot be streamed so.
    """
    asked = config.dataset
    try:
        if config.execution.stream:
            return streamed.outline(config, which, _SHOWN)
        found = data.load(asked.name, asked[which], config.execution.data_dir)
        shape = found.images.shape[1:]
    except errors.UserError:
        if asked.name not in PUBLISHED:
            raise
        sizes, shape, classes = PUBLISHED[asked.name]
        crop, side = streamed.way(config) if not shape else (None, 0)
        edge = crop.side if crop else side
        shape = shape or (edge, edge, 3)
        ranges = arrays.resolve(asked[which], {name: [size] for name, size in sizes.items()})
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
