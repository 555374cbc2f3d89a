"""Training from sets that do not fit on a device: batches are read on the host, and sent while the step before is computed."""

import concurrent.futures
import dataclasses
import functools
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import ml_collections
import numpy as np
from jax import lax

from cnnjax import config as configs
from cnnjax import data, errors
from cnnjax.data import crops, records, sets, stream
from cnnjax.train import hosts
from cnnjax.train.feed import Feed, Kind
from cnnjax.train.step import Sums

if TYPE_CHECKING:
    from cnnjax.train import state
    from cnnjax.train.program import Program

SAMPLE = 10_000
"""Training images that means, deviations and colours are computed from; all, where there are no more."""

_MIXED = ("imagenet2012",)
"""Sets whose images are known to be of different sizes, whether they are prepared here or not."""
_CROPPED = {"task.crop": 0, "task.jitter": (), "task.area": (), "task.aspect": (), "task.mean": "channel"}
"""What is left for the device where the host crops."""


def way(config: ml_collections.ConfigDict) -> tuple[crops.Crop | None, int]:
    """How the host makes images ready under a recipe: by a crop, or by a side that they are resized to (0: as they are).

    Images of one shape are left to the device: what it computes is what it computes of a set that it holds. Of images of
    different sizes, with a ``dataset.side``, the middle squares are sent, at that side; where the recipe wants parts by area or
    jittered sides, the host crops them, by the same rules (`cnnjax.data.crops`), before colours are changed, and a ``side`` is
    the shorter one in evaluation.

    Raises:
      UserError: the set is not prepared, or there is neither a side nor a ``task.crop``, or settings contradict each other.
    """
    task, side = config.task, config.dataset.side
    if not mixed(config.dataset.name, config.execution.data_dir) or (side and not (task.jitter or task.area)):
        return None, side
    if not task.crop:
        raise errors.UserError("images of different sizes want a dataset.side, or a task.crop: what the network sees")
    if task.contrast or task.whiten:
        raise errors.UserError("task.contrast and task.whiten are of whole images: they want no task.crop")
    shorter = side or sum(task.jitter) // 2 or task.crop
    return crops.Crop(task.crop, shorter, task.jitter, task.area, task.aspect), 0


