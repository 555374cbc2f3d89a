"""The decoded examples of a prepared set, one at a time."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnjax.data.prepared import Prepared
from cnnjax.errors import UserError


class Records:
    """Iterates over (image uint8 [H, W, C], label) of one split, in the prepared order, without TensorFlow.

    A label is an int, or, where an example may be of several classes, bool [num_classes].

    Images stored as files (PNG, JPEG) are decoded by Pillow: TFDS itself takes OpenCV where that is installed, whose
    JPEG decoder may give other pixels.

    Attributes:
      several: whether an example may be of several classes: the label feature is a sequence of class labels.
      num_classes: of the label feature.
      class_names: one a class; their numbers where the set has no names.

    Raises:
      UserError: the set has no uint8 image and class label or labels, or its files are damaged.
    """

    def __init__(self, found: Prepared, split: str) -> None:
        import tensorflow_datasets as tfds

        self._found = found
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
        label = asked.feature if self.several else asked
        if image.np_dtype != np.uint8 or len(image.shape) != 3 or not isinstance(label, tfds.features.ClassLabel):
            raise UserError(
                f"data set {found.name!r} does not fit: expected a uint8 image [H, W, C] and a class label or a sequence of "
                f"them, found {self._image}: {image!r} and {self._label}: {asked!r}"
            )
        self.num_classes = int(label.num_classes)
        self.class_names = [str(name) for name in label.names]
        self._channels = image.shape[-1]
        self._is_file = isinstance(image, tfds.features.Image)
        decoders = {self._image: tfds.decode.SkipDecoding()} if self._is_file else None
        self._source = builder.as_data_source(split, decoders=decoders, file_format="array_record")

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[tuple[np.ndarray, int | np.ndarray]]:
        for i in range(len(self)):
            try:
                example = self._source[i]
                image = example[self._image]
                image = _decode(image, self._channels) if self._is_file else image
            except (OSError, ValueError, RuntimeError, IndexError) as error:
                raise _damaged(self._found, error) from error
            label = example[self._label]
            yield image, np.isin(np.arange(self.num_classes), label) if self.several else int(label)


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


def _decode(content: bytes, channels: int | None) -> np.ndarray:
    """The pixels uint8 [H, W, C] of an image file."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels or 3, image.mode)
        pixels = np.asarray(image.convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels
