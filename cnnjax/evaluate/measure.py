"""What scores of a whole set say: sums over examples, which add up over any division into parts."""

import dataclasses
from typing import Any

import numpy as np

from cnnjax import errors
from cnnjax.tasks.classification import BINS


@dataclasses.dataclass(frozen=True, eq=False)
class Measure:
    """Sums over some examples, C classes; :meth:`of` makes them, ``+`` merges them.

    A label's rank is the number of classes before it: those with a higher score, and of those with the same one the classes
    of a lower number. So a tie is decided for the lower number, as ``argmax`` in training does.

    Attributes:
      ranks: int64 ``[C]``, how many labels have each rank.
      loss: -log p of the labels, in nats.
      overconfidence: ``[BINS]``, Σ (confidence - right) of the examples in each bin of confidence.
      confusion: int64 ``[C, C]``, how many examples of a class (row) are taken for each (column).
    """

    ranks: np.ndarray
    loss: float
    overconfidence: np.ndarray
    confusion: np.ndarray

    @classmethod
    def empty(cls, classes: int) -> "Measure":
        """Of no examples."""
        return cls(np.zeros(classes, np.int64), 0.0, np.zeros(BINS), np.zeros((classes, classes), np.int64))

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray) -> "Measure":
        """Of examples with scores log p, ``[N, C]``, and labels, int ``[N]``.

        Raises:
          UserError: a score is not finite.
        """
        if not np.isfinite(scores).all():
            raise errors.UserError("the network puts out numbers that are not finite: it has diverged")
        count, classes = scores.shape
        own = scores[np.arange(count), labels][:, None]
        before = np.arange(classes) < labels[:, None]
        ranks = ((scores > own) | ((scores == own) & before)).sum(1)
        taken = scores.argmax(1)
        confidence = np.exp(scores.max(1))
        place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion, (labels, taken), 1)
        return cls(
            np.bincount(ranks, minlength=classes),
            float(-own.sum()),
            np.bincount(place, confidence - (taken == labels), BINS),
            confusion,
        )

    def __add__(self, other: "Measure") -> "Measure":
        fields = (field.name for field in dataclasses.fields(self))
        return Measure(*(getattr(self, name) + getattr(other, name) for name in fields))

    @property
    def count(self) -> int:
        """How many examples."""
        return int(self.ranks.sum())

    def values(self, top: tuple[int, ...] = (1,)) -> dict[str, float]:
        """Error within the first k classes for each k of ``top``, loss, and expected calibration error.

        The error is the share of examples whose label is none of the first k; k beyond the classes is an error of zero. See
        `cnnjax.tasks.classification` for the others.

        Raises:
          UserError: there are no examples.
        """
        if not self.count:
            raise errors.UserError("there are no examples to measure")
        within = {k: int(self.ranks[k:].sum()) / self.count for k in top}
        return {
            **{f"top-{k} error": value for k, value in within.items()},
            "loss": self.loss / self.count,
            "calibration error": float(np.abs(self.overconfidence).sum()) / self.count,
        }

    def per_class(self) -> list[dict[str, Any]]:
        """For each class: its number, ``count`` of examples, ``recall`` and ``precision``; ``None`` where these are 0 / 0."""
        right = np.diag(self.confusion)
        share = lambda part, whole: float(part / whole) if whole else None  # noqa: E731
        return [
            {"class": number, "count": int(there), "recall": share(hit, there), "precision": share(hit, said)}
            for number, (hit, there, said) in enumerate(
                zip(right, self.confusion.sum(1), self.confusion.sum(0), strict=True)
            )
        ]
