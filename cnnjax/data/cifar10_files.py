"""The original files of CIFAR-10 (Krizhevsky, 2009), in both published forms, as a folder or as an archive.

Five training batches and a test batch of 10,000 images each. In the binary form a record is one label byte and 3,072
pixel bytes, planes red, green, blue, each 32×32 row by row; in the Python form a batch is the Python 2 pickle of a dict
with ``data`` (uint8 [10000, 3072], the same order) and ``labels`` (a list). Nothing in them is executed.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnjax.data import plain_pickle
from cnnjax.errors import UserError

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
EXAMPLES = 10_000  # in each of the six files
_PIXELS = 32 * 32 * 3


@dataclass(frozen=True)
class Form:
    """One of the two published forms: what its files are called."""

    folder: str
    archive: str
    suffix: str

    def files(self, split: str) -> list[str]:
        """The names of a split's files, in order."""
        batches = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
        return [batch + self.suffix for batch in batches]


BINARY = Form("cifar-10-batches-bin", "cifar-10-binary.tar.gz", ".bin")
PYTHON = Form("cifar-10-batches-py", "cifar-10-python.tar.gz", "")
WANTED = f"{BINARY.archive} or {PYTHON.archive} (packed or unpacked)"
DOWNLOAD = URL, BINARY.archive, MD5


def find(source: Path) -> tuple[Form, Path] | None:
    """The form found at ``source`` and its folder or archive; None where there is neither.

    ``source`` is one of the archives, the folder with the batches, or the folder that holds either.
    """
    for form in (BINARY, PYTHON):
        if source.name == form.archive and source.is_file():
            return form, source
        for folder in (source, source / form.folder):
            if (folder / form.files("train")[0]).is_file():
                return form, folder
        if (source / form.archive).is_file():
            return form, source / form.archive
    return None


def read(form: Form, place: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 32, 32, 3] (RGB) and labels uint8 [N] of ``split``, in the order of the files.

    Raises:
      UserError: a file is missing, has the wrong size, or is not in the original format.
    """
    decode = _decode_binary if form is BINARY else _decode_python
    images, labels = zip(*(decode(data, name) for name, data in _contents(place, form.files(split))), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _contents(place: Path, names: list[str]) -> Iterator[tuple[Path, bytes]]:
    """Yields (path for messages, content) of each file, from the folder or the archive at ``place``."""
    with _refusing_damage(place):
        if place.is_dir():
            for name in names:
                if not (place / name).is_file():
                    raise UserError(f"{place} is not the whole of CIFAR-10: {name} is missing")
                yield place / name, (place / name).read_bytes()
            return
        # Unpacked whole, in memory: gzip's checksum stands at its end, and tarfile alone would not get there. Members
        # are read where they are, never extracted: their paths cannot lead anywhere.
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(place.read_bytes()))) as archive:
            members = {Path(member.name).name: member for member in archive if member.isfile()}
            for name in names:
                if name not in members:
                    raise UserError(f"{place} is not the whole of CIFAR-10: {name} is missing")
                file = archive.extractfile(members[name])
                assert file is not None  # it is a regular file
                yield place / name, file.read()


@contextmanager
def _refusing_damage(place: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{place} cannot be read ({error}); if it is damaged, fetch it again: {URL}") from error


def _decode_binary(data: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    expected = EXAMPLES * (1 + _PIXELS)
    if len(data) != expected:
        raise UserError(f"{path} has {len(data):,} bytes, expected {expected:,}: fetch it again from {URL}")
    records = np.frombuffer(data, np.uint8).reshape(EXAMPLES, 1 + _PIXELS)
    return _checked(records[:, 1:], records[:, 0], path)


def _decode_python(data: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        batch = plain_pickle.loads(data)
    except plain_pickle.NotPlainError as error:
        raise UserError(f"{path} is not an original CIFAR-10 batch: {error}; nothing in it was run") from error
    pixels, labels = (batch.get("data"), batch.get("labels")) if isinstance(batch, dict) else (None, None)
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise UserError(f"{path} is not an original CIFAR-10 batch: expected a dict with 'data' and 'labels'")
    if pixels.shape != (EXAMPLES, _PIXELS) or len(labels) != EXAMPLES:
        found = f"data {pixels.shape} and {len(labels):,} labels"
        raise UserError(f"{path} holds {found}, expected {(EXAMPLES, _PIXELS)} and {EXAMPLES:,}")
    if not all(type(label) is int and 0 <= label < len(NAMES) for label in labels):
        raise UserError(f"{path} has labels other than 0…9: it is not an original CIFAR-10 batch")
    return _checked(pixels, np.array(labels, np.uint8), path)


def _checked(pixels: np.ndarray, labels: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    if labels.max() >= len(NAMES):
        raise UserError(f"{path} has label {labels.max()}, expected 0…9: it is not an original CIFAR-10 batch")
    return pixels.reshape(EXAMPLES, 3, 32, 32).transpose(0, 2, 3, 1), labels
