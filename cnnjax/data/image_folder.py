"""A folder of class folders as a TFDS set: ``FOLDER/<class>/*.jpg``, any format that PIL reads.

Pictures are resized to the asked side (the shorter one) and cropped at the centre, as uint8 RGB; or, with a side of 0, their
files are kept, but for those that lie on their side, can be seen through, or are not of one or three channels of a byte: these
become JPEG files as they are to be seen. The splits ``test``, ``valid``
and ``train`` take the first, next and last per cent of each class's pictures, in the order of a hash of their names: the same
pictures whenever it is prepared, and classes in equal shares.
"""

import hashlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from cnnjax.data import decode, picture, shards
from cnnjax.errors import UserError

SPLITS = ("test", "valid", "train")

_ORIENTATION = 0x0112
"""In EXIF: 1 is upright."""


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
      side: of the pictures, in pixels; 0: their files are kept.
      shares: per cent of test, valid and train.

    Pictures that cannot be read are left out, see `cnnjax.data.shards.DAMAGED`.

    Raises:
      UserError: see :func:`find`; or nothing is left for training.
    """
    found = find(folder)
    parts = {each: divided(paths, shares) for each, paths in found.items()}
    pictures = {
        split: [(path, label) for label, part in enumerate(parts.values()) for path in part[split]] for split in SPLITS
    }
    if not pictures["train"]:
        raise UserError(
            f"nothing is left for training: {', '.join(f'{split} {len(each)}' for split, each in pictures.items())}"
        )
    pictures = {split: each for split, each in pictures.items() if each}
    base: Any = _ImageFolder
    settings: dict[str, Any] = {"pictures": pictures, "side": side}
    if not side:
        originals = {split: [_original(folder, *each) for each in pairs] for split, pairs in pictures.items()}
        base, settings = shards.ImageFiles, {"found": originals, "stored": stored}
    kind = type(name, (base,), {"name": name}, skip_registration=True)
    return kind(data_dir=data_dir, file_format="array_record", classes=list(found), **settings)


def stored(original: shards.Original, content: bytes) -> bytes:
    """What is kept of a picture's file."""
    decode.read(content)
    with Image.open(io.BytesIO(content)) as opened:
        upright = opened.getexif().get(_ORIENTATION, 1) == 1
        plain = opened.mode in ("L", "RGB") and "transparency" not in opened.info
    return content if upright and plain else shards.jpeg(np.asarray(picture.read(Path(original.path))))


def _original(folder: Path, path: Path, label: int) -> shards.Original:
    return shards.Original(str(path), 0, path.stat().st_size, path.relative_to(folder).as_posix(), label)


class _ImageFolder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """image uint8 [side, side, 3]; label of the class folders, sorted."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "As the folder was."}  # noqa: RUF012 (the base class's form)

    def __init__(
        self, *, pictures: dict[str, list[tuple[Path, int]]], classes: list[str], side: int, **options: Any
    ) -> None:
        self._pictures, self._classes, self._side = pictures, classes, side
        self._left_out: list[str] = []
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{sum(map(len, self._pictures.values()))} pictures in {len(self._classes)} folders.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(self._side, self._side, 3), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=self._classes),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        return {split: self._generate_examples(pairs) for split, pairs in self._pictures.items()}

    def _generate_examples(self, pairs: list[tuple[Path, int]]) -> Iterator:
        for number, (path, label) in enumerate(pairs):
            try:
                image = picture.square(picture.read(path), self._side)
            except UserError as error:
                self._left_out.append(str(error))
                shards.check_left_out(self._left_out)
                continue
            yield number, {"image": image, "label": label}

    def _download_and_prepare(self, *arguments: Any, **options: Any) -> None:
        super()._download_and_prepare(*arguments, **options)
        shards.record_left_out(self.data_path, self._left_out)
