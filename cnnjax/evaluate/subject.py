"""What is evaluated: a network with its weights, and the examples that it is shown."""

import dataclasses
import itertools
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import config as configs
from cnnjax import data, errors
from cnnjax.data import crops, pipeline, stream
from cnnjax.data.picture import Picture
from cnnjax.evaluate.views import Sight
from cnnjax.interop import weights
from cnnjax.tasks.classification import Classification
from cnnjax.train import checkpoint, parallel, pixels, program, streamed
from cnnjax.train.run import RunFolder


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A network and what it is evaluated on.

    Attributes:
      path: of the run, or of the file of weights.
      model: the network.
      variables: its weights. Those that a run keeps: with ``optimizer.average`` the averaged ones.
      task: how it sees images.
      names: of its classes; empty where they are not known.
      examples: what it is shown.
      layout: one device.
      train: gives :meth:`trained_on`; ``None`` of a file of weights.
      batch_size: in which it was trained; 0 of a file of weights.
      averaged: decay of the running average over training that the weights are; 0: they are those of a step.
    """

    path: pathlib.Path
    model: nn.Module
    variables: Mapping[str, Any]
    task: Classification
    names: tuple[str, ...]
    examples: data.Arrays
    layout: parallel.Layout
    train: Callable[[], tuple[Classification, data.Arrays]] | None = None
    batch_size: int = 0
    averaged: float = 0.0

    @property
    def classes(self) -> int:
        """How many."""
        return self.model.num_classes

    @property
    def sight(self) -> Sight:
        """How it sees images in evaluation during training."""
        image, task = np.shape(self.task.mean)[:2], self.task
        fits = not task.jitter and min(image) >= task.crop
        return Sight(image, task.shape[:2], 0 if fits else sum(task.jitter) // 2 or task.crop)  # type: ignore[arg-type]

    @property
    def mirrors(self) -> bool:
        """Whether a mirrored image is still of its class."""
        return self.examples.name.partition("/")[0] not in program.UNMIRRORED

    def normalise(self, images: jax.Array) -> jax.Array:
        """``uint8 [N, H, W, C]`` as float32, as the network wants them, whole."""
        return self.task.normalise(images.astype(jnp.float32))

    def trained_on(self) -> "Subject":
        """With the examples that it was trained on, and their own labels.

        Raises:
          UserError: a file of weights does not know them.
        """
        if not self.train:
            raise errors.UserError(f"{self.path} is a file of weights: a run knows what it was trained on")
        task, examples = self.train()
        return dataclasses.replace(self, task=task, examples=examples)

    def training_batches(self) -> Iterator[jax.Array]:
        """The images of :meth:`trained_on` in whole batches, as large as in training, in an order that is always the same.

        It is a shuffled one: many sets are stored class by class, and a batch of one class has other statistics.
        """
        shown = self.trained_on()
        count = len(shown.examples.labels)
        whole = pipeline.steps_per_epoch(count, self.batch_size)
        order = np.random.default_rng(0).permutation(count)
        for images, _ in itertools.islice(shown.batches(self.batch_size, order), whole):
            yield images

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[tuple[jax.Array, np.ndarray]]:
        """The examples as evaluation during training sees them, with their labels; the last batch may be smaller.

        Args:
          size: of a batch.
          order: indices of examples ``[n]``; ``None``: all, as they are stored.
        """
        see = jax.jit(lambda images: self.task.preprocess({"image": images}, None, train=False)["image"])
        for first in range(0, len(self.examples.labels if order is None else order), size):
            part = slice(first, first + size) if order is None else order[first : first + size]
            yield see(self.examples.images[part]), np.asarray(self.examples.labels[part])

    def moved(self, down: int, right: int) -> "Subject":
        """With every image moved by so many pixels; what comes in repeats the edge."""
        images = self.examples.images[:]
        height, width = images.shape[1:3]
        rows, columns = np.arange(height) - down, np.arange(width) - right
        images = images[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]
        return dataclasses.replace(self, examples=dataclasses.replace(self.examples, images=images))

    def only(self, index: np.ndarray) -> "Subject":
        """With some of the examples."""
        chosen = dataclasses.replace(
            self.examples, images=self.examples.images[index], labels=self.examples.labels[index]
        )
        return dataclasses.replace(self, examples=chosen)


def read(path: pathlib.Path, name: str = "", split: str = "") -> Subject:
    """A finished run, or a file of weights.

    Args:
      path: the run's folder, or the file.
      name: of the set; empty: the run's.
      split: empty: the run's test set.

    Raises:
      UserError: there is no such thing, the run is not finished, or the network does not take the set.
    """
    if not path.is_dir():
        if not path.exists():
            raise errors.UserError(f"there is no run and no file {path}")
        if not (name and split):
            raise errors.UserError(
                f"{path} is a file and no run's folder; of a file of weights --set and --split of `cnnjax evaluate` say "
                "what it is evaluated on"
            )
        return _of_file(path, name, split)
    folder = RunFolder(path)
    config = folder.config()
    if not folder.weights.exists():
        status = folder.status()
        if status.get("outcome") == "diverged":
            raise errors.UserError(f"{path} has diverged: it has no weights")
        if status.get("state") == "finished":
            raise errors.UserError(f"{path} is finished, but its {folder.weights.name} is not there")
        raise errors.UserError(
            f"{path} is not finished: it has no weights yet; `cnnjax evaluate {path} --follow` evaluates its checkpoints"
        )
    # The weights first: damaged ones are said to be so at once.
    _, variables = weights.read(path)
    return dataclasses.replace(_of_run(folder, config, name, split)[0], variables=variables)


def follow(
    path: pathlib.Path,
    every: float,
    name: str = "",
    split: str = "",
    say: Callable[[str], None] = lambda line: None,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[int, Subject]]:
    """The checkpoints of a run with their steps, as they come, until the run ends; the run's folder is only read.

    One that the run has removed before it was reached is left out.

    Args:
      path: the run's folder.
      every: seconds between two looks.
      name, split: see :func:`read`.
      say: takes a line for the user.
      wait: waits.

    Raises:
      UserError: there is no run, or a checkpoint is damaged, or the network does not take the set.
    """
    folder = RunFolder(path)
    subject, made = _of_run(folder, folder.config(), name, split)
    tree = {"state": made.abstract, "sums": jax.eval_shape(made.task.init)}
    abstract, seen = made.layout.abstract(tree), set[int]()
    while True:
        # What is saved until the run ends is there once it says that it has ended.
        state = folder.status().get("state")
        for step in checkpoint.steps(folder.checkpoints):
            if step not in seen and (found := checkpoint.peek(folder.checkpoints, step, abstract)):
                yield step, dataclasses.replace(subject, variables=found["state"].variables)
            seen.add(step)
        if state in ("finished", "failed", "interrupted"):
            say(f"{path}: {folder.status().get('outcome') or state}")
            return
        wait(every)


def _of_run(folder: RunFolder, config: configs.ConfigDict, name: str, split: str) -> tuple[Subject, program.Program]:
    """A run without its weights, and its program."""
    here = {"execution.devices": 1, "execution.parallel": "jit", "execution.accumulate": 1}
    config = configs.override(config, here)
    made = program.Program(config, run=folder.path)
    settings = config.dataset
    if name not in ("", settings.name) and not split:
        raise errors.UserError(f"--set {name} is not the run's own ({settings.name}): --split says which part of it")

    own, seen = name in ("", settings.name), made.record().picture

    def load(split: str) -> tuple[Classification, data.Arrays]:
        if config.execution.stream and streamed.way(config)[0]:
            squares = _squares(settings.name, split, config.execution.data_dir, seen)
            return _task(
                folder.path, seen, (squares.only(settings.classes) if settings.classes else squares).as_arrays()
            )
        if config.execution.stream:
            return made.task, streamed.examples(config, split).as_arrays()
        whole = data.load(settings.name, split, config.execution.data_dir)
        whole = whole.only(settings.classes) if settings.classes else whole
        return made.task, whole.resized(settings.side) if settings.side else whole

    if own:
        task, examples = load(split or settings.test)
    else:
        task, examples = made.task, _loaded(name, split, config.execution.data_dir, seen)
    _check(folder.path, made.task.shape[-1], made.classes, len(made.classes), examples)
    if not own:
        task, examples = _task(folder.path, seen, examples)

    def train() -> tuple[Classification, data.Arrays]:
        return load(settings.train)

    trained = (train, config.batch_size, config.optimizer.average)
    return Subject(folder.path, made.model, {}, task, made.classes, examples, made.layout, *trained), made


def _of_file(path: pathlib.Path, name: str, split: str) -> Subject:
    record, variables = weights.read(path)
    examples, model = _loaded(name, split, None, record.picture), record.create()
    _check(path, record.input_shape[-1], record.classes, model.num_classes, examples)
    task, examples = _task(path, record.picture, examples)
    layout = parallel.layout("jit", 1)
    form = program.conv_form("auto", layout, lambda line: None)
    placed = model.clone(conv_form=form) if hasattr(model, "conv_form") else model
    return Subject(path, placed, variables, task, record.classes, examples, layout, averaged=record.averaged)


def _loaded(name: str, split: str, data_dir: str | None, picture: Picture) -> data.Arrays:
    """A set; where its images are of different sizes, :func:`_squares` of them."""
    try:
        return data.load(name, split, data_dir)
    except data.MixedError:
        return _squares(name, split, data_dir, picture).as_arrays()


def _squares(name: str, split: str, data_dir: str | None, picture: Picture) -> stream.Examples:
    """The middle squares of images, with the side that a network wants before its crop, read as they are needed."""
    return stream.Examples(name, split, crops.Crop(picture.resize, picture.resize), data_dir=data_dir)


def _task(path: pathlib.Path, picture: Picture, examples: data.Arrays) -> tuple[Classification, data.Arrays]:
    """How a network that wants such pictures sees a set that it was not trained on, and the set, in its order of channels."""
    if picture.invert or picture.threshold is not None:
        raise errors.UserError(
            f"{path} wants pictures inverted or with a threshold, and those of a set are as they are"
        )
    mean, scale = pixels.given(picture, examples)
    if picture.reverse:
        examples = dataclasses.replace(examples, images=examples.images[..., ::-1])
        mean, scale = mean[..., ::-1], scale[::-1]
    task = Classification(mean, scale, contrast=picture.contrast, whitening=picture.whitening)
    image, (height, width) = examples.images.shape[1:3], picture.size
    if picture.size == image and picture.resize == min(image):
        return task, examples
    if height != width:
        raise errors.UserError(
            f"{path} is for images of {height}×{width}, and those of {examples.name} are {image[0]}×{image[1]}"
        )
    jitter = () if picture.resize == min(image) else (picture.resize, picture.resize)
    return dataclasses.replace(task, crop=height, jitter=jitter), examples


def _check(path: pathlib.Path, channels: int, names: tuple[str, ...], classes: int, examples: data.Arrays) -> None:
    """Raises a `UserError` where a network does not take a set."""
    where, there = f"{examples.name} {examples.split}", examples.images.shape[-1]
    if there != channels:
        raise errors.UserError(f"{path} takes images of {channels} channels, and those of {where} have {there}")
    if examples.num_classes != classes:
        raise errors.UserError(f"{path} knows {classes} classes, and {where} has {examples.num_classes}")
    if names and names != examples.class_names:
        odd = next(pair for pair in zip(names, examples.class_names, strict=True) if pair[0] != pair[1])
        raise errors.UserError(f"{path} and {where} differ in their classes: {odd[0]!r} there, {odd[1]!r} here")
