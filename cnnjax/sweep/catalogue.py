"""All experiments of a folder, and what became of each: the index of the claims."""

import dataclasses
import pathlib
import textwrap
from collections.abc import Iterator, Sequence

from rich.table import Table

from cnnjax import errors
from cnnjax.sweep import experiment, plan, store, words
from cnnjax.sweep.experiment import Claim, Experiment
from cnnjax.sweep.outcome import Outcome, current, summarise

NOT_RUN, UNJUDGED = "not run", "cannot be judged"
CONDITIONS = {
    "commit": "environment.commit",
    "jax": "environment.packages.jax",
    "flax": "environment.packages.flax",
    "seeds": "seed",
    "on": "environment.device",
    "machine:": "environment.machine",
    "cores a run:": "environment.cores",
}
"""Word → column of runs: what a reader of the index must know of them."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """An experiment at one scale.

    Attributes:
      experiment: what is asked.
      scale: its name.
      outcome: ``None`` if no run is there.
      conditions: versions, seeds and machines of its runs.
      problem: why what is there cannot be judged; empty otherwise.
    """

    experiment: Experiment
    scale: str
    outcome: Outcome | None = None
    conditions: str = ""
    problem: str = ""

    def rows(self) -> Iterator[tuple[Claim, str, str]]:
        """Every claim, what was measured, and the verdict."""
        if not self.outcome:
            verdict = UNJUDGED if self.problem else NOT_RUN
            yield from ((claim, self.problem, verdict) for claim in self.experiment.claims_at(self.scale))
            return
        for each in self.outcome.verdicts:
            numbers = (f"{words.numbers(each)}, n = {each.n}",) if each.n else ()
            yield each.claim, "; ".join((*numbers, *each.notes)), f"{words.SIGNS[each.verdict]} {each.verdict}"


def read(folder: pathlib.Path, runs: pathlib.Path) -> list[Entry]:
    """Every experiment of a folder at each of its scales, judged by the runs that are there.

    Raises:
      UserError: the folder has no experiments, or one's file cannot be read. Runs that cannot be hide no other's.
    """
    paths = sorted(folder.glob("*.py")) if folder.is_dir() else []
    if not paths:
        raise errors.UserError(f"{folder}: no experiment's file (*.py) is there")
    entries = []
    for path in paths:
        asked = experiment.load(path)
        for scale in asked.scales:
            try:
                entries.append(_entry(plan.last(asked, scale, runs)))
            except errors.UserError as error:
                entries.append(Entry(asked, scale, problem=str(error)))
    return entries


def _entry(sweep: plan.Sweep) -> Entry:
    if not any(sweep.folder.glob("*/seed-*/run.json")):
        return Entry(sweep.experiment, sweep.scale_name)
    runs = store.load(sweep.folder)
    runs = runs[runs["arm"].isin([arm.name for arm in sweep.arms])].reset_index(drop=True)
    if runs.empty:
        return Entry(sweep.experiment, sweep.scale_name)
    ran = runs[current(sweep, runs)]
    conditions = "; ".join(
        f"{word} {', '.join(dict.fromkeys(map(str, ran[column].dropna())))}"
        for word, column in CONDITIONS.items()
        if column in ran
    )
    return Entry(sweep.experiment, sweep.scale_name, summarise(sweep, runs), conditions)


def table(entries: Sequence[Entry]) -> Table:
    """For a terminal: a line an experiment and scale, with how many of its claims were judged how."""
    view = Table(title="experiments")
    for name in ("experiment", "scale", "question", "arms × seeds", "claims"):
        view.add_column(name, overflow="fold")
    for entry in entries:
        scale = entry.experiment.scales[entry.scale]
        verdicts = [verdict for _, _, verdict in entry.rows()]
        counts = ", ".join(f"{verdicts.count(each)} {each}" for each in dict.fromkeys(verdicts))
        size = f"{len(scale.arms)} × {len(scale.seeds)}"
        view.add_row(entry.experiment.name, entry.scale, entry.experiment.question, size, counts)
    return view


def markdown(entries: Sequence[Entry]) -> str:
    """The index as a page: every claim with the paper's number, ours, and the verdict."""
    lines = [
        "# Results",
        "",
        "Made by `cnnjax experiments --markdown` from the runs that were there. A small scale judges the direction of a claim,",
        "not the paper's numbers. An interval is that of a mean difference over n seeds, at its claim's level in Holm's",
        "procedure over the claims of its experiment (5 % for all together); of a claim that follows from a network's",
        "construction, from the least to the most of the seeds. Below the claims, of every arm: parameters, the MACs that the",
        "logits of one image take, errors and what else claims are about (mean ± standard deviation over the seeds), and where",
        "one is about how soon an error is reached, epochs until then and the median of the times. No verdict rests on times:",
        "they depend on what else the machine did.",
        "",
        *textwrap.wrap(f"{words.PROTOCOL} {words.LIMIT}", 120),
        "",
        "Sections are older than this page's form where they name no commit, or lack what claims are about among the arms.",
    ]
    for entry in entries:
        asked = entry.experiment
        lines += ["", f"## {asked.name}, {entry.scale}", "", asked.question, asked.scales[entry.scale].note, ""]
        if not entry.outcome:
            command = f"cnnjax run {asked.path.parent.name}/{asked.path.name} --scale {entry.scale}"
            lines += [f"{entry.problem or 'Not run'}: `{command}`, {len(asked.claims_at(entry.scale))} claims."]
            continue
        lines += [f"`{entry.outcome.command}` ({entry.conditions})", ""]
        lines += _head("claim", "metric", "the paper", "here", "verdict")
        for claim, measured, verdict in entry.rows():
            lines.append(_row(claim.text, f"`{claim.metric}`", claim.paper, measured, verdict))
        arms = entry.outcome.arms
        lines += ["", *_head("arm", *arms[0].figures)]
        lines += [_row(arm.name, *arm.figures.values()) for arm in arms]
    return "\n".join(lines) + "\n"


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "|" + "---|" * len(cells)]


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
