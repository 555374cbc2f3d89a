"""CIFAR-10 (Krizhevsky, 2009) from its original files, as a TFDS builder that needs no TensorFlow.

50,000 training and 10,000 test images of 32×32 RGB pixels in 10 classes, in the order of the original files (TFDS's own
``cifar10``, version 3.0.2, holds the same images shuffled; the version number here tells the two apart).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from cnnjax.data import cifar10_files
from cnnjax.errors import UserError


class Cifar10(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """image uint8 [32, 32, 3] RGB; label 0…9 with the original names.

    Args:
      source: the original files, a folder or an archive (`cifar10_files.find`); default: TFDS's ``manual_dir``.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The original files, in their order."}  # noqa: RUF012 (the base class's form)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"{cifar10_files.BINARY.archive} or {cifar10_files.PYTHON.archive}, packed or unpacked."
    )

    def __init__(self, *, source: Path | None = None, **options: Any) -> None:
        self._source = source
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="60,000 colour images of 32×32 pixels in 10 classes.",
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(32, 32, 3), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=list(cifar10_files.NAMES)),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        source = self._source or Path(dl_manager.manual_dir)
        found = cifar10_files.find(source)
        if found is None:
            raise UserError(f"no original CIFAR-10 files in {source}; expected {self.MANUAL_DOWNLOAD_INSTRUCTIONS}")
        return {split: self._generate_examples(*cifar10_files.read(*found, split)) for split in ("train", "test")}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator:
        for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            yield i, {"image": image, "label": label}
