"""The classes that a network sees in pictures."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from PIL import Image

from cnnjax import errors
from cnnjax.data import picture
from cnnjax.interop.weights import Record
from cnnjax.train import parallel, program


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a network says of a picture.

    Attributes:
      path: of the picture.
      top: the likeliest classes, as (name, probability), falling; a class without a name has its number.
      problem: why the picture could not be read; empty where it could.
    """

    path: pathlib.Path
    top: tuple[tuple[str, float], ...] = ()
    problem: str = ""


def pictures(paths: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """The paths, and for each folder the pictures in it, by their suffix, sorted.

    Raises:
      UserError: there is no such file or folder, or no picture in a folder.
    """
    suffixes = Image.registered_extensions()
    found: list[pathlib.Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.suffix.lower() in suffixes and each.is_file())
            if not inside:
                raise errors.UserError(f"{path} has no pictures in it")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise errors.UserError(f"there is no picture {path}")
    return found


def probabilities(record: Record, say: Callable[[str], None]) -> Callable[[Mapping[str, Any], np.ndarray], jax.Array]:
    """``(variables, images [N, H, W, C]) → [N, classes]``, compiled for one device; images as the network takes them.

    Args:
      record: what the weights are of.
      say: takes one line where convolutions are slower than they could be.
    """
    layout = parallel.layout("jit", 1)
    model = record.create().clone(conv_form=program.conv_form("auto", layout, say))
    return layout.compile(lambda variables, images: jax.nn.softmax(model.apply(variables, images)[0].astype("float32")))


def predict(
    record: Record,
    variables: Mapping[str, Any],
    paths: Sequence[pathlib.Path],
    top: int = 5,
    batch: int = 32,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Prediction]:
    """What a network says of pictures, in their order; one that cannot be read has a problem instead of classes.

    Args:
      record: what the weights are of.
      variables: the weights.
      paths: of the pictures.
      top: how many classes, at most all.
      batch: pictures computed at once.
      say: takes one line for the user.
    """
    size, network = min(batch, len(paths)), probabilities(record, say)
    for first in range(0, len(paths), size):
        these = paths[first : first + size]
        images, problems = (
            np.zeros((size, *record.picture.size, len(record.picture.std)), np.float32),
            [""] * len(these),
        )
        for place, path in enumerate(these):
            try:
                images[place] = record.picture(picture.read(path))
            except errors.UserError as error:
                problems[place] = str(error) if str(path) in str(error) else f"{path}: {error}"
        for path, problem, each in zip(these, problems, np.asarray(network(variables, images)), strict=False):
            if not problem and not np.isfinite(each).all():
                problem = f"{path}: the network's output is no number; are these weights sound?"
            best = np.argsort(-each, kind="stable")[:top]
            named = tuple((record.classes[k] if record.classes else str(k), float(each[k])) for k in best)
            yield Prediction(path, () if problem else named, problem)
