"""MNIST and Fashion-MNIST from their original files, as TFDS builders that need no TensorFlow.

60,000 training and 10,000 test images of 28×28 grey pixels in ten classes, in the order of the files (TFDS's own sets,
version 3.0.1, hold the same images shuffled; the version number here tells the two apart).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from cnnjax.data import idx_files
from cnnjax.errors import UserError


class _Idx(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """image uint8 [28, 28, 1], label 0…9.

    Args:
      source: the folder with the original files; default: TFDS's ``manual_dir``.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The original files, in their order."}  # noqa: RUF012 (the base class's form)
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"{idx_files.WANTED}."
    NAMES: ClassVar[tuple[str, ...]]
    DESCRIPTION: ClassVar[str]

    def __init__(self, *, source: Path | None = None, **options: Any) -> None:
        self._source = source
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(28, 28, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=list(self.NAMES)),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        source = self._source or Path(dl_manager.manual_dir)
        if not idx_files.find(source):
            raise UserError(f"no original files in {source}; expected {idx_files.WANTED}")
        return {split: self._generate_examples(*idx_files.read(source, split)) for split in idx_files.PARTS}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator:
        for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            yield i, {"image": image, "label": label}


class Mnist(_Idx, skip_registration=True):  # type: ignore[call-arg]
    """Handwritten digits, light on dark."""

    NAMES = tuple("0123456789")
    DESCRIPTION = "70,000 handwritten digits of 28×28 grey pixels."


class FashionMnist(_Idx, skip_registration=True):  # type: ignore[call-arg]
    """Pieces of clothing, light on dark. Xiao, Rasul, Vollgraf 2017, Table 2."""

    NAMES = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    DESCRIPTION = "70,000 pieces of clothing, 28×28 grey pixels."
