"""A small set as memory-mapped arrays.

The first `load` of a split decodes its records into ``<prepared version>/arrays/<split>.*.npy``; later ones map these
files and do not import TFDS. A checksum beside them is verified on every load: a damaged file is made again.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
from PIL import Image

from cnnjax import errors
from cnnjax.data import sets
from cnnjax.data.prepared import Prepared
from cnnjax.data.records import Records
from cnnjax.errors import UserError


class MixedError(UserError):
    """The images of a set differ in shape."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """One split (or slice of one) of a set whose images have one shape.

    Attributes:
      images: uint8 [N, H, W, C], mapped from a file and read-only.
      labels: int32 [N], in 0…num_classes-1; or, of a set whose images may be of several classes, bool [N, num_classes].
      class_names: one a class.
      white: the largest value of a pixel.
      name, split: as they were asked for.
      fingerprint: 16 hexadecimal digits that change with any pixel, label, or the order; for the run's record.
    """

    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    num_classes: int
    class_names: tuple[str, ...]
    name: str
    split: str
    fingerprint: str
    white: int = 255

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, classes: Sequence[int]) -> "Arrays":
        """The examples of some classes, which are numbered anew in the order given; of several: of one of them at least.

        Raises:
          UserError: a class that the set does not have, or has twice in ``classes``, or fewer than two.
        """
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise UserError(f"dataset.classes names at least two classes, each once, not {tuple(classes)}")
        if odd := [each for each in classes if type(each) is not int or not 0 <= each < self.num_classes]:
            raise UserError(f"{self.name} has no class {odd[0]!r}; they are numbered 0 to {self.num_classes - 1}")
        if self.labels.ndim > 1:
            labels = self.labels[:, list(classes)]
            chosen = np.flatnonzero(labels.any(1))
        else:
            new = np.full(self.num_classes, -1, np.int32)
            new[list(classes)] = np.arange(len(classes))
            labels = new[self.labels]
            chosen = np.flatnonzero(labels >= 0)
        return replace(
            self,
            images=self.images[chosen],
            labels=labels[chosen],
            num_classes=len(classes),
            class_names=tuple(self.class_names[each] for each in classes),
            fingerprint=hashlib.sha256(f"{self.fingerprint} {list(classes)}".encode()).hexdigest()[:16],
        )

    def resized(self, side: int) -> "Arrays":
        """The same images at ``side × side``, between pixels by bilinear interpolation, rounded."""
        check_side(side)
        images = np.empty((len(self.images), side, side, self.images.shape[-1]), np.uint8)
        for image, large in zip(self.images, images, strict=True):
            large[:] = resized(image, side)
        fingerprint = hashlib.sha256(f"{self.fingerprint} {side}".encode()).hexdigest()[:16]
        return replace(self, images=images, fingerprint=fingerprint)

    def mislabelled(self, share: float) -> "Arrays":
        """The same images, a share of which (rounded to whole images) has a wrong label: any of the others, each as likely.

        Which ones, and what they are called, is the same whenever this set is asked for, and the wrong ones of a smaller
        share are among those of a larger one.

        Raises:
          UserError: ``share`` is not in 0 … 1.
        """
        if not 0 <= share <= 1:
            raise UserError(f"dataset.wrong_labels is a share of the training labels, 0 to 1, not {share}")
        random = np.random.default_rng(0)
        wrong = random.permutation(len(self.labels))[: round(share * len(self.labels))]
        others = random.integers(1, self.num_classes, len(self.labels), dtype=np.int32)
        labels = self.labels.copy()
        labels[wrong] = (labels[wrong] + others[wrong]) % self.num_classes
        fingerprint = hashlib.sha256(f"{self.fingerprint} wrong {share}".encode()).hexdigest()[:16]
        return replace(self, labels=labels, fingerprint=fingerprint)


@dataclass(frozen=True)
class _Header:
    """What is known of a cached split besides its pixels and labels."""

    num_classes: int
    class_names: list[str]
    sha256: str


@dataclass(frozen=True)
class _Cached:
    images: np.ndarray
    labels: np.ndarray
    header: _Header


def check_side(side: int) -> None:
    """Raises a `UserError` where images cannot be resized to a side."""
    if side < 1:
        raise UserError(f"dataset.side is a number of pixels, or 0 for the images as they are, not {side}")


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """An image uint8 [H, W, C] at ``side × side``, between pixels by bilinear interpolation, rounded."""
    planes = [Image.fromarray(image[..., channel].astype(np.float32)) for channel in range(image.shape[-1])]
    large = [np.asarray(plane.resize((side, side), Image.Resampling.BILINEAR)) for plane in planes]
    return np.rint(np.stack(large, -1)).astype(np.uint8)


def load(name: str, split: str, data_dir: str | os.PathLike | None = None) -> Arrays:
    """The examples of ``split``, in the prepared order.

    Args:
      name: a data set; ``digits`` (always) and ``cifar10`` (if its original files are in ``downloads/manual``) are
        prepared on the way, others have to be (`cnnjax.data.prepare`).
      split: TFDS's syntax: ``train``, ``train[:45000]``, ``train[90%:]``, ``train+test``.
      data_dir: default: `cnnjax.data.default_data_dir`.

    Raises:
      MixedError: the images differ in shape.
      UserError: the set is not prepared, the split does not exist or is empty, the images are not uint8, the labels are no
        classes, or the cache cannot be written.
    """
    found = sets.require(name, data_dir)
    parts = []
    for base, start, stop in resolve(split, found.shards):
        cached = _read_cache(found, base) or _make_cache(found, base)
        parts.append((cached, slice(start, stop)))
    header = parts[0][0].header
    images = [cached.images[part] for cached, part in parts]
    labels = [cached.labels[part] for cached, part in parts]
    content = "".join(f"{cached.header.sha256}[{part.start}:{part.stop}]" for cached, part in parts)
    return Arrays(
        images=images[0] if len(parts) == 1 else np.concatenate(images),  # only a sum of splits is copied
        labels=labels[0] if len(parts) == 1 else np.concatenate(labels),
        num_classes=header.num_classes,
        class_names=tuple(header.class_names),
        name=name,
        split=split,
        fingerprint=hashlib.sha256(content.encode()).hexdigest()[:16],
        white=sets.WHITE.get(name, 255),
    )


def resolve(split: str, shards: dict[str, list[int]]) -> list[tuple[str, int, int]]:
    """The ranges (split, start, stop) that TFDS's ``split`` syntax means for splits with these shard lengths.

    Raises:
      UserError: no such split, not the syntax, or nothing is left.
    """
    sizes = {base: sum(lengths) for base, lengths in shards.items()}
    ranges = [(split, 0, sizes[split])] if split in sizes else _resolve_slices(split, shards, sizes)
    if not any(stop > start for _, start, stop in ranges):
        raise UserError(f"split {split!r} has no examples; the splits have {_listing(sizes)}")
    return ranges


def _resolve_slices(split: str, shards: dict[str, list[int]], sizes: dict[str, int]) -> list[tuple[str, int, int]]:
    for term in split.split("+"):
        base = term.partition("[")[0].strip()
        if base not in sizes and base != "all":
            raise errors.unknown("split", base, sizes)
    import tensorflow_datasets as tfds  # here: a plain split does not need it

    infos = {b: SimpleNamespace(num_examples=sizes[b], shard_lengths=lengths) for b, lengths in shards.items()}
    try:
        instructions = tfds.core.ReadInstruction.from_spec(split).to_absolute(infos)
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise UserError(
            f"split {split!r} is no slice of a split; the splits have {_listing(sizes)}, and slices look like "
            f"train[:100], train[100:], train[:90%]"
        ) from error
    ranges = []
    for instruction in instructions:
        size = sizes[instruction.splitname]
        stop = size if instruction.to is None else instruction.to
        ranges.append((instruction.splitname, instruction.from_ or 0, stop))
    return ranges


def _listing(sizes: dict[str, int]) -> str:
    return ", ".join(f"{base} {size:,}" for base, size in sizes.items())


def _paths(found: Prepared, base: str) -> tuple[Path, Path, Path]:
    """The cache of a split: images, labels, header. The header is written last: it says that the others are whole."""
    folder = found.folder / "arrays"
    return folder / f"{base}.images.npy", folder / f"{base}.labels.npy", folder / f"{base}.json"


def _read_cache(found: Prepared, base: str) -> _Cached | None:
    """The cached split, or None if it is absent or not what was written."""
    images_path, labels_path, header_path = _paths(found, base)
    try:
        header = _Header(**json.loads(header_path.read_text()))
        images = np.load(images_path, mmap_mode="r", allow_pickle=False)
        labels = np.load(labels_path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, TypeError, EOFError):
        return None
    return _Cached(images, labels, header) if _sha256(images, labels) == header.sha256 else None


def _sha256(images: np.ndarray, labels: np.ndarray) -> str:
    digest = hashlib.sha256(f"{images.shape} {images.dtype} {labels.shape} {labels.dtype}".encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def _make_cache(found: Prepared, base: str) -> _Cached:
    with sets.writing(found.folder), sets.locked(found.folder.parent, "arrays"):
        if cached := _read_cache(found, base):  # another process was faster
            return cached
        images_path, labels_path, header_path = _paths(found, base)
        images_path.parent.mkdir(exist_ok=True)
        header_path.unlink(missing_ok=True)
        examples = Records(found, base)
        several = (len(examples), examples.num_classes)
        labels = np.zeros(several, bool) if examples.several else np.zeros(len(examples), np.int32)
        with _replacing(images_path) as file:
            for i, (image, label) in enumerate(examples):
                if i == 0:
                    shape = image.shape
                    header_data = {"descr": "|u1", "fortran_order": False, "shape": (len(examples), *shape)}
                    np.lib.format.write_array_header_1_0(file, header_data)
                if image.shape != shape:
                    raise MixedError(
                        f"data set {found.name!r} does not fit the in-memory form: its images differ in shape, e.g. "
                        f"{shape} and {image.shape}; execution.stream = True with a task.crop trains on them"
                    )
                # Written, not mapped: a full disk is an OSError here and would be a SIGBUS there.
                file.write(image.tobytes())
                labels[i] = label
        with _replacing(labels_path) as file:
            np.lib.format.write_array(file, labels, allow_pickle=False)
        images = np.load(images_path, mmap_mode="r", allow_pickle=False)
        header = _Header(examples.num_classes, examples.class_names, _sha256(images, labels))
        with _replacing(header_path) as file:
            file.write(json.dumps(asdict(header)).encode())
        return _Cached(images, np.load(labels_path, mmap_mode="r", allow_pickle=False), header)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under ``path`` when it is whole, and not at all after an error."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
