"""From one contrast a seed to an interval and a test; from many tests to a family that errs seldom.

Student's t interval of a mean, its two-sided test, and the step-down procedure of Holm (1979, "A simple sequentially
rejective multiple test procedure", Scandinavian Journal of Statistics 6, 65-70).
"""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

ALPHA = 0.05
"""The chance that a family of claims contains any false verdict is at most this."""

ROUNDING = 1e-12
"""Differences below this are those of floating point: errors are ratios of counts, 0.3 − 0.1 is not quite 0.4 − 0.2."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a t interval needs to know of a sample.

    Attributes:
      mean: NaN for an empty sample.
      deviation: with n − 1 in the denominator; NaN where n < 2; exactly 0 where the values differ by rounding only.
      n: number of values.
    """

    mean: float
    deviation: float
    n: int

    @property
    def has_no_spread(self) -> bool:
        """Whether there are several values, all of them the same."""
        return self.deviation == 0


@dataclasses.dataclass(frozen=True)
class Step:
    """A hypothesis's place in Holm's procedure.

    Attributes:
      level: what its p was compared with; it is rejected if and only if p < level.
      adjusted: the smallest family level at which it would be rejected, at most 1.
    """

    level: float
    adjusted: float


def contrast(values: Mapping[str, Sequence[float]], coefficients: Mapping[str, float]) -> np.ndarray:
    """The linear contrast Σ coefficient × value, seed by seed.

    Args:
      values: for each role, one value a seed, the seeds in the same order for all roles.
      coefficients: of each role.

    Returns:
      [seeds] float64.
    """
    return sum(
        (factor * np.asarray(values[role], np.float64) for role, factor in coefficients.items()), start=np.zeros(())
    )


def sample(values: Sequence[float] | np.ndarray) -> Sample:
    """Mean and standard deviation of ``values`` [n]."""
    values = np.asarray(values, np.float64)
    if values.size < 2:
        return Sample(float(values[0]) if values.size else math.nan, math.nan, values.size)
    deviation = 0.0 if np.ptp(values) <= ROUNDING else float(np.std(values, ddof=1))
    return Sample(float(np.mean(values)), deviation, values.size)


def interval(of: Sample, confidence: float) -> tuple[float, float]:
    """Student's interval of the mean: mean ± t(1 − (1 − confidence) / 2; n − 1) · deviation / √n.

    A sample without spread has the interval [mean, mean]; one of fewer than two values has none: (NaN, NaN).
    """
    if of.n < 2:
        return math.nan, math.nan
    reach = float(stats.t.isf((1 - confidence) / 2, of.n - 1)) * of.deviation / math.sqrt(of.n)
    return of.mean - reach, of.mean + reach


def needed(of: Sample, margin: float, confidence: float, most: int = 1000) -> int | None:
    """How many values in all would shut the margin out of the interval, if mean and deviation stayed as they are.

    ``None`` where even ``most`` would not, or nothing is known of the deviation.
    """
    if of.n < 2 or (of.has_no_spread and abs(of.mean - margin) <= ROUNDING):
        return None

    def decides(n: int) -> bool:
        if of.has_no_spread:
            return p_value(dataclasses.replace(of, n=n), margin) < 1 - confidence
        low, high = interval(dataclasses.replace(of, n=n), confidence)
        return not low <= margin <= high

    n = bisect.bisect_left(range(2, most + 1), True, key=decides) + 2
    return n if n <= most else None


def p_value(of: Sample, margin: float) -> float:
    """Two-sided p of "the mean is the margin" by Student's t with n − 1 degrees of freedom.

    A sample without spread has no t, and happens: errors are counts of a few images. On the margin its p is 1; off it
    2^(1 − n), the most with which n differences of two arms that are alike come out the same and not zero, whatever their
    distribution. Of another margin that is no bound, and nor is t where values are seldom far from the rest: what befalls one
    run in twenty is in none of five in 77 cases of 100. A sample of fewer than two values can reject nothing: 1.
    """
    if of.n < 2:
        return 1.0
    distance = abs(of.mean - margin)
    if of.has_no_spread:
        return 2.0 ** (1 - of.n) if distance > ROUNDING else 1.0
    return float(2 * stats.t.sf(distance / (of.deviation / math.sqrt(of.n)), of.n - 1))


def spent(looks: Sequence[int], alpha: float = ALPHA) -> list[float]:
    """What each look at the growing data may err with: alpha · (t² − t'²), t the share of the last look's data.

    The levels add up to ``alpha``, so that by the union bound no series of looks errs more often, however they depend on each
    other. Early looks get little (an alpha-spending function as of Lan & DeMets 1983, Biometrika 70).

    Args:
      looks: numbers of values, increasing.
      alpha: of all looks together.
    """
    shares = [0.0, *(n / looks[-1] for n in looks)]
    return [alpha * (now**2 - before**2) for before, now in itertools.pairwise(shares)]


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> list[Step]:
    """Holm's step-down procedure.

    The k-th smallest of m p-values is compared with alpha / (m − k + 1), until the first that is not below its level;
    that one and all after it stand, and share its level. So an interval of confidence 1 − level shuts out the margin
    if and only if the hypothesis is rejected. Such intervals belong to the tests; they do not hold their values
    *jointly*.

    Args:
      p_values: [m], in any order. Claims that cannot be tested belong to the family with p = 1.
      alpha: the chance of any false rejection in the family.

    Returns:
      [m] in the order given.
    """
    m = len(p_values)
    steps: dict[int, Step] = {}
    level, adjusted, stopped = 0.0, 0.0, False
    for k, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        if not stopped:
            level = alpha / (m - k)
        adjusted = max(adjusted, min(1.0, (m - k) * p_values[i]))
        stopped = p_values[i] >= level
        steps[i] = Step(level, adjusted)
    return [steps[i] for i in range(m)]
