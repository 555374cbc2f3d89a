"""The examples of a prepared set, by their number."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnjax.data import decode
from cnnjax.data.prepared import Prepared
from cnnjax.errors import UserError


class Records:
    """The examples of one split, in the prepared order, without TensorFlow.

    ``records[i]`` is (image, label) as they are stored: an image is a `decode.ImageFile` in sets of files (PNG, JPEG), else
    uint8 [H, W, C]; a label is an int, or, where an example may be of several classes, bool [num_classes]. Iterating
    gives (uint8 [H, W, C], label).

    Files are decoded by `cnnjax.data.decode`: TFDS itself takes OpenCV where that is installed, whose JPEG decoder may
    give other pixels.

    Attributes:
      name, split: of the set.
      several: whether an example may be of several classes: the label feature is a sequence of class labels.
      label_dtype: of labels: bool where there may be several, else int32.
      num_classes: of the label feature.
      class_names: one a class; their numbers where the set has no names.
      shape: [H, W, C] of the images; None where that differs from one to another.

    Raises:
      UserError: the set has no uint8 image and class label or labels, or its files are damaged. Of an image's own file:
        `decode.DamagedError`.
    """

    def __init__(self, found: Prepared, split: str) -> None:
        import tensorflow_datasets as tfds

        self._found = found
        self.name, self.split = found.name, split
        builder = _opened(found)
        features = builder.info.features
        keys: tuple[str, str] = builder.info.supervised_keys or ("image", "label")
        self._image, self._label = keys
        if not {self._image, self._label} <= features.keys():
            raise UserError(
                f"data set {found.name!r} has no image and label, only: {', '.join(sorted(features.keys()))}"
            )
        image, asked = features[self._image], features[self._label]
        self.several = isinstance(asked, tfds.features.Sequence)
        self.label_dtype = np.dtype(bool if self.several else np.int32)
        label = asked.feature if self.several else asked
        if image.np_dtype != np.uint8 or len(image.shape) != 3 or not isinstance(label, tfds.features.ClassLabel):
            raise UserError(
                f"data set {found.name!r} does not fit: expected a uint8 image [H, W, C] and a class label or a sequence of "
                f"them, found {self._image}: {image!r} and {self._label}: {asked!r}"
            )
        self.num_classes = int(label.num_classes)
        self.class_names = [str(name) for name in label.names]
        self.shape: tuple[int | None, int | None, int | None] = tuple(image.shape)
        self._named = "file_name" in features
        self._is_file = isinstance(image, tfds.features.Image)
        decoders = {self._image: tfds.decode.SkipDecoding()} if self._is_file else None
        self._source = builder.as_data_source(split, decoders=decoders, file_format="array_record")

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[np.ndarray | decode.ImageFile, int | np.ndarray]:
        example = self._example(index)
        image = example[self._image]
        return decode.read(image) if self._is_file else image, self._labelled(example)

    def __iter__(self) -> Iterator[tuple[np.ndarray, int | np.ndarray]]:
        for i in range(len(self)):
            try:
                image, label = self[i]
                yield self.pixels(image), label
            except decode.DamagedError as error:
                raise _damaged(self._found, error) from error

    def pixels(self, image: np.ndarray | decode.ImageFile) -> np.ndarray:
        """All of an image, uint8 [H, W, C].

        Raises:
          DamagedError: it cannot be decoded.
        """
        return decode.pixels(image, self.shape[-1] or 3) if isinstance(image, decode.ImageFile) else image

    def label(self, index: int) -> int | np.ndarray:
        """The label alone: also of an image that is damaged."""
        return self._labelled(self._example(index))

    def file_name(self, index: int) -> str:
        """What the original file of an example was called; empty where the set does not know."""
        return bytes(self._example(index)["file_name"]).decode(errors="replace") if self._named else ""

    def _labelled(self, example: dict[str, Any]) -> int | np.ndarray:
        label = example[self._label]
        return np.isin(np.arange(self.num_classes), label) if self.several else int(label)

    def _example(self, index: int) -> dict[str, Any]:
        try:
            return self._source[index]
        except (OSError, ValueError, RuntimeError, IndexError) as error:
            raise _damaged(self._found, error) from error


def _opened(found: Prepared) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(str(found.folder))
    except (OSError, ValueError, AssertionError, KeyError) as error:
        raise _damaged(found, error) from error


def _damaged(found: Prepared, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"the prepared set in {found.folder} is damaged ({reason}); remove that folder and prepare it again"
    )
