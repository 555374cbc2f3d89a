"""Claims judged by what was measured."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas

from cnnjax import errors
from cnnjax.sweep import statistics
from cnnjax.sweep.experiment import Claim, measure

REPRODUCED, CONTRADICTED, INCONCLUSIVE = "reproduced", "contradicted", "inconclusive"
UNREACHED = "unreached"
"""Column of runs: the milestones that a run has not reached, whose columns hold how long it went on."""


_ON_THE_WAY = ("running", "interrupted")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the runs say of a claim.

    Attributes:
      claim: what was judged.
      verdict: ``"reproduced"`` (the interval lies above the margin), ``"contradicted"`` (below) or ``"inconclusive"``.
      mean: of the contrast over the seeds, in the unit of the metric. NaN where there is none, as below.
      low: lower end of the interval; of an exact claim the least of the seeds.
      high: upper end; of an exact claim the most.
      confidence: of that interval: 1 − the claim's level in Holm's procedure; 1 of an exact claim.
      p: two-sided, against the margin, for this claim alone.
      p_adjusted: the same by Holm over the family.
      level: of the family, which that is compared with; where there are several looks, of the one that gave the verdict.
      seeds: those that were used.
      values: the contrast of each of them.
      notes: what a reader must know beside the numbers.
      lost: whether a value is missing because of what it is, so that no more seeds can decide the claim.
    """

    claim: Claim
    verdict: str
    mean: float
    low: float
    high: float
    confidence: float
    p: float
    p_adjusted: float
    seeds: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    lost: bool = False
    level: float = statistics.ALPHA

    @property
    def n(self) -> int:
        """How many seeds were used."""
        return len(self.seeds)

    @property
    def effect(self) -> float:
        """Size of the effect: the contrast's mean over its deviation between seeds, Cohen's d of paired values.

        NaN where there is no deviation. Cohen 1988, *Statistical Power Analysis for the Behavioral Sciences*, §2.3.5.
        """
        deviation = statistics.sample(self.values).deviation
        return self.mean / deviation if deviation else math.nan


def table(verdicts: Iterable[Verdict]) -> pandas.DataFrame:
    """Verdicts as they are read side by side: one row a claim, in the unit of its metric.

    Columns: ``claim``, ``metric``, ``verdict``, ``mean``, ``low``, ``high``, ``above`` (the margin), ``effect``, ``seeds`` (how
    many), ``p_adjusted``, ``paper``, ``notes``.
    """
    names = (
        "claim",
        "metric",
        "verdict",
        "mean",
        "low",
        "high",
        "above",
        "effect",
        "seeds",
        "p_adjusted",
        "paper",
        "notes",
    )
    rows = []
    for each in verdicts:
        asked, interval = each.claim, (each.mean, each.low, each.high)
        judged = (each.effect, each.n, each.p_adjusted, asked.paper, "; ".join(each.notes))
        rows.append((asked.text, asked.metric, each.verdict, *interval, asked.above, *judged))
    return pandas.DataFrame(rows, columns=names)


@dataclasses.dataclass(frozen=True)
class _Evidence:
    """The complete seeds of a claim, and what they can show: bounds instead of values show one side only."""

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    notes: tuple[str, ...]
    shows: tuple[str, ...] = (REPRODUCED, CONTRADICTED)
    lost: bool = False


def judge(
    claims: Sequence[Claim],
    roles: Mapping[str, str],
    runs: pandas.DataFrame,
    seeds: Sequence[int] = (),
    alpha: float = statistics.ALPHA,
    last: float | None = None,
) -> list[Verdict]:
    """Judges all claims of an experiment at one scale as one family.

    A seed counts for a claim if all the arms that the claim needs have completed it; the others are named in the notes.
    If one of them *diverged* there is no verdict: that it is missing depends on what it would have shown. A run that has not
    reached a milestone counts with how long it went on, and can then only make the claim's verdict harder: where the
    contrast is at least what is counted, the claim can be reproduced, where at most, contradicted. Every claim that is not
    exact, judged or not, counts in Holm's family, so that the family does not depend on the outcome.

    Args:
      claims: of the experiment.
      roles: role → arm, as in ``Scale.roles``.
      runs: of one scale, as `store.load` returns them.
      seeds: those that were planned; without them, all that any of the arms was run with.
      alpha: level of the family.
      last: its level at the last look, where there are several: by it is said how many more seeds are needed.

    Returns:
      One verdict a claim, in the same order.

    Raises:
      UserError: the runs are of several scales, or none of the finished ones recorded a claim's metric of training.
    """
    if len(runs[["experiment", "scale"]].drop_duplicates()) > 1:
        raise errors.UserError("claims are judged at one scale of one experiment; these runs are of several")
    table: dict[tuple[str, int], Mapping[Any, Any]] = {
        (run["arm"], run["seed"]): run for run in runs.to_dict("records")
    }
    wanted = sorted({*seeds} or {seed for arm, seed in table if arm in roles.values()})
    evidence = [_gather(claim, roles, table, wanted) for claim in claims]
    samples = [statistics.sample(each.values) for each in evidence]
    family = [number for number, claim in enumerate(claims) if not claim.exact]
    p_values = [statistics.p_value(samples[number], claims[number].above) for number in family]
    judged = dict(zip(family, zip(p_values, statistics.holm(p_values, alpha), strict=True), strict=True))
    found = [
        _decide(claim, evidence[number], samples[number], *judged[number], (last or alpha) / alpha)
        if number in judged
        else _exact(claim, evidence[number], samples[number])
        for number, claim in enumerate(claims)
    ]
    return [dataclasses.replace(each, level=alpha) for each in found]


