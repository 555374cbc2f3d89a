"""What became of an experiment at one scale: its arms, its claims, and what a reader must know beside them."""

import dataclasses
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas

from cnnjax.sweep import ensembles, store
from cnnjax.sweep.experiment import Experiment, Scale, milestone
from cnnjax.sweep.plan import Sweep
from cnnjax.sweep.record import UNREADABLE
from cnnjax.sweep.verdict import UNREACHED, Verdict, grouped, judge, judge_at_looks
from cnnjax.sweep.words import NONE, duration, is_fraction

ERRORS = ("train/error", "test/error")


@dataclasses.dataclass(frozen=True)
class Arm:
    """What became of the runs of an arm, or of an ensemble of arms.

    Attributes:
      name: of the arm.
      parameters: of its model; None if no run tells.
      macs: multiply-accumulates that the logits of one image take; None if no run tells.
      finished: seeds that completed.
      planned: seeds of the sweep, and any others that were run with its settings.
      errors: metric → "mean ± sd" over the completed seeds, in per cent, or "—".
      milestones: metric → "mean ± sd" over the completed seeds, and the median of the times; or how many got there.
      measured: what else claims are about → "mean ± sd", in per cent where it is an error.
      seconds: in the training loops of all its runs together; starting up is not in it.
      outcome: "completed", or what else happened and how often.
      problems: the error lines of its runs, each with its seed.
    """

    name: str
    parameters: int | None
    macs: int | None
    finished: int
    planned: int
    errors: Mapping[str, str]
    milestones: Mapping[str, str]
    measured: Mapping[str, str]
    seconds: float
    outcome: str
    problems: tuple[str, ...]

    @property
    def figures(self) -> dict[str, str]:
        """What it costs and reaches: heading → cell of a table of arms."""
        counts = {"parameters": self.parameters, "MACs": self.macs}
        return {
            **{name: NONE if count is None else f"{count:,}" for name, count in counts.items()},
            **{f"{metric.replace('/', ' ')}, %": text for metric, text in self.errors.items()},
            **{f"{metric} (time)": text for metric, text in self.milestones.items()},
            **{f"{metric}, %" if is_fraction(metric) else metric: text for metric, text in self.measured.items()},
        }


@dataclasses.dataclass(frozen=True)
class Outcome:
    """An experiment judged at one scale.

    Attributes:
      experiment: the question.
      scale_name: the scale.
      command: what to type, from the root of a clone, to run the same. No folder of this machine is in it.
      verdicts: one a claim.
      arms: one an arm of the scale, in its order, and one an ensemble.
      others: runs that were not counted, because their settings are others: ``"plain20 seed 3, 4"``.
      notes: what runs said of themselves, ``"plain20 seed 3, 4: resumed …"``, and why some cannot be read.
    """

    experiment: Experiment
    scale_name: str
    command: str
    verdicts: tuple[Verdict, ...]
    arms: tuple[Arm, ...]
    others: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def scale(self) -> Scale:
        """What the scale asked for."""
        return self.experiment.scales[self.scale_name]


def current(sweep: Sweep, runs: pandas.DataFrame) -> pandas.Series:
    """Which runs of a sweep's arms have its settings: [rows] bool.

    A run that has not said what it was asked counts as one that it does not have yet, unless it says that it is finished.
    """
    digests = {arm.name: arm.digest for arm in sweep.arms}

    def is_current(arm: str, seed: int, state: str, found: str | None) -> bool:
        return found == digests[arm](seed) if found else state != "finished"

    columns = (runs[name] for name in ("arm", "seed", "state", "hash"))
    return pandas.Series([is_current(*run) for run in zip(*columns, strict=True)], runs.index, dtype="bool")


def summarise(sweep: Sweep, runs: pandas.DataFrame) -> Outcome:
    """The verdicts and the arms.

    Args:
      sweep: what was asked.
      runs: of its arms, as `store.load` returns them. Only those with the sweep's settings are judged.

    Raises:
      UserError: as `verdict.judge`.
    """
    mine = current(sweep, runs)
    others, runs = runs[~mine], _with_milestones(sweep, runs[mine])
    judged, names = ensembles.beside(sweep, runs), [*(arm.name for arm in sweep.arms), *sweep.scale.ensembles]
    seeds = sorted({*(seed for arm in sweep.arms for seed in arm.seeds), *map(int, runs["seed"])})
    return Outcome(
        experiment=sweep.experiment,
        scale_name=sweep.scale_name,
        command=_command(sweep, seeds),
        verdicts=tuple(_judged(sweep, judged, seeds)),
        arms=tuple(_arm(sweep, name, judged[judged["arm"] == name], seeds) for name in names),
        others=tuple(
            place
            for place, _ in grouped(((arm, seed), "") for arm, seed in zip(others["arm"], others["seed"], strict=True))
        ),
        notes=(*(f"{place}: {note}" for place, note in grouped(_notes(runs))), *map(_looked, sweep.former())),
    )


def _judged(sweep: Sweep, runs: pandas.DataFrame, seeds: Sequence[int]) -> list[Verdict]:
    asked = sweep.claims, sweep.scale.roles, runs
    if not sweep.looks:
        return judge(*asked, seeds)
    # In the order in which they were added; seeds that are there besides were not asked for at any look.
    return judge_at_looks(*asked, sweep.seeds or tuple(sweep.scale.seeds), sweep.looks)


