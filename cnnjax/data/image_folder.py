"""A folder of class folders as a TFDS set: ``FOLDER/<class>/*.jpg``, any format that PIL reads.

Pictures are resized to the asked side (the shorter one) and cropped at the centre, as uint8 RGB. The splits ``test``, ``valid``
and ``train`` take the first, next and last per cent of each class's pictures, in the order of a hash of their names: the same
pictures whenever it is prepared, and classes in equal shares.
"""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from cnnjax.data import picture
from cnnjax.errors import UserError

SPLITS = ("test", "valid", "train")


def find(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each class, in the order of the splits.

    Raises:
      UserError: there is no such folder, or there are fewer than two classes with pictures in it.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    suffixes = Image.registered_extensions()
    classes = {
        each.name: sorted(
            (path for path in each.rglob("*") if path.suffix.lower() in suffixes and path.is_file()),
            key=lambda path: hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest(),
        )
        for each in sorted(folder.iterdir())
        if each.is_dir() and not each.name.startswith(".")
    }
    found = {name: paths for name, paths in classes.items() if paths}
    if len(found) < 2:
        raise UserError(f"{folder} has {len(found)} folders with pictures in them; a set has two classes at least")
    return found


def divided(paths: list[Path], shares: tuple[int, int, int]) -> dict[str, list[Path]]:
    """The pictures of a class by split; ``shares`` are per cent of test, valid and train."""
    first = math.floor(len(paths) * shares[0] / 100 + 0.5)
    second = math.floor(len(paths) * (shares[0] + shares[1]) / 100 + 0.5)
    return dict(zip(SPLITS, (paths[:first], paths[first:second], paths[second:]), strict=True))


def builder(name: str, data_dir: Path, folder: Path, side: int, shares: tuple[int, int, int]) -> Any:
    """The builder of a set.

    Args:
      name: of the set.
      data_dir: where it is written.
      folder: of class folders.
      side: of the pictures, in pixels.
      shares: per cent of test, valid and train.
    """
    kind = type(name, (_ImageFolder,), {"name": name}, skip_registration=True)
    return kind(data_dir=data_dir, file_format="array_record", found=find(folder), side=side, shares=shares)


class _ImageFolder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """image uint8 [side, side, 3]; label of the class folders, sorted."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "As the folder was."}  # noqa: RUF012 (the base class's form)

    def __init__(
        self, *, found: dict[str, list[Path]], side: int, shares: tuple[int, int, int], **options: Any
    ) -> None:
        self._found, self._side, self._shares = found, side, shares
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{sum(map(len, self._found.values()))} pictures in {len(self._found)} folders.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(self._side, self._side, 3), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=list(self._found)),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        parts = {name: divided(paths, self._shares) for name, paths in self._found.items()}
        sizes = {split: sum(len(part[split]) for part in parts.values()) for split in SPLITS}
        if not sizes["train"]:
            raise UserError(
                f"nothing is left for training: {', '.join(f'{key} {size}' for key, size in sizes.items())}"
            )
        return {split: self._generate_examples(split, parts) for split in SPLITS if sizes[split]}

    def _generate_examples(self, split: str, parts: dict[str, dict[str, list[Path]]]) -> Iterator:
        label = {name: number for number, name in enumerate(self._found)}
        pairs = [(path, label[name]) for name, part in parts.items() for path in part[split]]
        for number, (path, each) in enumerate(pairs):
            yield number, {"image": picture.square(picture.read(path), self._side), "label": each}
