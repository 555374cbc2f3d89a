"""Estimates in numbers that one computes by hand."""

import pytest

from cnnjax.plan.collectives import Collective
from cnnjax.plan.roofline import estimate
from cnnjax.plan.topology import TPUS, Chip

CHIP = Chip("a chip", flops=1000.0, bandwidth=100.0, link=10.0, axes=2)
REDUCED = Collective("all-reduce", "f32", 4, 3, 40)
PASSED = Collective("collective-permute", "f32", 4, 1, 5)


@pytest.mark.parametrize(
    ("flops", "size", "collectives", "seconds", "bound"),
    [
        (8000.0, 700.0, (), 8.0, "compute"),
        (6000.0, 700.0, (), 7.0, "memory"),
        (6000.0, 500.0, (REDUCED, PASSED), 6.5, "link"),  # 2 · 40 · 3/4 + 5 bytes
    ],
)
def test_the_longest_is_the_estimate(flops, size, collectives, seconds, bound):
    found = estimate(CHIP, 1, flops, size, collectives)
    assert (found.compute, found.memory) == (flops / 1000, size / 100)
    assert found.link == (6.5 if collectives else 0)
    assert (found.seconds, found.bound) == (seconds, bound)


def test_devices_share_their_chip():
    one, two = (estimate(CHIP, cores, 1000.0, 300.0, (REDUCED,)) for cores in (1, 2))
    assert (two.compute, two.memory, two.link) == (2 * one.compute, 2 * one.memory, 2 * one.link)


def test_a_balance_that_is_known():
    """How many operations a v5e does while it reads a byte: 240, as everyone who writes for it knows."""
    chip = TPUS["v5e"]
    assert chip.flops / chip.bandwidth == pytest.approx(240, abs=1)