def _milestones(sweep: Sweep) -> dict[str, tuple[str, float]]:
    """Those that claims are about → what is waited for, and the level."""
    return {claim.metric: found for claim in sweep.claims if (found := milestone(claim.metric))}


def _with_milestones(sweep: Sweep, runs: pandas.DataFrame) -> pandas.DataFrame:
    """With a column for every milestone that a claim is about; where a run has not reached it, how far it was looked for.

    `verdict.UNREACHED` names those. NaN where it was not looked for at all. The time that it took is a column too: no claim is
    about that, since an arm's runs share what else the machine did meanwhile, which the spread over seeds does not show.
    """
    wanted = _milestones(sweep)
    if not wanted or runs.empty:
        return runs
    curves = store.load_curves(sweep.folder)
    columns: dict[str, list[float]] = {}
    unreached: list[tuple[str, ...]] = [()] * len(runs)
    for name, (metric, level) in wanted.items():
        looked = curves[curves["metric"] == metric]
        reached = looked[looked["value"] <= level].groupby(["arm", "seed"])
        first, seconds = reached["epoch"].min(), reached["seconds"].min()
        last = looked.groupby(["arm", "seed"])["epoch"].max()
        places = list(zip(runs["arm"], runs["seed"], strict=True))
        columns[name] = [first.get(run, last.get(run, math.nan)) for run in places]
        columns[_time(name)] = [seconds.get(run, math.nan) for run in places]
        unreached = [
            names if run in first.index else (*names, name) for names, run in zip(unreached, places, strict=True)
        ]
    found = pandas.DataFrame({**columns, UNREACHED: pandas.Series(unreached, dtype="object")})
    return pandas.concat([runs, found.set_index(runs.index)], axis=1)


def _time(name: str) -> str:
    """The column of the seconds to a milestone."""
    return f"seconds{name.removeprefix('epochs')}"


def _command(sweep: Sweep, seeds: Sequence[int]) -> str:
    path = sweep.experiment.path
    words = ["cnnjax", "run", f"{path.parent.name}/{path.name}", "--scale", sweep.scale_name]
    if sweep.looks:
        seeds = sweep.seeds[: sweep.looks[0]]
        words += ["--until-decided", str(sweep.looks[-1])]
    if set(seeds) != set(sweep.scale.seeds):
        words += ["--seeds", ",".join(map(str, seeds))]
    return shlex.join([*words, *sweep.arguments])


def _notes(runs: pandas.DataFrame) -> Iterator[tuple[tuple[str, int], str]]:
    for run in runs.to_dict("records"):
        unreadable = [run["error"]] if run["state"] == UNREADABLE else []
        yield from (((run["arm"], int(run["seed"])), note) for note in [*run["notes"], *unreadable])


def _looked(looks: Sequence[int]) -> str:
    counts = ", ".join(map(str, looks))
    return f"the claims were judged before, at {counts} seeds: what is asked after looking errs more often than it says"


def _arm(sweep: Sweep, name: str, runs: pandas.DataFrame, seeds: Sequence[int]) -> Arm:
    completed = runs[(runs["state"] == "finished") & (runs["outcome"] == "completed")]
    words = [_fate(run) for run in runs.to_dict("records")]
    words += ["not run"] * (len(seeds) - len(runs))
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    outcome = ", ".join(counts) if len(counts) == 1 else ", ".join(f"{n} {word}" for word, n in counts.items())
    problems = runs.dropna(subset="error")
    milestones = _milestones(sweep)
    others = dict.fromkeys(each.metric for each in sweep.claims if each.metric not in {*milestones, *ERRORS})
    return Arm(
        name=name,
        parameters=_count(runs["parameters"]),
        macs=_count(runs["macs"]),
        finished=len(completed),
        planned=len(seeds),
        errors={metric: _spread(completed, metric, 100) for metric in ERRORS},
        milestones={metric: _reached(completed, metric) for metric in milestones},
        measured={metric: _spread(completed, metric, 100 if is_fraction(metric) else 1) for metric in others},
        seconds=float(runs["seconds"].sum()),
        outcome=outcome,
        problems=tuple(f"seed {seed}: {line}" for seed, line in zip(problems["seed"], problems["error"], strict=True)),
    )


def _fate(run: Mapping[Any, Any]) -> str:
    return str(run["outcome"] if run["state"] == "finished" or run["outcome"] == "diverged" else run["state"])


def _count(column: pandas.Series) -> int | None:
    known = column.dropna()
    return int(known.iloc[0]) if len(known) else None


def _reached(runs: pandas.DataFrame, metric: str) -> str:
    there = [metric not in names for names in runs[UNREACHED].dropna()] if UNREACHED in runs else []
    if not all(there):
        return f"{sum(there)} of {len(there)} get there"
    seconds = runs[_time(metric)].median() if there else math.nan
    return _spread(runs, metric, 1) + ("" if math.isnan(seconds) else f" ({duration(seconds)})")


def _spread(runs: pandas.DataFrame, metric: str, unit: float) -> str:
    values = unit * runs[metric].dropna() if metric in runs else pandas.Series(dtype="float64")
    if values.empty:
        return NONE
    form = ".2f" if values.abs().max() >= 0.01 or not values.any() else ".1e"
    return f"{values.mean():{form}}" + (f" ± {values.std(ddof=1):{form}}" if len(values) > 1 else "")
