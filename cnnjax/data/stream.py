"""Batches of a set that does not fit on the device: read, decoded and cropped on the host, ahead of the step that wants them.

A batch is a pure function of its number, so there is no state to save: what was read before, by how many hosts, processes or
threads, changes nothing. The order of an epoch is that of `cnnjax.data.pipeline`: a small set that is streamed gives the
batches that it gives when it lives on the device. Mirroring and colours are left to the device.
"""

import concurrent.futures
import copy
import functools
import hashlib
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grain
import jax
import numpy as np
from absl import flags

from cnnjax import machine
from cnnjax.data import arrays, crops, decode, labels, pipeline, sets
from cnnjax.data.records import Records
from cnnjax.errors import UserError

Batch = dict[str, np.ndarray]

Label = int | np.ndarray

_WHOLE = -1
"""In place of the number of an example: none is damaged."""


@dataclass(frozen=True)
class Share:
    """What one host reads of every batch: an equal part, the hosts' parts one after the other.

    Attributes:
      host: its number.
      hosts: how many there are.
    """

    host: int = 0
    hosts: int = 1

    def rows(self, batch_size: int) -> range:
        """Which rows of a batch of all hosts are this one's.

        Raises:
          UserError: the batch cannot be divided into equal parts.
        """
        if batch_size < 1 or batch_size % self.hosts:
            raise UserError(f"{self.hosts} hosts cannot read equal parts of a batch of {batch_size}")
        part = batch_size // self.hosts
        return range(self.host * part, (self.host + 1) * part)


ALONE = Share()
"""One host reads everything."""


class LostReaderError(Exception):
    """A process that reads batches has ended: killed, say, where there was no more memory."""