def judge_at_looks(
    claims: Sequence[Claim],
    roles: Mapping[str, str],
    runs: pandas.DataFrame,
    seeds: Sequence[int],
    looks: Sequence[int],
    alpha: float = statistics.ALPHA,
) -> list[Verdict]:
    """As :func:`judge`, where seeds were added until the claims were decided.

    At each look the first so many seeds are judged, at the level that this look may spend; a claim keeps the verdict of the
    first look that decided it. A look whose runs are still on their way is yet to come: it is taken once.

    Args:
      claims, roles, runs: as of :func:`judge`.
      seeds: in the order in which they were added.
      looks: numbers of seeds, increasing, of all looks that may come.
      alpha: level of the family over all looks.
    """
    found: list[Verdict] = []
    levels = statistics.spent(looks, alpha)
    arms = {roles[role] for claim in claims for role in claim.contrast}
    ended = {(run["arm"], run["seed"]) for run in runs.to_dict("records") if run["state"] not in _ON_THE_WAY}
    for count, level in zip(looks, levels, strict=True):
        there = all((arm, seed) in ended for arm in arms for seed in seeds[:count])
        if found and not (count <= len(seeds) and there):
            break
        now = judge(claims, roles, runs, seeds[:count], level, levels[-1])
        found = [old if old.verdict != INCONCLUSIVE else new for old, new in zip(found or now, now, strict=True)]
    return found


def _gather(
    claim: Claim, roles: Mapping[str, str], table: Mapping[tuple[str, int], Mapping[Any, Any]], wanted: Sequence[int]
) -> _Evidence:
    arms = list(dict.fromkeys(roles[role] for role in claim.contrast))
    state = {(arm, seed): _state(table.get((arm, seed)), claim.metric) for seed in wanted for arm in arms}
    completed = [run for (arm, _), run in table.items() if arm in arms and run["outcome"] == "completed"]
    if completed and not measure(claim.metric) and not any(claim.metric in run for run in completed):
        recorded = [name for name in completed[0] if "/" in name and not name.startswith(("config.", "environment."))]
        raise errors.unknown("metric", claim.metric, recorded, f"needed by the claim {claim.text!r}")
    # A value that is missing because of what it is: without it the rest is a selection by the outcome.
    lost = [(place, why) for place, why in state.items() if why in ("diverged", "completed without a finite value")]
    if lost:
        why = f"{_listed(lost)}: what is missing depends on the outcome, so it cannot be left out"
        return _Evidence((), (), (why,), lost=True)
    seeds = tuple(seed for seed in wanted if not any(state[arm, seed] for arm in arms))
    values = {role: [_value(table[roles[role], seed], claim.metric) for seed in seeds] for role in claim.contrast}
    missing = [(place, why) for place, why in state.items() if why]
    notes = (f"{_listed(missing)}: judged on {len(seeds)} of {len(wanted)} seeds",) if missing else ()
    shows, said = _sides(claim, roles, table, seeds)
    found = tuple(map(float, statistics.contrast(values, claim.contrast))) if seeds else ()
    return _Evidence(seeds, found, notes + said, shows, lost=not shows)


