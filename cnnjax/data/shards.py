"""Sets whose images stay the files that they were, as TFDS lays them out, written in shards by several processes."""

import concurrent.futures
import dataclasses
import io
import itertools
import multiprocessing
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.core import dataset_builder, example_serializer

from cnnjax import machine
from cnnjax.data import decode
from cnnjax.errors import UserError

SHARD = 2**27
"""Bytes of a shard, about."""


@dataclasses.dataclass(frozen=True, slots=True)
class Original:
    """An image file, or one in an archive that is not compressed.

    Attributes:
      path: of the file that holds it.
      offset, size: where in it, in bytes.
      name: what the image's own file is called.
      label: number of its class.
    """

    path: str
    offset: int
    size: int
    name: str
    label: int

    def content(self) -> bytes:
        """The image's own file.

        Raises:
          UserError: the file that holds it ends before.
        """
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise UserError(f"{self.path} ends in the middle of {self.name}")
        return content


DAMAGED = 100
"""Images that cannot be read; as many are left out of a set, one more ends its preparation."""
LEFT_OUT = "left_out.txt"
"""File of a prepared set: which images were, and why, a line each."""

Stored = Callable[[Original, bytes], bytes]
"""What is written for an image whose file has this content: the same, or a repaired one."""


class ImageFiles(dataset_builder.FileReaderBuilder, skip_registration=True):  # type: ignore[call-arg]
    """image: a file; label; file_name.

    Args:
      found: split → its images, in order.
      classes: names.
      stored: what is written for an image; a function of a module.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The original files."}  # noqa: RUF012 (the base class's form)

    def __init__(
        self, *, found: dict[str, list[Original]], classes: Sequence[str], stored: Stored, **options: Any
    ) -> None:
        self._found, self._classes, self._stored = found, list(classes), stored
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{sum(map(len, self._found.values()))} image files of {len(self._classes)} classes.",
            features=_features(self._classes),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        infos, left_out = [], list[str]()
        for split, originals in self._found.items():
            template = self._get_filename_template(split)
            parts = _divided(originals)
            paths = [
                str(template.sharded_filepath(shard_index=number, num_shards=len(parts)))
                for number in range(len(parts))
            ]
            written = _in_processes(
                _write, [(*each, self._classes, self._stored) for each in zip(paths, parts, strict=True)]
            )
            left_out += [line for each in written for line in each.left_out]
            check_left_out(left_out)
            if not any(each.examples for each in written):
                raise UserError(f"no image of {split} can be read, one of them is {left_out[-1]}")
            infos.append(
                tfds.core.SplitInfo(
                    name=split,
                    shard_lengths=[each.examples for each in written],
                    num_bytes=sum(each.size for each in written),
                    filename_template=template,
                )
            )
        self.info.set_splits(tfds.core.splits.SplitDict(infos))
        record_left_out(self.data_path, left_out)


def check_left_out(lines: Sequence[str]) -> None:
    """Raises a `UserError` where more images cannot be read than are left out."""
    if len(lines) > DAMAGED:
        raise UserError(f"more than {DAMAGED} images cannot be read, one of them is {lines[-1]}")


def record_left_out(folder: os.PathLike, lines: Sequence[str]) -> None:
    """Names them in the prepared set's folder."""
    if lines:
        (Path(folder) / LEFT_OUT).write_text("".join(f"{line}\n" for line in lines))


@dataclasses.dataclass(frozen=True)
class _Written:
    """A shard: its size in bytes, how many examples it has, and a line for each image that was left out."""

    size: int
    examples: int
    left_out: tuple[str, ...]


def jpeg(pixels: np.ndarray) -> bytes:
    """A repaired image: a JPEG of the best quality, all of its colours kept, of uint8 ``[H, W, 3]``."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=100, colorsubsampling="444")


def _divided(originals: list[Original]) -> list[list[Original]]:
    count = min(len(originals), -(-sum(each.size for each in originals) // SHARD))
    edges = [len(originals) * number // count for number in range(count + 1)]
    return [originals[start:stop] for start, stop in itertools.pairwise(edges)]


def _in_processes(function: Callable[..., _Written], tasks: list[tuple[Any, ...]]) -> list[_Written]:
    """What a function gives for each task: in processes, or in this one where there is one task only."""
    count = min(len(tasks), len(machine.cores()))
    if count == 1:
        return [function(*task) for task in tasks]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(count, mp_context=context) as pool:
        futures = [pool.submit(function, *task) for task in tasks]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write(path: str, originals: list[Original], classes: list[str], stored: Stored) -> _Written:
    """Writes a shard."""
    features = _features(classes)
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    writer = array_record_module.ArrayRecordWriter(path, "group_size:1")  # read one by one, in any order
    size, examples, left_out = 0, 0, list[str]()
    try:
        for each in originals:
            try:
                content = stored(each, each.content())
            except decode.DamagedError as error:
                where = each.path if each.path.endswith(each.name) else f"{each.path}: {each.name}"
                left_out.append(f"{where} is no picture that can be read ({error})")
                check_left_out(left_out)
                continue
            example = {"image": io.BytesIO(content), "label": each.label, "file_name": each.name}
            record = serializer.serialize_example(features.encode_example(example))
            writer.write(record)
            size, examples = size + len(record), examples + 1
    finally:
        writer.close()
    return _Written(size, examples, tuple(left_out))


def _features(classes: list[str]) -> tfds.features.FeaturesDict:
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=classes),
            "file_name": tfds.features.Text(),
        }
    )
