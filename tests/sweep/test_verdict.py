import dataclasses
import math

import hypothesis
import numpy as np
import pandas
import pytest
from hypothesis import strategies

from cnnjax import errors
from cnnjax.sweep import statistics, store, verdict, words
from cnnjax.sweep.experiment import Claim

ROLES = {"deep": "plain56", "shallow": "plain20"}
CLAIM = Claim("deeper is worse", "train/error", {"deep": 1, "shallow": -1})


def runs(**arms):
    """Runs of arms: seed → train error, or a state or outcome instead of one."""
    rows = []
    for arm, values in arms.items():
        for seed, value in enumerate(values):
            if value is None:
                continue
            state, outcome = ("finished", "completed")
            if isinstance(value, str):
                state, outcome, value = (value, None, math.nan) if value != "diverged" else ("finished", value, 0.9)
            rows.append(("e", "s", arm, seed, state, outcome, value))
    return pandas.DataFrame(rows, columns=["experiment", "scale", "arm", "seed", "state", "outcome", "train/error"])


def judge_one(deep, shallow, claim=CLAIM, **options):
    (result,) = verdict.judge([claim], ROLES, runs(plain56=deep, plain20=shallow), **options)
    return result


def test_reproduced_with_the_numbers_of_the_paired_test():
    each = judge_one([0.31, 0.33, 0.35], [0.10, 0.11, 0.12])
    # Contrasts 0.21, 0.22, 0.23: mean 0.22, s = 0.01, t(0.975; 2) = 4.302653.
    assert each.verdict == "reproduced"
    assert each.values == pytest.approx((0.21, 0.22, 0.23))
    assert (each.mean, each.confidence, each.n, each.seeds) == (pytest.approx(0.22), 0.95, 3, (0, 1, 2))
    assert each.low == pytest.approx(0.22 - 4.302653 * 0.01 / math.sqrt(3), abs=1e-7)
    assert each.high == pytest.approx(0.22 + 4.302653 * 0.01 / math.sqrt(3), abs=1e-7)
    assert each.notes == ()


def test_a_table_of_verdicts():
    """Numbers as they are in the verdicts; the effect is mean over deviation, and there is none without a deviation."""
    claims = [CLAIM, dataclasses.replace(CLAIM, above=-0.1, paper="Fig. 1: 0.2")]
    frame = runs(plain56=[0.31, 0.33, 0.35], plain20=[0.10, 0.11, 0.12])
    verdicts = verdict.judge(claims, ROLES, frame)
    found = verdict.table(verdicts)
    assert found["effect"].tolist() == pytest.approx([22.0, 22.0])  # 0.22 / 0.01
    assert found["seeds"].tolist() == [3, 3]
    assert found["above"].tolist() == [0.0, -0.1]
    assert found["paper"].tolist() == ["", "Fig. 1: 0.2"]
    for name in ("verdict", "mean", "low", "high", "p_adjusted"):
        assert found[name].tolist() == [getattr(each, name) for each in verdicts]
    (alone,) = verdict.table([judge_one([0.3, None, 0.2], [0.1, 0.1, None])]).to_dict("records")
    assert math.isnan(alone["effect"])
    assert "one seed has no interval" in alone["notes"]
    assert math.isnan(judge_one([0.5, 0.5], [0.25, 0.25]).effect)


def test_contradicted_when_the_interval_lies_below():
    assert judge_one([0.10, 0.11, 0.13], [0.30, 0.32, 0.31]).verdict == "contradicted"


def test_inconclusive_when_the_margin_lies_inside():
    each = judge_one([0.10, 0.31, 0.2], [0.2, 0.2, 0.2])
    assert each.verdict == "inconclusive"
    assert each.low < 0 < each.high


def test_non_inferiority_is_a_negative_margin():
    deep, shallow = [0.201, 0.200, 0.199, 0.2], [0.200, 0.201, 0.2, 0.199]
    claim = dataclasses.replace(CLAIM, contrast={"shallow": 1, "deep": -1})
    assert judge_one(deep, shallow, claim).verdict == "inconclusive"
    assert judge_one(deep, shallow, dataclasses.replace(claim, above=-0.01)).verdict == "reproduced"