def left(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """A recipe with what is left of it for the device, when the host has made images ready."""
    return configs.override(config, {"dataset.side": 0, **(_CROPPED if way(config)[0] else {})})


def mixed(name: str, data_dir: str | None) -> bool:
    """Whether the images of a set are of different sizes."""
    if name in _MIXED:
        return True
    found = sets.require(name, data_dir)
    return None in records.Records(found, next(iter(found.shards))).shape


def examples(config: ml_collections.ConfigDict, split: str) -> stream.Examples:
    """A split of a recipe's set, as it is streamed: of its classes.

    Raises:
      UserError: see `cnnjax.data.stream.Examples` and :func:`way`.
    """
    asked = config.dataset
    found = stream.Examples(asked.name, split, *way(config), data_dir=config.execution.data_dir)
    return found.only(asked.classes) if asked.classes else found


def outline(config: ml_collections.ConfigDict, which: str, few: int) -> data.Arrays:
    """As many labels as there are training or test images, and a few of the images, in place of a set that is streamed."""
    found = examples(config, config.dataset[which])
    shown = found.sample(few)
    return dataclasses.replace(shown, labels=np.resize(shown.labels, len(found)))


class Streams:
    """A recipe's sets, as they are streamed.

    Attributes:
      examples: ``"train"`` and ``"test"``.
      train: a sample of the training images as evaluation sees them, see :data:`SAMPLE`.
      task: the settings that are left for the device.
      shorter: the side of images in evaluation, before the crop, where the host crops; else 0.

    Raises:
      UserError: see :func:`examples`; or images may be of several classes.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        asked = config.dataset
        self.examples = {name: examples(config, asked[name]) for name in ("train", "test")}
        if several := [asked[name] for name, each in self.examples.items() if each.several]:
            raise errors.UserError(
                f"images of {asked.name} {several[0]} may be of several classes, and a network is trained to tell one"
            )
        if asked.wrong_labels:
            self.examples["train"] = self.examples["train"].mislabelled(asked.wrong_labels)
        self.train = self.examples["train"].sample(SAMPLE)
        self.task = left(config).task
        crop = self.examples["train"].crop
        self.shorter = crop.shorter if crop else 0


class Streamed(Feed):
    """Feeds a program from streams: a step is a dispatch.

    Batch after batch is read ahead by `cnnjax.data.stream.Reader`, and put on the devices while these compute, at most one
    step ahead of them.

    Args:
      program: whose steps are run.
      streams: its sets.
      say: takes one line for the user, for each image that is damaged.

    Attributes:
      waited_s: seconds that the devices had nothing to do because no batch was there, so far.
    """

    def __init__(self, program: "Program", streams: Streams, say: Callable[[str], None]):
        self._program, self._say, self._examples = program, say, streams.examples
        self._share = stream.Share(jax.process_index(), jax.process_count())
        self._share.rows(program.config.batch_size)
        self._share.rows(program.config.evaluation.batch_size)
        self.waited_s = 0.0
        self._reader: stream.Reader | None = None
        self._next = (0, 0)  # seed, step
        self._before: concurrent.futures.Future[float] | None = None  # when the last step ends
        self._watch = concurrent.futures.ThreadPoolExecutor(1, "when a step has ended")
        self._steps = {
            (frozen, size): program.layout.compile_step(
                functools.partial(program.step, frozen=frozen, size=size), program.abstract
            )
            for frozen in (False, True)
            for size in program.config.task.sizes or (0,)
        }
        self._merge = program.layout.compile(program.task.merge)
        self._score = program.layout.compile_step(self._summed)

    def run(
        self, kind: Kind, train_state: "state.TrainState", sums: Sums, done: int, count: int, scale: float
    ) -> tuple["state.TrainState", Sums]:
        """See `cnnjax.train.program.Program.run`."""
        layout, number = self._program.layout, np.float32(scale)
        reader = self._opened(int(self._program.fetch(jax.random.key_data(train_state.rng))[-1]), done)
        for _ in range(count):
            asked = time.perf_counter()
            batch = layout.place(next(reader))
            begun = time.perf_counter()
            train_state, new = layout.joined(self._steps[kind](train_state, batch, number))
            sums = self._merge(sums, new)
            # The devices were free once the step before had ended, and nothing was asked of them before this batch was.
            free = self._before.result() if self._before else asked
            self.waited_s += max(0.0, begun - max(asked, free))
            self._before = self._watch.submit(_ended, sums)
        self._next = (self._next[0], done + count)
        return train_state, sums

    def evaluate(self, variables: Any, name: str) -> Sums:
        """The metric's sums over a set, read once; damaged images are left out."""
        layout, settings = self._program.layout, self._program.config
        size, most = settings.evaluation.batch_size, self._program.evaluated[name]
        batches = stream.Evaluation(self._examples[name], size, most, self._share)
        sums = self._program.zero()
        with stream.Reader(batches, 0, len(batches), settings.execution.readers, self._say) as reader:
            for batch in reader:
                before = sums
                sums = layout.joined(self._score(variables, layout.place(batch), sums))
                jax.block_until_ready(before)
        # What other hosts have found damaged, in training too, is known here from now on, and counts.
        found = hosts.gathered(json.dumps(sorted(self._examples[name].damaged)))
        self._examples[name].note({each for part in found for each in json.loads(part)}, self._say)
        return sums

    def close(self) -> None:
        """Ends what reads ahead."""
        if self._reader:
            self._reader.close()
        self._reader = None

    def _opened(self, seed: int, step: int) -> stream.Reader:
        """Reads the batches of a run from a step on."""
        if not self._reader or self._next != (seed, step):
            self.close()
            settings = self._program.config
            batches = stream.Training(self._examples["train"], settings.batch_size, seed, self._share)
            self._reader = stream.Reader(batches, step, self._program.steps, settings.execution.readers, self._say)
            self._next = (seed, step)
        return self._reader

    def _summed(self, variables: Any, batch: dict[str, jax.Array], sums: Sums) -> Sums:
        new, axis = self._program.score(variables, batch), self._program.layout.axis
        return self._program.task.merge(sums, lax.psum(new, axis) if axis else new)


def _ended(sums: Sums) -> float:
    """When a step has ended."""
    jax.block_until_ready(sums)
    return time.perf_counter()
