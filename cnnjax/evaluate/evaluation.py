"""Networks, a protocol and a set: what is computed, and what every number of it is a number of."""

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from cnnjax import errors
from cnnjax.data import stream
from cnnjax.evaluate import convolutional, protocols, views
from cnnjax.evaluate.measure import Measure
from cnnjax.evaluate.scores import scores, together
from cnnjax.evaluate.subject import Subject
from cnnjax.nn import stacking
from cnnjax.nn.network import Network

_PART = 4096
"""Examples that are measured at once."""


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What networks say of a set.

    Attributes:
      how: what belongs to every number: ``protocol``, its ``sides`` where they were given, ``set``, ``split``, ``examples``,
        ``views`` an image, ``average``, the number of ``networks``, and ``weights`` where they are averages over training.
      scores: log-probabilities ``[N, C]``, averaged.
      labels: int ``[N]``, or bool ``[N, C]`` of a set whose images may be of several classes.
      notes: lines for the reader.
    """

    how: dict[str, Any]
    scores: np.ndarray
    labels: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def targets(self) -> np.ndarray:
        """Whether an example is of a class, bool ``[N, C]``."""
        return self.labels if self.labels.ndim > 1 else np.eye(self.scores.shape[1], dtype=bool)[self.labels]

    @property
    def measure(self) -> Measure:
        """Of all examples.

        Raises:
          UserError: they may be of several classes.
        """
        if self.labels.ndim > 1:
            raise errors.UserError(
                f"images of {self.how['set']} may be of several classes: they have average precision, and no error, ranks or "
                "confusion"
            )
        parts = (slice(first, first + _PART) for first in range(0, len(self.labels), _PART))
        each = (Measure.of(self.scores[part], self.labels[part]) for part in parts)
        return sum(each, Measure.empty(self.scores.shape[1]))


def evaluate(
    subjects: Sequence[Subject],
    protocol: str,
    average: str = "softmax",
    sides: tuple[int, ...] = (),
    batch: int = 256,
) -> Evaluation:
    """The average over a protocol's views and over networks.

    Args:
      subjects: networks that share their classes and see the same examples.
      protocol: of `cnnjax.evaluate.protocols.PROTOCOLS`.
      average: ``softmax`` or ``logits``.
      sides: shorter sides in pixels, instead of the protocol's.
      batch: examples computed at once.

    Raises:
      UserError: they do not, or a network does not take such views.
    """
    rows = protocols.find(protocol)
    _check_same(subjects)
    first, each, counts, notes = subjects[0].examples, [], [], []
    for subject in subjects:
        shown, seen = _network(subject, rows), subject.sight
        mirror = subject.mirrors
        groups = [views.views(group, seen, sides, mirror) for group in rows.groups]
        if not mirror and any(row.flip for row in itertools.chain(*rows.groups)):
            notes.append(f"{first.name}: mirrored images are no longer of their class, and none are shown")
        counts.append(sum(map(len, groups)))
        try:
            each.append(scores(shown, groups, average, batch))
        except errors.UserError as error:
            raise errors.UserError(f"{subject.path} by the protocol {protocol}: {error}") from error
    mean, labels = together(each, average), np.asarray(first.labels)
    if isinstance(first.images, stream.Images) and first.images.damaged:
        notes += [f"left out: {line}" for line in first.images.damage()]
        mean, labels = (np.delete(values, sorted(first.images.damaged), 0) for values in (mean, labels))
    how = {
        "protocol": protocol,
        **({"sides": ",".join(map(str, sides))} if sides else {}),
        "set": first.name,
        "split": first.split,
        "examples": len(labels),
        "views": counts[0] if len({*counts}) == 1 else "/".join(map(str, counts)),
        "average": average,
        "networks": len(subjects),
        **_weights(subjects),
    }
    return Evaluation(how, special.log_softmax(mean, 1), labels, tuple(dict.fromkeys(notes)))


def indices(file: pathlib.Path, count: int) -> np.ndarray:
    """The numbers of examples in a file, one a line.

    Args:
      file: a text file.
      count: how many examples there are.

    Raises:
      UserError: it is empty, or a line is no such number, or one that was there before.
    """
    found: dict[int, None] = {}
    for line, text in enumerate(file.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if not text.strip():
            continue
        number = int(text) if text.strip().isdecimal() and len(text.strip()) < 19 else -1
        if not 0 <= number < count:
            raise errors.UserError(
                f"{file}, line {line}: expected the number of an example, 0 to {count - 1}, not {text!r}"
            )
        if number in found:
            raise errors.UserError(f"{file}, line {line}: {number} is there twice")
        found[number] = None
    if not found:
        raise errors.UserError(f"{file} is empty; expected numbers of examples, one a line, 0 to {count - 1}")
    return np.array([*found])


def _weights(subjects: Sequence[Subject]) -> dict[str, str]:
    """Which of a training they are, where not all are those of a step."""
    words = [f"average with decay {each.averaged:g}" if each.averaged else "of a step" for each in subjects]
    return {"weights": "/".join(dict.fromkeys(words))} if any(each.averaged for each in subjects) else {}


def _network(subject: Subject, protocol: protocols.Protocol) -> Subject:
    """The subject with the network that a protocol's views are for."""
    if not any(row.whole for group in protocol.groups for row in group):
        return subject
    model, shape = subject.model, (*subject.sight.size, np.shape(subject.task.mean)[-1])
    if not isinstance(model, Network):
        raise errors.UserError("the network is no table of layers, and sees images of one size only")
    change = convolutional.convolutional if protocol.convolutional else convolutional.without_sides
    wide, variables = change(model, subject.variables, shape)
    return dataclasses.replace(subject, model=wide, variables=variables)


def _check_same(subjects: Sequence[Subject]) -> None:
    """Raises a `UserError` where networks are no ensemble."""
    one, *others = subjects
    for other in others:
        if one.classes != other.classes or (one.names and other.names and one.names != other.names):
            shown = [", ".join(each.names) or f"{each.classes} classes" for each in (one, other)]
            raise errors.UserError(
                f"an ensemble shares its classes: those of {one.path} are {shown[0]}, those of {other.path} {shown[1]}"
            )
        same = (one.examples.name, one.examples.split) == (other.examples.name, other.examples.split)
        if not same or not np.array_equal(one.examples.labels, other.examples.labels):
            where = [f"{each.examples.name} {each.examples.split}" for each in (one, other)]
            raise errors.UserError(
                f"an ensemble sees the same examples: {one.path} {where[0]}, {other.path} {where[1]}"
            )
    for first, second in itertools.combinations(subjects, 2):
        if _same_weights(first, second):
            raise errors.UserError(
                f"an ensemble is of different networks: {first.path} and {second.path} have the same weights"
            )


def _same_weights(one: Subject, other: Subject) -> bool:
    leaves = [stacking.names(each.variables) for each in (one, other)]
    return leaves[0].keys() == leaves[1].keys() and all(np.array_equal(leaves[0][k], leaves[1][k]) for k in leaves[0])
