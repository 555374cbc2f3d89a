"""The original files of MNIST (LeCun, Cortes, Burges 1998) and of sets in its form: IDX, packed with gzip or not.

A file is a big-endian header (two zero bytes, 8 for unsigned bytes, how many axes, and the length of each), then the bytes,
last axis fastest. Four of them: images and labels of the training and of the test set. Debian has those of Fashion-MNIST (Xiao,
Rasul, Vollgraf 2017) in its package ``dataset-fashion-mnist``, under ``/usr/share/datasets/fashion-mnist``.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from cnnjax.errors import UserError

PARTS = {"train": "train", "test": "t10k"}
"""Split → how its files' names begin."""
WANTED = "train-images-idx3-ubyte, train-labels-idx1-ubyte and the same of t10k (packed as .gz or not)"
DOWNLOAD = None
"""There is no address of theirs that would last."""

_SIDE, _CLASSES = 28, 10


def find(source: Path) -> Path | None:
    """The folder, if a file of the training set's images is in it."""
    return source if _file(source, "train", "images-idx3") else None


def read(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 ``[N, 28, 28, 1]`` and labels uint8 ``[N]``, in the order of the files.

    Raises:
      UserError: a file is missing, damaged, cut short, or of something else.
    """
    images, labels = _array(folder, split, "images-idx3"), _array(folder, split, "labels-idx1")
    if images.shape[1:] != (_SIDE, _SIDE) or labels.shape != images.shape[:1]:
        raise UserError(
            f"{folder}: the images of {split} are {images.shape} and its labels {labels.shape}, expected N × 28 × 28 and N"
        )
    if labels.size and labels.max() >= _CLASSES:
        raise UserError(f"{folder}: the labels of {split} reach {labels.max()}, expected 0 to {_CLASSES - 1}")
    return images[..., None], labels


def _file(folder: Path, split: str, kind: str) -> Path | None:
    # Some copies are written with a dot: train-images.idx3-ubyte.
    names = [
        f"{PARTS[split]}-{name}-ubyte{packed}" for name in (kind, kind.replace("-", ".")) for packed in ("", ".gz")
    ]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _array(folder: Path, split: str, kind: str) -> np.ndarray:
    path = _file(folder, split, kind)
    if not path:
        raise UserError(f"{folder} is not the whole set: {PARTS[split]}-{kind}-ubyte is missing, packed as .gz or not")
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error})") from error
    axes = int(kind[-1])
    header = 4 + 4 * axes
    if content[:4] != bytes((0, 0, 8, axes)) or len(content) < header:
        raise UserError(f"{path} is no IDX file of unsigned bytes with {axes} {'axes' if axes > 1 else 'axis'}")
    shape = struct.unpack(f">{axes}I", content[4:header])
    if len(content) - header != math.prod(shape):
        size = " × ".join(map(str, shape))
        raise UserError(f"{path} has {len(content) - header:,} bytes of data, and says that it holds {size}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