def _sides(
    claim: Claim, roles: Mapping[str, str], table: Mapping[tuple[str, int], Mapping[Any, Any]], seeds: Sequence[int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which verdicts the values can support, and a note where these are not both."""
    bounds = [
        ((roles[role], seed), factor > 0)
        for role, factor in claim.contrast.items()
        for seed in seeds
        if claim.metric in (table[roles[role], seed].get(UNREACHED) or ())
    ]
    if not bounds:
        return (REPRODUCED, CONTRADICTED), ()
    signs = {sign for _, sign in bounds}
    shows = () if len(signs) == 2 else (REPRODUCED,) if signs == {True} else (CONTRADICTED,)
    can = f"can only be {shows[0]}" if shows else "cannot be judged"
    places = ", ".join(place for place, _ in grouped((place, "") for place, _ in bounds))
    return shows, (f"{places} never got there and count with how long they went on: the claim {can}",)


def _state(run: Mapping[Any, Any] | None, metric: str) -> str:
    """Why a run cannot be used; empty if it can."""
    if run is None:
        return "not run"
    if run["outcome"] == "diverged":
        return "diverged"
    if run["state"] != "finished":
        return str(run["state"])
    if run["outcome"] != "completed":
        return "finished without an outcome"
    if (name := measure(metric)) and name not in run["measured"]:
        return "not measured"
    return "" if math.isfinite(_value(run, metric)) else "completed without a finite value"


def _value(run: Mapping[Any, Any], metric: str) -> float:
    return float(run.get(metric, math.nan))


def grouped(places: Iterable[tuple[tuple[str, int], str]]) -> list[tuple[str, str]]:
    """What was said of runs, once an arm: ``("plain20 seed 3, 4", "failed")``."""
    groups: dict[tuple[str, str], list[str]] = {}
    for (arm, seed), what in places:
        groups.setdefault((arm, what), []).append(str(seed))
    return [(f"{arm} seed {', '.join(seeds)}", what) for (arm, what), seeds in groups.items()]


def _listed(places: Iterable[tuple[tuple[str, int], str]]) -> str:
    """``plain20 seed 3, 4 failed; plain56 seed 0 not run``."""
    return "; ".join(f"{place} {why}" for place, why in grouped(places))


def _decide(
    claim: Claim, evidence: _Evidence, of: statistics.Sample, p: float, step: statistics.Step, looser: float
) -> Verdict:
    """With how many times the level a later look has."""
    notes = evidence.notes
    if of.n < 2:
        if of.n == 1:
            notes += ("one seed has no interval: at least two are needed",)
        elif not notes:
            notes += ("no run of its arms",)
        nan = math.nan
        found = evidence.seeds, evidence.values, notes, evidence.lost
        return Verdict(claim, INCONCLUSIVE, of.mean, nan, nan, nan, nan, nan, *found)
    confidence = 1 - step.level
    low, high = statistics.interval(of, confidence)
    if of.has_no_spread:
        notes += ("no spread between the seeds: judged by how seldom as many agree by chance",)
        low, high = (low, high) if p < step.level else (min(low, claim.above), max(high, claim.above))
    # The interval decides, so that what is shown and what is said cannot disagree, not even by rounding.
    verdict = REPRODUCED if low > claim.above else CONTRADICTED if high < claim.above else INCONCLUSIVE
    if (
        verdict == INCONCLUSIVE
        and evidence.shows
        and (seeds := statistics.needed(of, claim.above, 1 - step.level * looser))
    ):
        more = max(seeds - of.n, 1)
        notes += (f"needs {more} more seed{'s' if more > 1 else ''}, if mean and spread stay as they are",)
    if verdict not in evidence.shows:
        verdict = INCONCLUSIVE
    if verdict == REPRODUCED and high < 0 and len(claim.contrast) > 1:  # one arm against a bound is no comparison
        notes += ("within the margin, but significantly worse: the interval excludes 0",)
    found = evidence.seeds, evidence.values, notes, evidence.lost
    return Verdict(claim, verdict, of.mean, low, high, confidence, p, step.adjusted, *found)


def _exact(claim: Claim, evidence: _Evidence, of: statistics.Sample) -> Verdict:
    nan = math.nan
    found = evidence.seeds, evidence.values
    if not evidence.values:
        notes = evidence.notes or ("no run of its arms",)
        return Verdict(claim, INCONCLUSIVE, nan, nan, nan, nan, nan, nan, *found, notes, evidence.lost)
    low, high = min(evidence.values), max(evidence.values)
    verdict = REPRODUCED if low > claim.above else CONTRADICTED
    verdict = verdict if verdict in evidence.shows else INCONCLUSIVE
    notes = (*evidence.notes, "exact: judged by its worst seed")
    return Verdict(claim, verdict, of.mean, low, high, 1.0, nan, nan, *found, notes, evidence.lost)
