"""Learning rates at the steps where they change."""

import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import ml_collections
import pytest

from cnnjax import errors
from cnnjax.train import schedule

BASE = {
    "learning_rate": 0.1,
    "boundaries": ("32000 steps", "48000 steps"),
    "factor": 0.1,
    "every": "0 steps",
    "warmup": "0 steps",
    "warmup_learning_rate": 0.01,
}


def rates(steps, steps_per_epoch=390, batch_size=128, **changes):
    rate = schedule.make(ml_collections.ConfigDict({**BASE, **changes}), steps_per_epoch, batch_size)
    return {step: pytest.approx(float(rate(step)), rel=1e-6) for step in steps}


def test_the_papers():
    """He et al. 2015, §4.2: 0.1, divided by 10 at 32k and 48k of 64k iterations."""
    expected = {0: 0.1, 1: 0.1, 31999: 0.1, 32000: 0.01, 47999: 0.01, 48000: 0.001, 63999: 0.001}
    assert rates(expected) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -0.1}, r"schedule\.learning_rate is at least 0 and finite, not -0\.1"),
        ({"warmup_learning_rate": float("inf")}, r"schedule\.warmup_learning_rate is at least 0 and finite, not inf"),
        ({"factor": float("nan")}, r"schedule\.factor is at least 0 and finite, not nan"),
        (
            {"boundaries": ("9 epochs", "3 epochs")},
            r"schedule\.boundaries come one after the other, not \('9 epochs', '3",
        ),
    ],
)
def test_what_is_no_schedule(changes, message):
    with pytest.raises(errors.UserError, match=message):
        rates((0,), **changes)


def test_the_papers_warm_up_of_110_layers():
    """Same place: 0.01 at first (about 400 iterations), then back to 0.1."""
    expected = {0: 0.01, 399: 0.01, 400: 0.1, 32000: 0.01}
    assert rates(expected, warmup="400 steps") == expected


def test_durations_in_epochs_and_examples():
    expected = {0: 0.01, 49: 0.01, 50: 0.1, 74: 0.1, 75: 0.05, 99: 0.05, 100: 0.025}
    changes = {"boundaries": ("7.5 epochs", "3200 examples"), "warmup": "5 epochs", "factor": 0.5}
    assert rates(expected, steps_per_epoch=10, batch_size=32, **changes) == expected


def test_the_inceptions():
    """Szegedy et al. 2015 (Rethinking), §8: 0.045, times 0.94 every two epochs."""
    expected = {0: 0.045, 19: 0.045, 20: 0.045 * 0.94, 39: 0.045 * 0.94, 200: 0.045 * 0.94**10}
    changes = {"learning_rate": 0.045, "factor": 0.94, "every": "2 epochs", "boundaries": ()}
    assert rates(expected, steps_per_epoch=10, **changes) == expected


def test_without_boundaries_it_is_constant():
    assert rates([0, 10**6], boundaries=()) == {0: 0.1, 10**6: 0.1}


def test_what_no_run_reaches_is_never_due():
    never = ("9999999999 steps", "9" * 400 + " epochs")
    assert rates([0, 2**31 - 2], boundaries=("10 steps", *never)) == {0: 0.1, 2**31 - 2: 0.01}
    assert rates([0, 2**31 - 2], warmup=never[0]) == {0: 0.01, 2**31 - 2: 0.01}


def test_a_traced_step_gives_the_same():
    rate = schedule.make(ml_collections.ConfigDict(BASE), 390, 128)
    assert float(jax.jit(rate)(47999)) == pytest.approx(0.01, rel=1e-6)
    assert jax.jit(rate)(0).dtype == "float32"


@pytest.mark.parametrize("changes", [{"boundaries": ("soon",)}, {"boundaries": (32000,)}, {"warmup": "400"}])
def test_what_is_no_duration_is_said(changes):
    with pytest.raises(errors.UserError, match="a duration is written '20 epochs'"):
        rates([0], **changes)


@pytest.mark.parametrize(
    ("values", "patience", "expected"),
    [
        ([], 2, 0),
        ([0.5], 1, 0),
        ([0.5, 0.5], 1, 1),
        ([0.5, 0.5, 0.5], 2, 1),
        ([0.5, 0.6, 0.4, 0.4], 2, 0),  # the third is a new least value
        ([0.5, 0.6, 0.55, 0.52, 0.51], 2, 2),  # falling, and never below the first
        ([0.5, 0.6, 0.6, 0.4, 0.4, 0.4, 0.3], 2, 2),
        ([0.5, float("nan"), 0.5], 2, 1),  # nothing is no improvement
    ],
)
def test_plateaus_counted_by_hand(values, patience, expected):
    assert schedule.plateaus(values, patience) == expected


@hypothesis.given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5))
def test_plateaus_against_a_slow_reference(values, patience):
    """From the last drop or new least value, whole stretches of ``patience`` evaluations."""
    turns = [place for place, value in enumerate(values) if value < min(values[:place], default=10)]
    stretches = [after - before - 1 for before, after in itertools.pairwise([*turns, len(values)])]
    assert schedule.plateaus(values, patience) == sum(length // patience for length in stretches)
    # What has been is not changed by what comes: a resumed run finds the same rate.
    assert [schedule.plateaus(values[:n], patience) for n in range(len(values))] == sorted(
        schedule.plateaus(values[:n], patience) for n in range(len(values))
    )