@pytest.mark.parametrize(
    ("above", "seeds", "expected", "p"),
    [
        (0.1, 6, "reproduced", 1 / 32),
        (0.3, 6, "contradicted", 1 / 32),
        (0.1, 5, "inconclusive", 1 / 16),
        (0.2, 6, "inconclusive", 1.0),
        (0.3 - 0.1, 6, "inconclusive", 1.0),
    ],
)
def test_without_spread_it_takes_six_seeds_that_agree(above, seeds, expected, p):
    deep, shallow = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8][:seeds], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6][:seeds]
    each = judge_one(deep, shallow, dataclasses.replace(CLAIM, above=above))
    assert (each.verdict, each.p) == (expected, p)
    assert "no spread" in each.notes[0]
    assert (each.low - 1e-9 <= above <= each.high + 1e-9) == (expected == "inconclusive")


@pytest.mark.parametrize(
    ("deep", "expected"),
    [((0.2, 0.2), "reproduced"), ((0.2, 0.1), "contradicted"), ((0.1, 0.05), "contradicted"), ((), "inconclusive")],
)
def test_an_exact_claim_is_judged_by_its_worst_seed(deep, expected):
    """And its verdict changes no other's level: with it or without it the family is the same."""
    exact = dataclasses.replace(CLAIM, exact=True, above=0.05)
    frame = runs(plain56=deep, plain20=(0.1, 0.1)[: len(deep)], plain110=(0.5, 0.52), plain8=(0.1, 0.11))
    other, roles = Claim("x", "train/error", {"a": 1, "b": -1}), {**ROLES, "a": "plain110", "b": "plain8"}
    each, beside = verdict.judge([exact, other], roles, frame)
    assert each.verdict == expected
    if deep:
        assert (each.low, each.high) == (pytest.approx(min(deep) - 0.1), pytest.approx(max(deep) - 0.1))
    [alone] = verdict.judge([other], roles, frame)
    assert beside == alone


def unreached(frame, *places):
    """With runs that have not got to where the metric says that they got."""
    names = [("train/error",) if place in places else () for place in zip(frame["arm"], frame["seed"], strict=True)]
    return frame.assign(**{verdict.UNREACHED: names})


def test_a_bound_shows_one_side_only():
    """The numbers speak for the one verdict; where they are bounds on the other side they say nothing."""
    higher = runs(plain56=[0.9, 0.92, 0.93], plain20=[0.1, 0.11, 0.13])
    lower = runs(plain56=[0.1, 0.11, 0.13], plain20=[0.9, 0.92, 0.93])
    for frame, place, expected in (
        (higher, ("plain56", 0), "reproduced"),  # at least so much higher
        (higher, ("plain20", 0), "inconclusive"),  # at most
        (lower, ("plain20", 0), "contradicted"),
        (lower, ("plain56", 0), "inconclusive"),
    ):
        (each,) = verdict.judge([CLAIM], ROLES, unreached(frame, place))
        assert (each.verdict, each.lost) == (expected, False)
        assert "never got there" in each.notes[0]
    both = unreached(higher, ("plain56", 0), ("plain20", 1))
    (each,) = verdict.judge([CLAIM], ROLES, both)
    assert (each.verdict, each.lost) == ("inconclusive", True)
    assert not [note for note in each.notes if "needs" in note]
    wide = unreached(runs(plain56=[0.9, 0.2, 0.5], plain20=[0.1, 0.3, 0.2]), ("plain56", 0), ("plain20", 1))
    assert not [note for each in verdict.judge([CLAIM], ROLES, wide) for note in each.notes if "needs" in note]
    assert verdict.judge([CLAIM], ROLES, unreached(higher))[0].verdict == "reproduced"


def test_one_seed_is_inconclusive_however_large_the_effect():
    each = judge_one([0.9], [0.1])
    assert (each.verdict, each.n, each.mean) == ("inconclusive", 1, pytest.approx(0.8))
    assert math.isnan(each.low)
    assert math.isnan(each.p)
    assert "at least two" in " ".join(each.notes)


def test_no_runs_at_all_is_inconclusive():
    each = judge_one([None], [None])
    assert (each.verdict, each.n) == ("inconclusive", 0)
    assert each.notes


@pytest.mark.parametrize("state", ["failed", "running", "interrupted", "unreadable"])
def test_incomplete_seeds_are_left_out_and_named(state):
    each = judge_one([0.31, 0.33, state, 0.34], [0.10, 0.11, 0.12, None])
    assert (each.verdict, each.seeds) == ("reproduced", (0, 1))
    assert each.notes == (f"plain56 seed 2 {state}; plain20 seed 3 not run: judged on 2 of 4 seeds",)


