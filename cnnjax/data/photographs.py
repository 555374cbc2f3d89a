"""Patches of the two colour photographs that scikit-learn carries, as a TFDS builder: real colours without a network.

Five classes of what is seen on them: the sky, a pagoda and trees on one, a flower and the leaves behind it on the other. An
image is a square of 16×16 pixels of such a region at half its size. Squares lie on a grid of 8 pixels; those of a region's
left part are training examples, those of its right part test examples, and no pixel is in both. All is deterministic.

Every square is seen under a light of its own, as pictures of a collection are and those of one photograph are not: each
channel is multiplied by a number between 1/√2 and √2. These are spread in the same way over training and test.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

SIDE, STEP = 16, 8
"""Of a square, and between two, in pixels of the photograph."""
REGIONS = {
    "sky": ("china.jpg", 0, 340, 180, 200),
    "pagoda": ("china.jpg", 120, 110, 210, 200),
    "trees": ("china.jpg", 300, 390, 127, 170),
    "flower": ("flower.jpg", 125, 210, 190, 190),
    "leaves": ("flower.jpg", 80, 0, 250, 140),
}
"""Class → photograph, top, left, height and width of where it is seen."""
TRAINED = 0.6
"""Share of a region's width that training examples are of."""
_ROOT = 1.2207440846057596
"""Of x⁴ = x + 1: steps of its powers spread points evenly over a cube."""


def squares(photograph: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """The squares of a rectangle at half their size, ``float64 [N, 8, 8, 3]``, row by row."""
    part = photograph[top : top + height, left : left + width].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(part, (SIDE, SIDE), (0, 1))[::STEP, ::STEP]
    halves = windows.reshape(-1, 3, SIDE // 2, 2, SIDE // 2, 2).mean((3, 5))
    return halves.transpose(0, 2, 3, 1)


def lights(count: int) -> np.ndarray:
    """Factors of three channels for so many examples, ``float64 [N, 3]``."""
    places = np.arange(1, count + 1)[:, None] * _ROOT ** -np.arange(1, 4) % 1
    return 2 ** (places - 0.5)


class Photographs(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """image uint8 [8, 8, 3]; label 0…4."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Patches of scikit-learn's two photographs."}  # noqa: RUF012 (the base class's form)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Patches of two photographs, 8×8 pixels in colour, each under a light of its own.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(SIDE // 2, SIDE // 2, 3), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=list(REGIONS)),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        from sklearn.datasets import load_sample_image

        parts: dict[str, list[np.ndarray]] = {"train": [], "test": []}
        for name, top, left, height, width in REGIONS.values():
            photograph, cut = load_sample_image(name), round(TRAINED * width)
            parts["train"].append(squares(photograph, top, left, height, cut))
            parts["test"].append(squares(photograph, top, left + cut, height, width - cut))
        return {split: self._generate_examples(each) for split, each in parts.items()}

    def _generate_examples(self, classes: list[np.ndarray]) -> Iterator:
        images, labels = np.concatenate(classes), np.repeat(np.arange(len(classes)), [len(each) for each in classes])
        seen = np.clip(np.rint(images * lights(len(images))[:, None, None]), 0, 255).astype(np.uint8)
        for i, (image, label) in enumerate(zip(seen, labels.tolist(), strict=True)):
            yield i, {"image": image, "label": label}
