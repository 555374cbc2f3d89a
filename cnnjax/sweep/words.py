"""Numbers of a sweep as people read them."""

import math

from cnnjax.sweep.experiment import milestone
from cnnjax.sweep.verdict import CONTRADICTED, INCONCLUSIVE, REPRODUCED, Verdict

SIGNS = {REPRODUCED: "✓", CONTRADICTED: "✗", INCONCLUSIVE: "?"}
NONE = "—"
PROTOCOL = (
    "Errors are over the whole set, of one view of each image, as evaluation during training sees it (the protocol whole), "
    "where a metric names no other."
)
LIMIT = "A verdict is about runs like those seen: what befalls one run in twenty, five seeds miss in 77 sweeps of 100."
"""0.95⁵ = 0.77. No test of five values without a bound on the rest could do better."""


def is_fraction(metric: str) -> bool:
    """Whether a metric is shown in per cent: errors and accuracies are, losses and epochs are not."""
    return not milestone(metric) and any(word in metric for word in ("error", "accuracy"))


def numbers(verdict: Verdict, plain: bool = False) -> str:
    """A verdict's mean and interval, e.g. ``+3.10 [+2.05, +4.15] pp``; why there is none, if there is none.

    Args:
      verdict: a verdict.
      plain: without the unit.
    """
    unit, suffix = (100, "" if plain else " pp") if is_fraction(verdict.claim.metric) else (1, "")
    if math.isnan(verdict.mean):
        return "no estimate"
    values = [unit * value for value in (verdict.mean, verdict.low, verdict.high)]
    # What is far below a ten-thousandth would be four zeros, and is what an exact claim is about.
    largest = max((abs(value) for value in values if not math.isnan(value)), default=0.0)
    form = "+.2f" if unit == 100 else "+.1e" if 0 < largest < 1e-3 else "+.4f"
    mean, low, high = (f"{value:{form}}".replace("-", "−") for value in values)
    return f"{mean}{suffix} (no interval)" if math.isnan(verdict.low) else f"{mean} [{low}, {high}]{suffix}"


def margin(verdict: Verdict) -> str:
    """A claim's margin in the unit of its metric, e.g. ``−0.5 pp``."""
    fraction = is_fraction(verdict.claim.metric)
    return f"{(100 if fraction else 1) * verdict.claim.above:g}".replace("-", "−") + (" pp" if fraction else "")


def probability(p: float) -> str:
    """A p-value with as many digits as matter."""
    return NONE if math.isnan(p) else "< 0.0001" if 0 < p < 1e-4 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def duration(seconds: float | None) -> str:
    """``1 h 01 min``, ``1 min 15 s`` or ``3.2 s``; empty for ``None``."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