def test_a_finished_run_that_does_not_say_how_is_left_out():
    frame = runs(plain56=[0.31, 0.33, 0.35], plain20=[0.10, 0.11, 0.12])
    frame.loc[2, "outcome"] = None
    (each,) = verdict.judge([CLAIM], ROLES, frame)
    assert each.seeds == (0, 1)
    assert "plain56 seed 2 finished without an outcome" in each.notes[0]


def test_planned_seeds_that_nobody_ran_are_named():
    each = judge_one([0.31, 0.33], [0.10, 0.11], seeds=range(4))
    assert each.notes == ("plain56 seed 2, 3 not run; plain20 seed 2, 3 not run: judged on 2 of 4 seeds",)


@pytest.mark.parametrize("bad", ["diverged", math.inf, math.nan])
def test_a_value_lost_by_its_outcome_forbids_a_verdict(bad):
    each = judge_one([0.31, 0.33, bad, 0.34], [0.10, 0.11, 0.12, 0.1])
    assert (each.verdict, each.n) == ("inconclusive", 0)
    assert math.isnan(each.mean)
    assert "plain56 seed 2" in each.notes[0]
    assert "depends on the outcome" in each.notes[0]


def test_divergence_of_an_arm_that_a_claim_does_not_need_leaves_it_alone():
    frame = runs(plain56=[0.31, 0.33, 0.35], plain20=[0.10, 0.11, 0.12], plain110=["diverged", 0.4, 0.5])
    roles = {**ROLES, "deepest": "plain110"}
    claims = [CLAIM, Claim("deepest is worst", "train/error", {"deepest": 1, "deep": -1})]
    assert [each.verdict for each in verdict.judge(claims, roles, frame)] == ["reproduced", "inconclusive"]


def test_claims_that_cannot_be_judged_still_count_in_the_family():
    frame = runs(plain56=[0.31, 0.33, 0.35], plain20=[0.10, 0.11, 0.12], plain110=["diverged", 0.4, 0.5])
    roles = {**ROLES, "deepest": "plain110"}
    alone = verdict.judge([CLAIM], roles, frame)[0]
    beside = verdict.judge([CLAIM, Claim("x", "train/error", {"deepest": 1})], roles, frame)[0]
    assert (alone.confidence, beside.confidence) == (0.95, 0.975)
    assert beside.p_adjusted == pytest.approx(2 * alone.p_adjusted)


def test_a_claim_on_an_unrecorded_metric_is_the_users_error():
    with pytest.raises(errors.UserError, match="train/error"):
        judge_one([0.1, 0.2], [0.1, 0.2], dataclasses.replace(CLAIM, metric="train/eror"))


def test_runs_of_two_scales_are_refused():
    frame = runs(plain56=[0.3, 0.4], plain20=[0.1, 0.2])
    frame.loc[0, "scale"] = "other"
    with pytest.raises(errors.UserError, match="one scale"):
        verdict.judge([CLAIM], ROLES, frame)


VALUES = strategies.lists(strategies.integers(0, 30).map(lambda i: i / 100), min_size=4, max_size=4)


@hypothesis.given(strategies.lists(strategies.tuples(VALUES, VALUES), min_size=1, max_size=5))
def test_the_verdict_is_where_the_interval_lies_and_agrees_with_the_adjusted_p(pairs):
    claims = [Claim(f"{i}", "train/error", {f"a{i}": 1, f"b{i}": -1}, above=0.01) for i in range(len(pairs))]
    arms = {f"{name}{i}": values for i, pair in enumerate(pairs) for name, values in zip("ab", pair, strict=True)}
    for each in verdict.judge(claims, {arm: arm for arm in arms}, runs(**arms)):
        assert (each.verdict == "reproduced") == (each.low > 0.01)
        assert (each.verdict == "contradicted") == (each.high < 0.01)
        if not math.isclose(each.p_adjusted, 0.05, rel_tol=1e-9):
            assert (each.verdict == "inconclusive") == (each.p_adjusted >= 0.05)


