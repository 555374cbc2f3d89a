"""Average precision of scores, class by class."""

import numpy as np

from cnnjax import errors

POINTS = {"all": 0, "11": 11}
"""Which recalls are looked at → how many; 0: all that there are."""


def average_precision(scores: np.ndarray, targets: np.ndarray, points: str = "all") -> np.ndarray:
    """Average precision of each class; examples may be of several classes.

    Examples are taken class by class from the highest score down, those of one score together. ``all``: the sum of precisions,
    each times by how much recall has grown, without interpolation. ``11``, VOC2007's: the mean, over the recalls 0, 0.1 ... 1,
    of the highest precision at that recall or a higher one.

    Args:
      scores: ``[N, C]``, finite.
      targets: ``[N, C]``, whether an example is of a class.
      points: of :data:`POINTS`.

    Returns:
      float64 ``[C]``; NaN for a class without examples.

    Raises:
      UserError: ``points`` is unknown, or the arrays do not belong together.
    """
    if points not in POINTS:
        raise errors.unknown("points of average precision", points, POINTS)
    scores, targets = np.asarray(scores), np.asarray(targets, bool)
    if scores.ndim != 2 or scores.shape != targets.shape or not np.isfinite(scores).all():
        raise errors.UserError(
            f"scores are finite numbers [N, C] and targets as many, not {scores.shape} and {targets.shape}"
        )
    return np.array([_one(*each, POINTS[points]) for each in zip(scores.T, targets.T, strict=True)])


def mean_average_precision(scores: np.ndarray, targets: np.ndarray, points: str = "all") -> float:
    """The mean of :func:`average_precision` over the classes that have examples; NaN if none has."""
    each = average_precision(scores, targets, points)
    known = each[~np.isnan(each)]
    return float(known.mean()) if known.size else float("nan")


def _one(scores: np.ndarray, targets: np.ndarray, points: int) -> float:
    if not (positives := int(targets.sum())):
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    found = np.cumsum(targets[order])[last]
    precision = found / (last + 1)
    if not points:
        return float((np.diff(found, prepend=0) * precision).sum() / positives)
    # In whole numbers: 0.3 of ten positives is three of them.
    reached = found[None] * (points - 1) >= np.arange(points)[:, None] * positives
    return float(np.where(reached, precision, 0.0).max(1).mean())
