import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from scipy import stats

from cnnjax.sweep import statistics

P_VALUES = strategies.lists(strategies.floats(0, 1), min_size=1, max_size=12)


def test_contrast_is_taken_seed_by_seed():
    values = {"a": [0.3, 0.5], "b": [0.1, 0.2], "c": [0.0, 0.4]}
    np.testing.assert_allclose(statistics.contrast(values, {"a": 1, "b": -2, "c": 0.5}), [0.1, 0.3])


def test_interval_by_hand():
    # 1 … 5: mean 3, s = √2.5, s / √5 = √0.5, t(0.975; 4) = 2.776445 from a printed table.
    low, high = statistics.interval(statistics.sample([1, 2, 3, 4, 5]), 0.95)
    assert low == pytest.approx(3 - 2.776445 * math.sqrt(0.5), abs=1e-6)
    assert high == pytest.approx(3 + 2.776445 * math.sqrt(0.5), abs=1e-6)


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.2, 1.0])
def test_interval_and_p_agree_with_scipys_own_test(margin):
    values = np.random.default_rng(0).normal(0.3, 0.4, 7)
    theirs = stats.ttest_1samp(values, margin)
    of = statistics.sample(values)
    assert statistics.p_value(of, margin) == pytest.approx(theirs.pvalue, rel=1e-9)
    assert statistics.interval(of, 0.9) == pytest.approx(tuple(theirs.confidence_interval(0.9)), rel=1e-9)


def test_too_few_values_have_no_interval_and_reject_nothing():
    for values in ([], [0.4]):
        of = statistics.sample(values)
        assert all(map(math.isnan, statistics.interval(of, 0.95)))
        assert statistics.p_value(of, 0.0) == 1.0
        assert not of.has_no_spread


def test_equal_values_have_no_spread_also_where_rounding_differs():
    of = statistics.sample([0.3 - 0.1, 0.4 - 0.2, 0.2])
    assert len({0.3 - 0.1, 0.4 - 0.2, 0.2}) > 1
    assert of.has_no_spread
    assert statistics.p_value(of, 0.0) == 0.25  # of three differences that are as likely positive as negative
    assert statistics.p_value(of, 0.1 + 0.1) == 1.0
    assert not statistics.sample([0.2, 0.2 + 1e-9]).has_no_spread


@pytest.mark.parametrize(("mean", "margin"), [(0.3, 0.0), (0.1, 0.0), (-0.02, -0.05), (0.05, 0.1), (3.0, 0.0)])
def test_as_many_values_as_needed_and_no_fewer(mean, margin):
    of = statistics.Sample(mean, 0.2, 5)
    n = statistics.needed(of, margin, 0.95)
    found = {each: stats.t.interval(0.95, each - 1, mean, 0.2 / each**0.5) for each in (n, n - 1) if each > 1}
    assert not found[n][0] <= margin <= found[n][1]
    assert n == 2 or found[n - 1][0] <= margin <= found[n - 1][1]


def test_what_no_number_of_values_decides():
    assert statistics.needed(statistics.Sample(1e-6, 1.0, 5), 0.0, 0.95) is None
    assert statistics.needed(statistics.Sample(0.5, 0.0, 5), 0.5, 0.95) is None
    assert statistics.needed(statistics.Sample(0.5, 0.0, 5), 0.0, 0.95) == 6  # 2^-5 is the first below 5 %
    assert statistics.needed(statistics.Sample(0.5, math.nan, 1), 0.0, 0.95) is None


def test_holm_worked_by_hand():
    # Four hypotheses at 0.05: levels 0.0125, 0.0167, 0.025, 0.05. 0.005 and 0.01 are rejected, 0.03 is not: stop.
    steps = statistics.holm([0.01, 0.04, 0.03, 0.005], 0.05)
    assert [step.level for step in steps] == pytest.approx([0.05 / 3, 0.025, 0.025, 0.0125])
    assert [step.adjusted for step in steps] == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_no_hypothesis_has_no_step():
    assert statistics.holm([]) == []


@hypothesis.given(P_VALUES)
def test_holm_rejects_at_least_what_bonferroni_does_and_no_more_than_no_correction(p_values):
    m = len(p_values)
    for p, step in zip(p_values, statistics.holm(p_values, 0.05), strict=True):
        rejected = p < step.level
        assert rejected >= (p < 0.05 / m)
        assert rejected <= (p < 0.05)
        assert 0.05 / m <= step.level <= 0.05
        assert p <= step.adjusted <= 1
        if not math.isclose(step.adjusted, 0.05):
            assert rejected == (step.adjusted < 0.05)


@hypothesis.given(P_VALUES)
def test_holm_stops_at_the_first_that_stands(p_values):
    steps = statistics.holm(p_values, 0.05)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = [p_values[i] < steps[i].level for i in order]
    assert rejected == sorted(rejected, reverse=True)
    standing = {steps[i].level for i, out in zip(order, rejected, strict=True) if not out}
    assert len(standing) <= 1


SAMPLES = strategies.lists(
    strategies.tuples(
        strategies.lists(strategies.integers(-20, 20).map(lambda i: i / 100), min_size=2, max_size=7),
        strategies.sampled_from([-0.05, 0.0, 0.02]),
    ),
    min_size=1,
    max_size=6,
)


@hypothesis.given(SAMPLES)
def test_rejected_if_and_only_if_the_interval_shuts_out_the_margin(pairs):
    samples = [statistics.sample(values) for values, _ in pairs]
    p_values = [statistics.p_value(of, margin) for of, (_, margin) in zip(samples, pairs, strict=True)]
    for of, p, step, (_, margin) in zip(samples, p_values, statistics.holm(p_values), pairs, strict=True):
        low, high = statistics.interval(of, 1 - step.level)
        if not of.has_no_spread and not math.isclose(p, step.level, rel_tol=1e-9):
            assert (p < step.level) == (margin < low or margin > high)


def test_an_interval_of_90_per_cent_covers_90_per_cent_of_the_time():
    draws = np.random.default_rng(0).normal(1.5, 2.0, (2000, 4))
    ends = np.array([statistics.interval(statistics.sample(row), 0.9) for row in draws])
    covered = np.mean((ends[:, 0] <= 1.5) & (ends[:, 1] >= 1.5))
    assert covered == pytest.approx(0.9, abs=0.02)  # three standard errors


def test_a_family_of_true_hypotheses_errs_in_one_case_of_twenty():
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(1000):
        samples = map(statistics.sample, generator.normal(0, 1, (4, 5)))
        p_values = [statistics.p_value(of, 0.0) for of in samples]
        wrong += any(p < step.level for p, step in zip(p_values, statistics.holm(p_values), strict=True))
    assert wrong / 1000 == pytest.approx(0.05, abs=0.021)