def test_it_judges_what_the_store_loads(write_run):
    for seed in range(3):
        write_run("plain20", seed, 0.1 + 0.01 * seed)
        run = write_run("plain56", seed, 0.3 + 0.02 * seed)
    write_run("plain56", 3, status={"state": "failed", "outcome": None, "summary": None})
    (each,) = verdict.judge([CLAIM], ROLES, store.load(run.parents[1]))
    assert (each.verdict, each.seeds) == ("reproduced", (0, 1, 2))


@pytest.mark.parametrize(("deep", "noted"), [(0.203, True), (0.200, False), (0.19, False)])
def test_worse_within_the_margin_is_said(deep, noted):
    claim = dataclasses.replace(CLAIM, contrast={"shallow": 1, "deep": -1}, above=-0.01)
    each = judge_one([deep, deep + 0.001, deep], [0.200, 0.200, 0.201], claim)
    assert each.verdict == "reproduced"
    assert ("significantly worse" in " ".join(each.notes)) == noted


LOOKS = (5, 10, 15, 20)


def simulated(generator, effects):
    """Twenty seeds of as many pairs of arms as there are effects; the first arm of a pair is so much worse."""
    arms = {}
    for number, effect in enumerate(effects):
        common = generator.normal(0.3, 0.02, 20)
        arms[f"a{number}"] = list(common + effect + generator.normal(0, 0.02, 20))
        arms[f"b{number}"] = list(common + generator.normal(0, 0.02, 20))
    claims = [Claim(f"{i}", "train/error", {f"a{i}": 1, f"b{i}": -1}) for i in range(len(effects))]
    return claims, {arm: arm for arm in arms}, runs(**arms)


def share(generator, effects, judged, found, trials):
    """Of how many trials any claim is judged so."""
    return (
        sum(any(each.verdict in found for each in judged(*simulated(generator, effects))) for _ in range(trials))
        / trials
    )


DECIDED = ("reproduced", "contradicted")


@pytest.mark.slow
def test_pure_noise_is_decided_in_at_most_one_case_of_twenty():
    """Two arms of the same settings, three claims; judged once, and judged whenever seeds were added."""
    generator = np.random.default_rng(0)
    once = share(generator, (0, 0, 0), lambda *each: verdict.judge(*each, seeds=range(5)), DECIDED, 2000)
    looks = share(
        generator, (0, 0, 0), lambda *each: verdict.judge_at_looks(*each, tuple(range(20)), LOOKS), DECIDED, 2000
    )
    assert once < 0.065  # 0.05 and three standard errors
    assert looks < 0.065

    def naively(*each):
        return [one for count in LOOKS for one in verdict.judge(*each, seeds=range(count))]

    assert share(generator, (0, 0, 0), naively, DECIDED, 300) > 0.09  # what the looks' levels are for


def test_what_five_seeds_have_not_seen_they_do_not_judge():
    """The limit that the report states: one run in twenty collapses, and "no worse" is false by four points on average."""
    generator = np.random.default_rng(3)
    claim = Claim("no worse", "train/error", {"steady": 1, "rare": -1}, above=-0.01)
    wrong, trials = 0, 300
    for _ in range(trials):
        rare = np.where(generator.random(5) < 0.05, 0.9, generator.normal(0.02, 0.002, 5))
        [each] = verdict.judge([claim], {"steady": "steady", "rare": "rare"}, runs(steady=[0.02] * 5, rare=list(rare)))
        wrong += each.verdict == "reproduced"
    assert 0.70 < wrong / trials < 0.85
    assert "77 sweeps of 100" in words.LIMIT
    assert round(100 * 0.95**5) == 77


@pytest.mark.slow
def test_counts_of_a_few_images_are_not_decided_more_often():
    """Errors of one per cent of 360 images, and milestones of three epochs: many seeds agree by chance."""
    generator = np.random.default_rng(2)

    def shares(draw, looks, trials=400):
        decided = 0
        for _ in range(trials):
            arms = {f"arm{number}": draw((max(looks),)) for number in range(4)}
            roles = {arm: arm for arm in arms}
            claims = [Claim(f"{number}", "train/error", {f"arm{number}": 1, "arm0": -1}) for number in (1, 2, 3)]
            seeds = tuple(range(max(looks)))
            found = (
                verdict.judge_at_looks(claims, roles, runs(**arms), seeds, looks)
                if len(looks) > 1
                else verdict.judge(claims, roles, runs(**arms), seeds)
            )
            decided += any(each.verdict in DECIDED for each in found)
        return decided / trials

    errors_of = lambda shape: generator.binomial(360, 0.01, shape) / 360  # noqa: E731
    epochs = lambda shape: generator.choice([1.0, 1.5, 2.0], shape)  # noqa: E731
    for draw in (errors_of, epochs):
        for looks in ((3,), (5,), (2, 4, 6, 8, 10), (3, 6, 9), (5, 10, 15, 20)):
            assert shares(draw, looks) < 0.085, looks  # 0.05 and a little over three standard errors


