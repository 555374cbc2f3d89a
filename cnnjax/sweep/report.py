"""The report of an experiment at one scale: a page that needs nothing else, and a summary for the terminal."""

import base64
import dataclasses
import html
import io
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas
from matplotlib.figure import Figure
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cnnjax.sweep import plots, store
from cnnjax.sweep.experiment import Experiment, Scale
from cnnjax.sweep.verdict import CONTRADICTED, INCONCLUSIVE, REPRODUCED, Verdict, judge

_ERRORS = ("train/error", "test/error")
_SIGNS = {REPRODUCED: "✓", CONTRADICTED: "✗", INCONCLUSIVE: "?"}
_RICH = {REPRODUCED: "green", CONTRADICTED: "red", INCONCLUSIVE: "yellow"}
_DIRECTION = (
    "The paper’s own numbers are quoted, they were not run here. A verdict compares the arms of this scale with one "
    "another: it judges the direction of an effect against the stated margin, not the size that the paper reports."
)


@dataclasses.dataclass(frozen=True)
class Arm:
    """What became of the runs of an arm.

    Attributes:
      name: of the arm.
      parameters: of its model; None if no run tells.
      finished: seeds that completed.
      planned: seeds of the scale, and any others that were run.
      errors: metric → "mean ± sd" over the completed seeds, in per cent, or "—".
      seconds: wall time of all its runs together.
      outcome: "completed", or what else happened and how often.
      problems: the error lines of its runs, each with its seed.
    """

    name: str
    parameters: int | None
    finished: int
    planned: int
    errors: Mapping[str, str]
    seconds: float
    outcome: str
    problems: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    """An experiment judged at one scale.

    Attributes:
      experiment: the question.
      scale_name: the scale.
      verdicts: one a claim.
      arms: one an arm of the scale, in its order.
      path: of the page; None if none was written.
    """

    experiment: Experiment
    scale_name: str
    verdicts: tuple[Verdict, ...]
    arms: tuple[Arm, ...]
    path: pathlib.Path | None = None

    @property
    def scale(self) -> Scale:
        """What the scale asked for."""
        return self.experiment.scales[self.scale_name]


def write(experiment: Experiment, scale_name: str, directory: str | pathlib.Path) -> Report:
    """Judges the runs of a scale and writes ``report.html`` and ``plots/*.png`` beside them, each file atomically.

    Args:
      experiment: what was asked.
      scale_name: one of its scales, or "" for the default one.
      directory: the folder of the scale's runs, ``runs/<experiment>/<scale>``.

    Raises:
      UserError: there is no such scale or no run, or as `verdict.judge`.
    """
    directory = pathlib.Path(directory)
    scale_name, scale = experiment.scale(scale_name)
    runs, curves = store.load(directory), store.load_curves(directory)
    runs, curves = (frame[frame["arm"].isin(scale.arms)].reset_index(drop=True) for frame in (runs, curves))
    report = dataclasses.replace(summarise(experiment, scale_name, runs), path=directory / "report.html")
    images = {name: _png(figure) for name, figure in _figures(report, runs, curves).items()}
    for name, image in images.items():
        _replace(directory / "plots" / f"{name}.png", image)
    _replace(directory / "report.html", _page(report, runs, images).encode())
    return report


def summarise(experiment: Experiment, scale_name: str, runs: pandas.DataFrame) -> Report:
    """The verdicts and the arms, without writing anything.

    Args:
      experiment: what was asked.
      scale_name: one of its scales, or "" for the default one.
      runs: of that scale, as `store.load` returns them.
    """
    scale_name, scale = experiment.scale(scale_name)
    seeds = sorted({*scale.seeds, *map(int, runs["seed"])})
    verdicts = judge(experiment.claims, scale.roles, runs, seeds)
    arms = tuple(_arm(name, runs[runs["arm"] == name], seeds) for name in scale.arms)
    return Report(experiment, scale_name, tuple(verdicts), arms)


