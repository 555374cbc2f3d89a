"""The handwritten digits that scikit-learn carries, as a TFDS builder: real pixels without a network.

1,797 grey images of 8×8 pixels in 10 classes: the test half of the UCI set "Optical Recognition of Handwritten Digits"
(Alpaydin and Kaynak, 1998), where each pixel counts the ink in a 4×4 cell of the scan. The counts 0…16 are kept as
they are; scaling them is a task's business.

The split is ours, since the source has none: list the examples class by class, within a class in scikit-learn's order;
every fifth of that list, from the first on, is a test example. This gives 1,437 / 360 with every class divided 4 : 1
within one example, and involves no random numbers. Both splits keep scikit-learn's order. (The source does not say who
wrote which digit, so a writer's digits fall on both sides.)
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds


def is_test(labels: np.ndarray) -> np.ndarray:
    """Which examples are held out: the rule of the file's docstring. ``labels`` int [N]; returns bool [N]."""
    held_out = np.zeros(len(labels), bool)
    held_out[np.argsort(labels, kind="stable")[::5]] = True
    return held_out


class Digits(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """image uint8 [8, 8, 1] with values 0…16; label 0…9."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "scikit-learn's 1,797 digits, split 1,437 / 360."}  # noqa: RUF012 (the base class's form)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="1,797 handwritten digits of 8×8 pixels, values 0…16.",
            homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = digits.images.astype(np.uint8)[..., None]
        held_out = is_test(digits.target)
        return {
            "train": self._generate_examples(images, digits.target, np.flatnonzero(~held_out)),
            "test": self._generate_examples(images, digits.target, np.flatnonzero(held_out)),
        }

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray, index: np.ndarray) -> Iterator:
        for i in index.tolist():
            yield i, {"image": images[i], "label": int(labels[i])}