def test_a_false_claim_is_contradicted_and_a_true_one_reproduced():
    """The sign swapped: an effect of two deviations of the contrast, five seeds."""
    generator = np.random.default_rng(1)
    judged = lambda *each: verdict.judge(*each, seeds=range(5))  # noqa: E731
    assert share(generator, (-0.06,), judged, ("contradicted",), 200) > 0.9
    assert share(generator, (-0.06,), judged, ("reproduced",), 200) == 0
    assert share(generator, (0.06,), judged, ("reproduced",), 200) > 0.9


def test_a_claim_keeps_the_verdict_of_the_look_that_decided_it():
    deep = [0.30, 0.31, 0.32, 0.30, 0.31, 0.1, 0.9, 0.1, 0.9, 0.1]
    shallow = [0.10] * 10
    frame = runs(plain56=deep, plain20=shallow)
    [each] = verdict.judge_at_looks([CLAIM], ROLES, frame, tuple(range(10)), (5, 10))
    assert (each.verdict, each.n) == ("reproduced", 5)
    assert each.confidence == 1 - 0.05 / 4
    assert each.level == 0.05 / 4
    [late] = verdict.judge_at_looks([CLAIM], ROLES, runs(plain56=shallow, plain20=shallow), tuple(range(10)), (5, 10))
    assert (late.verdict, late.n) == ("inconclusive", 10)
    [early] = verdict.judge_at_looks([CLAIM], ROLES, frame, tuple(range(5)), (5, 10))
    assert early == each


@pytest.mark.parametrize("state", ["running", "interrupted", None])
def test_a_look_is_taken_once_its_runs_have_ended(state):
    """Until then the report says what the look before said, whatever the runs that are there would say."""
    deep, shallow = [0.20, 0.14, 0.26, 0.30, 0.31, state], [0.1, 0.16, 0.2, 0.1, 0.1, 0.1]
    [before] = verdict.judge_at_looks([CLAIM], ROLES, runs(plain56=deep, plain20=shallow), tuple(range(3)), (3, 6))
    [now] = verdict.judge_at_looks([CLAIM], ROLES, runs(plain56=deep, plain20=shallow), tuple(range(6)), (3, 6))
    assert (now, now.n) == (before, 3)
    for end in (0.3, "failed"):
        frame = runs(plain56=[*deep[:-1], end], plain20=shallow)
        assert verdict.judge_at_looks([CLAIM], ROLES, frame, tuple(range(6)), (3, 6))[0].n == (6 if end == 0.3 else 5)


def test_what_is_needed_is_needed_at_the_last_look():
    """Where the first look may spend little, it does not say that little is enough there."""
    deep, shallow = [0.20, 0.14, 0.26, 0.17, 0.23] * 4, [0.1, 0.1, 0.1, 0.1, 0.1] * 4
    frame, seeds = runs(plain56=[each - 0.06 for each in deep], plain20=shallow), tuple(range(20))
    [once] = verdict.judge([CLAIM], ROLES, frame, seeds[:3])
    [first] = verdict.judge_at_looks([CLAIM], ROLES, frame, seeds[:3], (3, 6, 12))
    assert first.verdict == once.verdict == "inconclusive"
    # The last of these looks has three quarters of the level: 1 − (6 / 12)².
    more = statistics.needed(statistics.sample(once.values), 0.0, 1 - 0.05 * 0.75) - 3
    assert first.notes == (f"needs {more} more seeds, if mean and spread stay as they are",)


def test_an_arm_against_a_bound_is_compared_with_none():
    """Below 0.05: the interval of the negative value lies below zero, and that says nothing of another arm."""
    claim = Claim("it is small", "train/error", {"deep": -1}, above=-0.05)
    each = judge_one([0.010, 0.011, 0.012], [0.5, 0.5, 0.5], claim=claim)
    assert each.verdict == "reproduced"
    assert each.mean == pytest.approx(-0.011)
    assert each.high < 0
    assert each.notes == ()