class Examples:
    """The examples of a split as they are sent to the device, by their number in it.

    Args:
      name: of a prepared set.
      split: TFDS's syntax, as in `cnnjax.data.load`.
      crop: how images become squares; ``None``: they are taken whole, and have one shape.
      side: that whole images are resized to, see `cnnjax.data.Arrays.resized`, or the middle squares of images of different
        sizes; 0: as they are.
      most_damaged: images that cannot be decoded; as many are skipped, one more ends it.
      data_dir: default: `cnnjax.data.default_data_dir`.

    Attributes:
      records: the split.
      shape: [H, W, C] of what comes out.
      several: whether an image may be of several classes.
      num_classes, class_names: of the labels.
      white: the largest value of a pixel.
      damaged: numbers of those found damaged so far, by any `Reader` of this process, or :meth:`note`.
      fingerprint: 16 hexadecimal digits that change with the set's version, split, and the sizes of its files; of pixels it
        says nothing: they are too many to be read for that.

    Raises:
      UserError: see `cnnjax.data.load`; or images are cropped that have neither one channel nor three.
    """

    def __init__(
        self,
        name: str,
        split: str,
        crop: crops.Crop | None = None,
        side: int = 0,
        most_damaged: int = 100,
        data_dir: str | os.PathLike | None = None,
    ):
        found = sets.require(name, data_dir)
        arrays.resolve(split, found.shards)  # says what is wrong with it
        self._found, self.records = found, Records(found, split)
        self.crop, self.side, self.most_damaged = crop, side, most_damaged
        height, width, channels = self.records.shape
        mixed = height is None or width is None
        if (crop or mixed) and channels not in (1, 3):
            raise UserError(f"images with 1 or 3 channels are cropped, and those of {name} have {channels}")
        if mixed and not (crop or side):
            raise UserError(
                f"the images of {name} are of different sizes: they are streamed with a crop, or with a side"
            )
        if side and crop:
            raise UserError("images that are cropped when they are read are not resized to a dataset.side too")
        if side:
            arrays.check_side(side)
        self._square = crops.Crop(side, side) if side and mixed else None
        edge = crop.side if crop else side
        self.shape: tuple[int, int, int] = (edge or height or 0, edge or width or 0, channels or 0)
        self.white = sets.WHITE.get(name, 255)
        self.fingerprint = _fingerprint(found, split)
        self.several = self.records.several
        self.num_classes, self.class_names = self.records.num_classes, tuple(self.records.class_names)
        self.damaged: set[int] = set()
        self._numbers: Sequence[int] | np.ndarray = range(len(self.records))
        self._labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def blank(self) -> tuple[np.ndarray, Label]:
        """Image and label where there is no example."""
        return np.zeros(self.shape, np.uint8), np.zeros(self.num_classes, bool) if self.several else 0

    def only(self, classes: Sequence[int]) -> "Examples":
        """See `cnnjax.data.Arrays.only`: the same examples, under the same numbers."""
        return self._chosen(self._index().only(classes))

    def mislabelled(self, share: float) -> "Examples":
        """See `cnnjax.data.Arrays.mislabelled`: the same labels."""
        return self._chosen(self._index().mislabelled(share))

    def _index(self) -> arrays.Arrays:
        """All labels, with the places of examples in the split instead of images."""
        known = self._labels
        return self._described(
            np.asarray(self._numbers), labels.read(self._found, self.records.split) if known is None else known
        )

    def _chosen(self, index: arrays.Arrays) -> "Examples":
        chosen = copy.copy(self)
        chosen.damaged = set()
        chosen._numbers, chosen._labels, chosen.fingerprint = index.images, index.labels, index.fingerprint
        chosen.num_classes, chosen.class_names = index.num_classes, index.class_names
        return chosen

    def load(self, index: int, draws: np.ndarray | None) -> tuple[np.ndarray, Label]:
        """An example's image uint8 [H, W, C] and its label; cropped at random with ``draws``, else at the centre.

        Raises:
          DamagedError: its file cannot be decoded.
        """
        image, label = self.records[int(self._numbers[index])]
        if self._labels is not None:
            label = self._labels[index]
        crop = self.crop or self._square
        if not crop:
            whole = self.records.pixels(image)
            if whole.shape != self.records.shape:
                raise decode.DamagedError(f"it is of the shape {whole.shape}, not {self.records.shape}")
            return arrays.resized(whole, self.side) if self.side else whole, label
        height, width = (image.height, image.width) if isinstance(image, decode.ImageFile) else image.shape[:2]
        box = crop.random(height, width, draws) if self.crop and draws is not None else crop.central(height, width)
        if isinstance(image, decode.ImageFile):
            return crops.square(image, box, crop.side, self.shape[-1]), label
        return crops.resized(image, box, crop.side), label

    def sample(self, most: int) -> arrays.Arrays:
        """Examples at equal distances in the split, ``most`` of them or all, as evaluation sees them; without damaged ones.

        Raises:
          UserError: more are damaged than are skipped, or all.
        """
        count = min(most, len(self))
        found = self.read(np.arange(count) * len(self) // count)
        damaged = [each for each in found if isinstance(each, int)]
        if len(damaged) > min(self.most_damaged, count - 1):
            raise self.too_many(damaged[0])
        batch = _arrays(*zip(*(each for each in found if not isinstance(each, int)), strict=True))
        return self._described(batch["image"], batch["label"])

    def as_arrays(self) -> arrays.Arrays:
        """All examples as evaluation sees them: images are read whenever they are asked for, see :class:`Images`."""
        return self._described(Images(self), self._index().labels)

    def read(self, index: np.ndarray) -> list[tuple[np.ndarray, Label] | int]:
        """Examples as evaluation sees them; in place of one that is damaged its number."""

        def load(index: int) -> tuple[np.ndarray, Label] | int:
            try:
                return self.load(index, None)
            except decode.DamagedError:
                return index

        with concurrent.futures.ThreadPoolExecutor(len(machine.cores())) as pool:
            return list(pool.map(load, index.tolist()))

    def _described(self, images: Any, labels: np.ndarray) -> arrays.Arrays:
        return arrays.Arrays(
            images=images,
            labels=labels,
            num_classes=self.num_classes,
            class_names=self.class_names,
            name=self.records.name,
            split=self.records.split,
            fingerprint=self.fingerprint,
            white=self.white,
        )

    def note(self, damaged: set[int], say: Callable[[str], None]) -> None:
        """Takes down which examples were found damaged, and says a line for each that was not known to be.

        Raises:
          UserError: they are more than are skipped.
        """
        new = sorted(damaged - self.damaged)
        self.damaged.update(new)
        if len(self.damaged) > self.most_damaged:
            raise self.too_many(max(self.damaged))
        for index in new:
            say(f"skipped: {self.damage(index)}")

    def damage(self, index: int) -> str:
        """Which image is damaged and how, for a message."""
        number, records = int(self._numbers[index]), self.records
        name = records.file_name(number)
        where = f"image {number} of {records.name} {records.split}{f' ({name})' if name else ''}"
        try:
            self.load(index, None)
        except decode.DamagedError as error:
            return f"{where}: {error}"
        return where

    def too_many(self, index: int) -> UserError:
        """The error for more damaged images than are skipped; ``index`` is of one of them."""
        return UserError(
            f"more than {self.most_damaged} images of {self.records.name} {self.records.split} are damaged, one of them is "
            f"{self.damage(index)}"
        )


class Images:
    """The images of a split like an array uint8 [N, H, W, C] that is read where it is indexed.

    ``images[index]`` is an array, for a slice or integers. ``images[..., ::-1]`` is read when it is indexed again. An image
    that is damaged is black.

    Args:
      examples: of the split.
      channels: which of them, in order.

    Attributes:
      shape, ndim, dtype, size: of all.
      damaged: the numbers of those found damaged so far.

    Raises:
      UserError: more images are damaged than are skipped.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, examples: Examples, channels: slice = slice(None)):
        self._examples, self._channels = examples, channels
        self.shape = (len(examples), *examples.shape)
        self.size = math.prod(self.shape)
        self.damaged: set[int] = set()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            everything, channels = index
            assert everything is Ellipsis
            return Images(self._examples, channels)
        numbers = np.arange(len(self))[index]
        images = np.zeros((numbers.size, *self.shape[1:]), np.uint8)
        for place, found in enumerate(self._examples.read(numbers.ravel())):
            if isinstance(found, int):
                self.damaged.add(found)
            else:
                images[place] = found[0][..., self._channels]
        if len(self.damaged) > self._examples.most_damaged:
            raise self._examples.too_many(min(self.damaged))
        return images.reshape(*numbers.shape, *self.shape[1:])

    def damage(self) -> list[str]:
        """Which images were found damaged and how, for messages."""
        return [self._examples.damage(each) for each in sorted(self.damaged)]


class Training:
    """``training[step]`` is batch ``step`` of a run: image uint8 [B, H, W, C], label int32 [B], index int32 [B].

    In place of an image that is damaged comes the next one of the epoch's order; ``index`` is what was taken, and
    ``damaged`` int32 [B] is what was not, or -1.

    Args:
      examples: of the training set.
      batch_size: of all hosts.
      seed: of the run, for order and crops.
      share: what this host reads; B is its part.

    Raises:
      UserError: no batch fits the set, or it cannot be divided among the hosts.
    """

    def __init__(self, examples: Examples, batch_size: int, seed: int, share: Share = ALONE):
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self.rows = share.rows(batch_size)
        self.steps_per_epoch = pipeline.steps_per_epoch(len(examples), batch_size)

    def __getitem__(self, step: int) -> Batch:
        epoch, number = divmod(step, self.steps_per_epoch)
        order = _order(self.seed, epoch, len(self.examples))
        rows = [self._row(order, epoch, number * self.batch_size + row) for row in self.rows]
        image, label, index, damaged = zip(*rows, strict=True)
        return {**_arrays(image, label), "index": np.array(index, np.int32), "damaged": np.array(damaged, np.int32)}

    def _row(self, order: np.ndarray, epoch: int, place: int) -> tuple[np.ndarray, Label, int, int]:
        damaged = _WHOLE
        for index in order.take(range(place, place + self.examples.most_damaged + 1), mode="wrap").tolist():
            try:
                image, label = self.examples.load(index, crops.draws(self.seed, epoch, index))
                return image, label, index, damaged
            except decode.DamagedError:
                damaged = index if damaged == _WHOLE else damaged
        raise self.examples.too_many(damaged)


class Evaluation:
    """``evaluation[number]`` is a batch of image uint8 [B, H, W, C], label int32 [B], index int32 [B] and mask float32 [B].

    All batches together have every example of the split, or ``most`` of them, once, with mask 1; filling has mask 0, and so has
    an image that is damaged, which ``damaged`` int32 [B] names, and is -1 elsewhere.

    Args:
      examples: of the set.
      batch_size: of all hosts.
      most: see `cnnjax.data.pipeline.padded_batches`.
      share: what this host reads; B is its part, and all hosts have as many batches.

    Raises:
      UserError: there are no examples, or the batch cannot be divided among the hosts.
    """

    def __init__(self, examples: Examples, batch_size: int, most: int = 0, share: Share = ALONE):
        self.examples = examples
        self.rows = share.rows(batch_size)
        self._indices, self._masks = pipeline.padded_batches(len(examples), batch_size, most)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, number: int) -> Batch:
        part = slice(self.rows.start, self.rows.stop)
        index, mask = self._indices[number, part], self._masks[number, part].copy()
        damaged = np.full_like(index, _WHOLE)
        images, labels = [], []
        for row, each in enumerate(index.tolist()):
            try:
                image, label = self.examples.load(each, None) if mask[row] else self.examples.blank
            except decode.DamagedError:
                image, label = self.examples.blank
                mask[row], damaged[row] = 0, each
            images.append(image)
            labels.append(label)
        return {**_arrays(images, labels), "index": index, "mask": mask, "damaged": damaged}


class Reader:
    """Batches ``start`` to ``stop`` - 1, read ahead by threads of this process or by processes of their own.

    To be closed, or used in a ``with``.

    Args:
      batches: by number.
      start, stop: the first batch, and the one after the last.
      workers: processes that read; 0: threads of this one, as many as it has cores.
      say: takes one line for the user, for each image that is damaged.

    Attributes:
      waited_s: seconds that batches were waited for.

    Raises:
      UserError: more images are damaged than are skipped.
      LostReaderError: one of the processes has ended.
    """

    def __init__(self, batches: Training | Evaluation, start: int, stop: int, workers: int, say: Callable[[str], None]):
        self._examples, self._say = batches.examples, say
        self.waited_s = 0.0
        threads = len(machine.cores()) if not workers else 1
        ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
        dataset = grain.MapDataset.range(start, stop).map(batches.__getitem__).to_iter_dataset(ahead)
        if workers:
            if not flags.FLAGS.is_parsed():  # grain reads its own, which nothing sets here
                flags.FLAGS.mark_as_parsed()
            processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
            dataset = dataset.mp_prefetch(processes, _begin_worker)
        self._iterator = iter(dataset)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        begin = time.perf_counter()
        try:
            found = next(self._iterator)
        except RuntimeError as error:  # grain's, which has no name of its own
            if "terminated unexpectedly" not in str(error):
                raise
            raise LostReaderError(f"a process that reads images was lost ({str(error).splitlines()[0]})") from error
        # Out of the memory shared with a worker, which is given back when nothing refers to it.
        batch = {name: np.array(values) for name, values in found.items()}
        self.waited_s += time.perf_counter() - begin
        self._examples.note(set(batch.pop("damaged").tolist()) - {_WHOLE}, self._say)
        return batch

    def close(self) -> None:
        """Ends what reads ahead."""
        self._iterator.close()
        del self._iterator  # what it holds is let go of now, and not when the interpreter ends

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()


def _begin_worker(number: int, count: int) -> None:
    """A worker computes orders as the trainer does, leaves the accelerators to it, and ends when that says so, or itself ends.

    A scheduler tells every process of a job to stop, and the trainer still has to reach the end of a step.
    """
    jax.config.update("jax_platforms", "cpu")
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker has one
    parent.join()
    os._exit(1)


def _fingerprint(found: sets.prepared.Prepared, split: str) -> str:
    files = sorted((path.name, path.stat().st_size) for path in found.folder.iterdir() if path.is_file())
    content = f"{found.name} {found.config} {found.version} {split} {found.shards} {files}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, n: int) -> np.ndarray:
    return np.asarray(pipeline.permutation(jax.random.key(seed), epoch, n))


def _arrays(images: Sequence[np.ndarray], labels: Sequence[Label]) -> Batch:
    dtype = bool if isinstance(labels[0], np.ndarray) else np.int32
    return {"image": np.stack(images), "label": np.array(labels, dtype)}