def render(report: Report) -> list[RenderableType]:
    """The table of arms and the verdicts for the terminal; readable at 80 columns and without colour."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("arm", "params", "seeds", "train error %", "test error %", "time", "outcome"):
        number = heading not in ("arm", "outcome")
        table.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for arm in report.arms:
        cells = [arm.name, _short(arm.parameters), f"{arm.finished}/{arm.planned}"]
        cells += [*arm.errors.values(), _duration(arm.seconds), arm.outcome]
        table.add_row(*map(Text, cells))
    lines = Table.grid(padding=(0, 2, 0, 0))
    for each in report.verdicts:
        style = _RICH[each.verdict]
        body = Text.assemble(each.claim.text, (f"\n{_evidence(each)}", style), *((f"\n{n}", "dim") for n in each.notes))
        lines.add_row(Text(f"{_SIGNS[each.verdict]} {each.verdict}", style=f"bold {style}", no_wrap=True), body)
    parts: list[RenderableType] = [
        Text(f"{report.experiment.name} · {report.scale_name}: {report.experiment.question}", style="bold"),
        Padding(table, (1, 0)),
        lines,
    ]
    if report.path:
        parts.append(Padding(Text(f"report: {report.path}", overflow="fold"), (1, 0, 0, 0)))
    return parts


def print_summary(console: Console, report: Report) -> None:
    """Prints `render`."""
    for part in render(report):
        console.print(part)


def _arm(name: str, runs: pandas.DataFrame, seeds: Sequence[int]) -> Arm:
    completed = runs[(runs["state"] == "finished") & (runs["outcome"] == "completed")]
    words = [_fate(run) for run in runs.to_dict("records")]
    words += ["not run"] * (len(seeds) - len(runs))
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    outcome = ", ".join(counts) if len(counts) == 1 else ", ".join(f"{n} {word}" for word, n in counts.items())
    problems = runs.dropna(subset="error")
    parameters = runs["parameters"].dropna()
    return Arm(
        name=name,
        parameters=int(parameters.iloc[0]) if len(parameters) else None,
        finished=len(completed),
        planned=len(seeds),
        errors={metric: _spread(completed, metric) for metric in _ERRORS},
        seconds=float(runs["seconds"].sum()),
        outcome=outcome,
        problems=tuple(f"seed {seed}: {line}" for seed, line in zip(problems["seed"], problems["error"], strict=True)),
    )


def _fate(run: Mapping[Any, Any]) -> str:
    return str(run["outcome"] if run["state"] == "finished" or run["outcome"] == "diverged" else run["state"])


def _spread(runs: pandas.DataFrame, metric: str) -> str:
    values = 100 * runs[metric].dropna() if metric in runs else pandas.Series(dtype="float64")
    if values.empty:
        return "—"
    return f"{values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")


def _short(count: int | None) -> str:
    if count is None:
        return "—"
    return f"{count / 1e6:.2f}M" if count >= 1e6 else f"{count / 1e3:.1f}k" if count >= 1e3 else str(count)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s" if minutes else f"{seconds:.1f}s"


def _formula(verdict: Verdict, roles: Mapping[str, str]) -> str:
    """``train/error: plain56 − plain20 > 0 pp``, in terms of arms."""
    claim, text = verdict.claim, ""
    for role, factor in claim.contrast.items():
        sign = ("−" if factor < 0 else "+") if text else ("−" if factor < 0 else "")
        times = "" if abs(factor) == 1 else f"{abs(factor):g}·"
        text += f" {sign} {times}{roles[role]}" if text else f"{sign}{times}{roles[role]}"
    return f"{claim.metric}: {text} > {_margin(verdict)}"


def _margin(verdict: Verdict) -> str:
    fraction = plots.is_fraction(verdict.claim.metric)
    return f"{(100 if fraction else 1) * verdict.claim.above:g}".replace("-", "−") + (" pp" if fraction else "")


def _evidence(verdict: Verdict) -> str:
    """Mean, interval, margin, n and p in one clause."""
    text = f"{plots.numbers(verdict)} vs {_margin(verdict)}, n = {verdict.n}"
    return text + ("" if pandas.isna(verdict.p_adjusted) else f", Holm p {_probability(verdict.p_adjusted)}")


def _probability(p: float) -> str:
    return "—" if pandas.isna(p) else "< 0.0001" if 0 < p < 1e-4 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def _figures(report: Report, runs: pandas.DataFrame, curves: pandas.DataFrame) -> dict[str, Figure]:
    """Those that there is something to show in."""
    figures: dict[str, Figure] = {}
    order = [arm.name for arm in report.arms if (runs["arm"] == arm.name).any()]
    if report.verdicts:
        figures["claims"] = plots.contrasts(report.verdicts)
    if curves["metric"].isin(_ERRORS).any():
        figures["learning_curves"] = plots.learning_curves(curves, plots.panels(order))
    for metric in _ERRORS:
        if metric in runs and runs.loc[runs["outcome"] == "completed", metric].notna().any():
            figures[f"final_{metric.replace('/', '_')}"] = plots.final_errors(runs, metric, plots.panels(order))
    return figures


_CAPTIONS = {
    "claims": "The claims: seeds, mean and interval of each contrast against its margin. It holds on the tinted side.",
    "learning_curves": "Learning curves: mean over seeds; bands reach from the lowest to the highest seed.",
    "final_train_error": "Train error at the end: evaluation mode, not augmented, the whole training set.",
    "final_test_error": "Test error at the end.",
}


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    return buffer.getvalue()


def _replace(path: pathlib.Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


_CSS = """
:root { color-scheme: light; }
body { max-width: 62rem; margin: 0 auto; padding: 1rem 1rem 4rem; background: #fff; color: #22262b;
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; border-bottom: 1px solid #d9dde2; padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 0; }
.quiet { color: #5f6670; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e4e7eb; }
thead th { border-bottom: 2px solid #9aa0a8; }
td.number, th.number { text-align: right; white-space: nowrap; }
.claim { border: 1px solid #d9dde2; border-left: .4rem solid; border-radius: .3rem; padding: .7rem 1rem;
  margin: .8rem 0; }
.claim dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0 0;
  font-size: .9rem; }
.claim dt { color: #5f6670; }
.claim dd { margin: 0; overflow-wrap: anywhere; }
.badge { display: inline-block; color: #fff; border-radius: .25rem; padding: 0 .5rem; font-size: .85rem;
  font-weight: 600; }
figure { margin: 1rem 0 2rem; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #5f6670; font-size: .9rem; }
code, pre { font: .88em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: #f3f5f7; padding: .7rem 1rem; border-radius: .3rem; white-space: pre-wrap; }
.error { color: #9a3412; overflow-wrap: anywhere; }
@media (max-width: 36rem) { .claim dl { grid-template-columns: 1fr; } .claim dd { margin-bottom: .4rem; } }
"""


def _page(report: Report, runs: pandas.DataFrame, images: Mapping[str, bytes]) -> str:
    experiment, scale = report.experiment, report.scale
    common, differing = _settings(runs, list(scale.arms))
    title = f"{experiment.name} · {report.scale_name}"
    counts = {word: sum(each.verdict == word for each in report.verdicts) for word in _SIGNS}
    body = [
        f'<header><p class="quiet">{_e(title)}</p><h1>{_e(experiment.question)}</h1>',
        f"<p>Source: {_e(experiment.source)}</p>",
        f"<p>Scale: <strong>{_e(report.scale_name)}</strong>. {_e(scale.note)}</p></header>",
        f"<section><h2>Verdicts: {', '.join(f'{n} {word}' for word, n in counts.items() if n)}</h2>",
        f'<p class="quiet">{_e(_DIRECTION)}</p>',
        *(_claim(each, scale.roles) for each in report.verdicts),
        '<p class="quiet">Contrasts are taken seed by seed; intervals are Student’s, each at its own level of Holm’s '
        f"procedure over the {len(report.verdicts)} claims (family level 0.05), so that a claim is reproduced exactly "
        "if its interval lies above the margin and contradicted if below. p is two-sided, adjusted by the same.</p>",
        "</section><section><h2>Plots</h2>",
        *(_figure(name, image) for name, image in images.items()),
        "</section><section><h2>Arms</h2>",
        _arms(report.arms),
        "</section><section><h2>Settings that differ between arms</h2>",
        _table(["setting", *scale.arms], [[name, *values] for name, values in differing]) if differing else _none(),
        f"<h2>Settings that all arms share</h2><details><summary>{len(common)} settings</summary>",
        _table(["setting", "value"], common),
        "</details></section><section><h2>Versions</h2>",
        _table(["what", "value"], _environment(runs)),
        "</section><section><h2>Reproduce</h2>",
        "<p>In a clone at the commit above, installed as its README says:</p>",
        f"<pre><code>{_e(command(experiment, report.scale_name))}</code></pre></section>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_e(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def command(experiment: Experiment, scale_name: str) -> str:
    """What to type, from the root of a clone, to run a scale. No folder of this machine is in it."""
    return f"cnnjax run {experiment.path.parent.name}/{experiment.path.name} --scale {scale_name}"


def _e(text: Any) -> str:
    return html.escape(str(text))


def _none() -> str:
    return '<p class="quiet">None.</p>'


def _claim(each: Verdict, roles: Mapping[str, str]) -> str:
    colour = plots.VERDICT_COLOURS[each.verdict]
    interval = "Mean" if pandas.isna(each.low) else f"Mean [{100 * each.confidence:.4g} % interval]"
    facts = [
        ("Contrast", _formula(each, roles)),
        (interval, plots.numbers(each)),
        ("Margin", _margin(each)),
        ("Seeds", f"n = {each.n}" + (f" ({', '.join(map(str, each.seeds))})" if each.n else "")),
        ("p, adjusted (alone)", f"{_probability(each.p_adjusted)} ({_probability(each.p)})"),
        ("The paper (not run here)", each.claim.paper or "no number is quoted"),
        *(("Note", note) for note in each.notes),
    ]
    entries = "".join(f"<dt>{_e(name)}</dt><dd>{_e(value)}</dd>" for name, value in facts)
    return (
        f'<article class="claim" style="border-left-color: {colour}">'
        f'<p style="margin: 0"><span class="badge" style="background: {colour}">'
        f"{_SIGNS[each.verdict]} {each.verdict}</span></p><h3>{_e(each.claim.text)}</h3><dl>{entries}</dl></article>"
    )


def _figure(name: str, image: bytes) -> str:
    caption = _e(_CAPTIONS[name])
    data = base64.b64encode(image).decode()
    width = int.from_bytes(image[16:20], "big") // 2  # of the PNG: two pixels a CSS pixel, for sharp screens
    picture = f'<img style="width: {width}px" alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _arms(arms: Iterable[Arm]) -> str:
    headings = ["arm", "parameters", "seeds", *(f"{metric.replace('/', ' ')}, %" for metric in _ERRORS), "wall time"]
    rows = []
    for arm in arms:
        cells = [
            f'<td class="number">{_e(cell)}</td>'
            for cell in (
                "—" if arm.parameters is None else f"{arm.parameters:,}",
                f"{arm.finished}/{arm.planned}",
                *arm.errors.values(),
                _duration(arm.seconds),
            )
        ]
        problems = "".join(f'<br><code class="error">{_e(line)}</code>' for line in arm.problems)
        rows.append(f'<tr><th scope="row">{_e(arm.name)}</th>{"".join(cells)}<td>{_e(arm.outcome)}{problems}</td></tr>')
    head = "".join(f'<th scope="col"{" class=number" * (i > 0)}>{_e(name)}</th>' for i, name in enumerate(headings))
    return (
        f'<div class="scroll"><table><thead><tr>{head}<th scope="col">outcome</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="quiet">Errors: mean ± standard deviation over the seeds that completed. Wall time: all seeds.</p>'
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_e(heading)}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row"><code>{_e(row[0])}</code></th>{"".join(f"<td>{_e(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _settings(runs: pandas.DataFrame, arms: Sequence[str]) -> tuple[list[tuple[str, str]], list[tuple[str, list[str]]]]:
    """Settings of all arms together, and those that tell arms apart. What follows the seed is no difference of arms."""
    runs = runs[runs["state"] != "unreadable"]
    common, differing = [], []
    for column in (name for name in runs.columns if name.startswith("config.")):
        name = column.removeprefix("config.")
        values = [_values(runs.loc[runs["arm"] == arm, column]) for arm in arms if (runs["arm"] == arm).any()]
        if name.rsplit(".", 1)[-1] == "seed":
            common.append((name, ", ".join(_values(runs[column])) + " (one a run)"))
        elif all(each == values[0] for each in values) and len(values[0]) == 1:
            common.append((name, values[0][0]))
        else:
            differing.append((name, [", ".join(_values(runs.loc[runs["arm"] == arm, column])) or "—" for arm in arms]))
    return common, differing


def _values(column: pandas.Series) -> list[str]:
    """Every value once, in the order of its first appearance. A setting that a run lacks is a dash."""
    return list(dict.fromkeys("—" if value is None or value != value else str(value) for value in column))


def _environment(runs: pandas.DataFrame) -> list[tuple[str, str]]:
    """Every version; all of them where runs differ."""
    columns = [name for name in runs.columns if name.startswith("environment.")]
    readable = runs[runs["state"] != "unreadable"]
    rows = [(name.removeprefix("environment."), _values(readable[name])) for name in columns]
    return [(name, " / ".join(values) + (" (the runs differ)" if len(values) > 1 else "")) for name, values in rows]
