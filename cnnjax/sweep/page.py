"""An experiment's outcome as a page that needs nothing else."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas

from cnnjax.sweep import plots
from cnnjax.sweep.outcome import Arm, Outcome
from cnnjax.sweep.record import UNREADABLE
from cnnjax.sweep.verdict import Verdict
from cnnjax.sweep.words import LIMIT, NONE, PROTOCOL, SIGNS, duration, margin, numbers, probability

_DIRECTION = (
    "The paper’s own numbers are quoted, they were not run here. A verdict compares the arms of this scale with one "
    f"another: it judges the direction of an effect against the stated margin, not the size that the paper reports. {LIMIT}"
)


_CAPTIONS = {
    "claims": "The claims: seeds, mean and interval of each contrast against its margin. It holds on the tinted side.",
    "learning_curves": "Learning curves: mean over seeds; bands reach from the lowest to the highest seed.",
    "final_train_error": "Train error at the end: evaluation mode, not augmented, the whole training set.",
    "final_test_error": "Test error at the end: evaluation mode, the whole test set.",
}


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


def make(outcome: Outcome, runs: pandas.DataFrame, images: Mapping[str, bytes]) -> str:
    """The page's HTML.

    Args:
      outcome: what to show.
      runs: those that were judged.
      images: plots as PNG, by name.
    """
    experiment, scale = outcome.experiment, outcome.scale
    common, differing = _settings(runs, list(scale.arms))
    title = f"{experiment.name} · {outcome.scale_name}"
    counts = {word: sum(each.verdict == word for each in outcome.verdicts) for word in SIGNS}
    body = [
        f'<header><p class="quiet">{_e(title)}</p><h1>{_e(experiment.question)}</h1>',
        f"<p>Source: {_e(experiment.source)}</p>",
        f"<p>Scale: <strong>{_e(outcome.scale_name)}</strong>. {_e(scale.note)}</p></header>",
        f"<section><h2>Verdicts: {', '.join(f'{n} {word}' for word, n in counts.items() if n)}</h2>",
        f'<p class="quiet">{_e(_DIRECTION)}</p>',
        *(_claim(each, scale.roles) for each in outcome.verdicts),
        '<p class="quiet">Contrasts are taken seed by seed; intervals are Student’s, each at its own level of Holm’s '
        f"procedure over the {len(outcome.verdicts)} claims (family level 0.05), so that a claim is reproduced exactly "
        "if its interval lies above the margin and contradicted if below. p is two-sided, adjusted by the same.</p>",
        "</section><section><h2>Plots</h2>",
        *(_figure(name, image) for name, image in images.items()),
        "</section><section><h2>Arms</h2>",
        _arms(outcome.arms),
        *_list("Notes", outcome.notes),
        *_list("Not counted: runs with other settings", outcome.others),
        "</section><section><h2>Settings that differ between arms</h2>",
        _table(["setting", *scale.arms], [[name, *values] for name, values in differing]) if differing else _none(),
        f"<h2>Settings that all arms share</h2><details><summary>{len(common)} settings</summary>",
        _table(["setting", "value"], common),
        "</details></section><section><h2>Versions</h2>",
        _table(["what", "value"], _environment(runs)),
        "</section><section><h2>Reproduce</h2>",
        "<p>In a clone at the commit above, installed as its README says:</p>",
        f"<pre><code>{_e(outcome.command)}</code></pre></section>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_e(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _e(text: Any) -> str:
    return html.escape(str(text))


def _none() -> str:
    return '<p class="quiet">None.</p>'


def _list(heading: str, lines: Sequence[str]) -> list[str]:
    """A section, if there is anything in it."""
    items = "".join(f"<li>{_e(line)}</li>" for line in lines)
    return [f"</section><section><h2>{_e(heading)}</h2>", f"<ul>{items}</ul>"] if lines else []


def _claim(each: Verdict, roles: Mapping[str, str]) -> str:
    colour = plots.VERDICT_COLOURS[each.verdict]
    bounds = "least, most" if each.claim.exact else f"{100 * each.confidence:.4g} % interval"
    interval = "Mean" if pandas.isna(each.low) else f"Mean [{bounds}]"
    facts = [
        ("Contrast", _formula(each, roles)),
        (interval, numbers(each)),
        ("Margin", margin(each)),
        ("Seeds", f"n = {each.n}" + (f" ({', '.join(map(str, each.seeds))})" if each.n else "")),
        ("p, adjusted (alone)", f"{probability(each.p_adjusted)} ({probability(each.p)}), level {each.level:.2g}"),
        ("The paper (not run here)", each.claim.paper or "no number is quoted"),
        *(("Note", note) for note in each.notes),
    ]
    entries = "".join(f"<dt>{_e(name)}</dt><dd>{_e(value)}</dd>" for name, value in facts)
    return (
        f'<article class="claim" style="border-left-color: {colour}">'
        f'<p style="margin: 0"><span class="badge" style="background: {colour}">'
        f"{SIGNS[each.verdict]} {each.verdict}</span></p><h3>{_e(each.claim.text)}</h3><dl>{entries}</dl></article>"
    )


def _formula(verdict: Verdict, roles: Mapping[str, str]) -> str:
    """``train/error: plain56 − plain20 > 0 pp``, in terms of arms."""
    claim, text = verdict.claim, ""
    for role, factor in claim.contrast.items():
        sign = ("−" if factor < 0 else "+") if text else ("−" if factor < 0 else "")
        times = "" if abs(factor) == 1 else f"{abs(factor):g}·"
        text += f" {sign} {times}{roles[role]}" if text else f"{sign}{times}{roles[role]}"
    return f"{claim.metric}: {text} > {margin(verdict)}"


def _figure(name: str, image: bytes) -> str:
    caption = _e(_CAPTIONS[name])
    data = base64.b64encode(image).decode()
    width = int.from_bytes(image[16:20], "big") // 2  # of the PNG: two pixels a CSS pixel, for sharp screens
    picture = f'<img style="width: {width}px" alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _arms(arms: Sequence[Arm]) -> str:
    headings = ["arm", "seeds", *arms[0].figures, "training time"]
    rows = []
    for arm in arms:
        cells = [
            f'<td class="number">{_e(cell)}</td>'
            for cell in (f"{arm.finished}/{arm.planned}", *arm.figures.values(), duration(arm.seconds))
        ]
        problems = "".join(f'<br><code class="error">{_e(line)}</code>' for line in arm.problems)
        rows.append(f'<tr><th scope="row">{_e(arm.name)}</th>{"".join(cells)}<td>{_e(arm.outcome)}{problems}</td></tr>')
    head = "".join(f'<th scope="col"{" class=number" * (i > 0)}>{_e(name)}</th>' for i, name in enumerate(headings))
    return (
        f'<div class="scroll"><table><thead><tr>{head}<th scope="col">outcome</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="quiet">MACs: multiply-accumulates that the logits of one image take. Errors, epochs to one, and what else '
        "claims are about: mean ± standard deviation over the seeds that completed. "
        f"{PROTOCOL} Times: inside the training loop, without starting up; the median over seeds to an error, the sum over "
        "seeds of all training. They depend on what else the machine did.</p>"
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
    runs = runs[runs["state"] != UNREADABLE]
    common, differing = [], []
    for column in (name for name in runs.columns if name.startswith("config.")):
        name = column.removeprefix("config.")
        values = [_values(runs.loc[runs["arm"] == arm, column]) for arm in arms if (runs["arm"] == arm).any()]
        if name.rsplit(".", 1)[-1] == "seed":
            common.append((name, ", ".join(_values(runs[column])) + " (one a run)"))
        elif all(each == values[0] for each in values) and len(values[0]) == 1:
            common.append((name, values[0][0]))
        else:
            differing.append((name, [", ".join(_values(runs.loc[runs["arm"] == arm, column])) or NONE for arm in arms]))
    return common, differing


def _values(column: pandas.Series) -> list[str]:
    """Every value once, in the order of its first appearance. A setting that a run lacks is a dash."""
    return list(dict.fromkeys(NONE if value is None or value != value else str(value) for value in column))


def _environment(runs: pandas.DataFrame) -> list[tuple[str, str]]:
    """Every version; all of them where runs differ."""
    columns = [name for name in runs.columns if name.startswith("environment.")]
    readable = runs[runs["state"] != UNREADABLE]
    rows = [(name.removeprefix("environment."), _values(readable[name])) for name in columns]
    return [(name, " / ".join(values) + (" (the runs differ)" if len(values) > 1 else "")) for name, values in rows]
