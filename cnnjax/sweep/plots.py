"""Figures of an experiment: how its arms learned, where they ended, what became of its claims.

Every function returns a `matplotlib.figure.Figure` of its own; pyplot and its global state are not used. Colours can be
told apart by readers with any colour vision (Okabe and Ito's set; plasma, whose lightness is monotone), and no meaning
hangs on colour alone: dashes, markers and labels repeat it.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas
from matplotlib import patheffects, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cnnjax.sweep import statistics, store
from cnnjax.sweep.verdict import CONTRADICTED, INCONCLUSIVE, REPRODUCED, Verdict
from cnnjax.sweep.words import is_fraction, numbers

Arms = Sequence[str] | Mapping[str, Sequence[str]]

VERDICT_COLOURS = {REPRODUCED: "#00725a", CONTRADICTED: "#b8410b", INCONCLUSIVE: "#5f6670"}
_VERDICT_MARKERS = {REPRODUCED: "o", CONTRADICTED: "X", INCONCLUSIVE: "D"}
_OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = "osD^vP*"
_INK, _GREY = "#22262b", "#737a83"
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#9aa0a8",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.7,
    "xtick.color": "#9aa0a8",
    "ytick.color": "#9aa0a8",
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "savefig.dpi": 200,
}
_HALO = [patheffects.withStroke(linewidth=2.5, foreground="white")]


def panels(arms: Arms) -> dict[str, list[str]]:
    """Arms by what stands before the last number of their name; one panel if that would leave every arm alone.

    >>> panels(["plain-20", "plain-56", "resnet-20"])
    {'plain': ['plain-20', 'plain-56'], 'resnet': ['resnet-20']}
    """
    if isinstance(arms, Mapping):
        return {title: list(members) for title, members in arms.items()}
    groups: dict[str, list[str]] = {}
    for arm in arms:
        groups.setdefault(_split(arm)[0], []).append(arm)
    if all(len(members) == 1 for members in groups.values()):
        return {"": list(arms)}
    return groups


def learning_curves(
    curves: pandas.DataFrame,
    arms: Arms | None = None,
    metrics: Sequence[str] = ("train/error", "test/error"),
    styles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Figure:
    """Metrics over training: one panel a group, one colour a depth, in the manner of He et al. 2015, Fig. 6.

    Lines are means over seeds, bands reach from the lowest to the highest seed. Metrics of training are thin and
    dashed. The axis is cut above what the curves reach after the first third of training. A cross marks a seed that
    ended early; from there on the mean is that of the others.

    Args:
      curves: of one scale, as `store.load_curves` returns them.
      arms: which arms, or panel title → arms; without it all arms, grouped as by `panels`.
      metrics: in one unit. Where no row has one of them it is left out.
      styles: arm → properties of its lines, over the defaults.
    """
    groups = panels(list(dict.fromkeys(curves["arm"])) if arms is None else arms)
    colours = _colours(groups)
    curves = curves[
        curves["metric"].isin(metrics) & curves["arm"].isin([arm for each in groups.values() for arm in each])
    ]
    metrics = [metric for metric in metrics if (curves["metric"] == metric).any()]
    x = "step" if curves["epoch"].isna().any() else "epoch"
    unit = 100 if all(map(is_fraction, metrics)) else 1
    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(1.2 + (3.5 if columns > 1 else 5.5) * columns, 0.5 + 3.3 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        labels = []
        for axes, (title, members) in zip(grid.flat, groups.items(), strict=False):
            axes.set_title(title, parse_math=False)
            ends = []
            for arm in members:
                for metric in metrics:
                    style = _line(metric) | {"color": colours[arm]} | dict((styles or {}).get(arm, {}))
                    chosen = curves[(curves["arm"] == arm) & (curves["metric"] == metric)]
                    end = _curve(axes, chosen, x, unit, style)
                if end is not None:
                    ends.append((end, arm, style["color"]))
            labels.append((axes, ends))
        for axes in grid.flat[len(groups) :]:
            axes.set_axis_off()
        for axes in grid[:, 0]:
            axes.set_ylabel(_axis_name(metrics))
        for i, axes in enumerate(grid.flat[: len(groups)]):
            if i + columns >= len(groups):
                axes.set_xlabel(x)
                axes.tick_params(labelbottom=True)
        first = grid[0, 0]
        first.set_ylim(0, _ceiling(curves, x) * unit)
        first.set_xlim(0, curves[x].max() if len(curves) else 1)
        if unit == 100:
            first.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g %%"))
        early = any(line.get_marker() == "x" for axes in grid.flat for line in axes.lines)
        figure.legend(
            handles=_curve_legend(curves, metrics, early), loc="outside upper right", ncols=len(metrics) + 2,
            handlelength=2.2, columnspacing=1.6,
        )  # fmt: skip
        for axes, ends in labels:
            _direct_labels(axes, ends)
    return figure


def final_errors(rows: pandas.DataFrame, metric: str = "test/error", arms: Arms | None = None) -> Figure:
    """Where the arms ended: a point a seed, and the mean with its 95 % t interval (of one arm alone, no family).

    Groups as by `panels`; where they share depths, each is a line over depth. What is drawn of an arm of which seeds
    diverged is a selection by the outcome, so the number of those is written over it.

    Args:
      rows: of one scale, as `store.load` returns them. Runs that did not complete have no point.
      metric: a column of the summary.
      arms: which arms and in what groups; without it all arms.
    """
    groups = panels(list(dict.fromkeys(rows["arm"])) if arms is None else arms)
    keys = _keys(groups)
    unit = 100 if is_fraction(metric) else 1
    ticks = sorted({keys[arm] for members in groups.values() for arm in members}, key=store.natural)
    if len(groups) == 1:
        ticks = [keys[arm] for members in groups.values() for arm in members]
    completed = rows[rows["outcome"] == "completed"]
    diverged = rows.loc[rows["outcome"] == "diverged", "arm"].value_counts()
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(max(4.6, 1.8 + 0.95 * len(ticks)), 3.6), layout="constrained")
        axes = figure.subplots()
        for g, (title, members) in enumerate(groups.items()):
            colour, marker = _OKABE_ITO[g % len(_OKABE_ITO)], _MARKERS[g % len(_MARKERS)]
            shift = 0.12 * (g - (len(groups) - 1) / 2)
            means = []
            for arm in members:
                place = ticks.index(keys[arm]) + shift
                values = unit * completed.loc[completed["arm"] == arm, metric].dropna().to_numpy()
                if arm in diverged:
                    axes.annotate(
                        f"{diverged[arm]} diverged", (place, 1), xycoords=("data", "axes fraction"), xytext=(0, -2),
                        textcoords="offset points", ha="center", va="top", fontsize=8, color=colour, path_effects=_HALO,
                    )  # fmt: skip
                if not values.size:
                    continue
                of = statistics.sample(values)
                low, high = statistics.interval(of, 0.95)
                beside = place + (-0.09 if shift < 0 else 0.09)
                axes.plot(np.full(values.size, beside), values, ".", color=colour, alpha=0.55, markersize=6, mew=0)
                if of.n > 1:
                    axes.errorbar(place, of.mean, [[of.mean - low], [high - of.mean]], color=colour, capsize=3, lw=1.3)
                means.append((place, of.mean))
            joined = "-" if len(groups) > 1 or all(_is_number(key) for key in ticks) else ""
            if means:
                axes.plot(
                    *zip(*means, strict=True), marker + joined, color=colour, label=title or None,
                    markersize=6, lw=1.6, markeredgecolor="white",
                )  # fmt: skip
        turned = max(map(len, ticks)) > 9
        axes.set_xticks(range(len(ticks)), ticks, rotation=30 if turned else 0, ha="right" if turned else "center")
        axes.set_xlim(-0.5, len(ticks) - 0.5)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("depth" if all(map(_is_number, ticks)) else "")
        axes.set_ylabel(metric.replace("/", " "))
        if unit == 100:
            axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g %%"))
        low, high = axes.get_ylim()
        if (completed[metric] >= 0).all():
            axes.set_ylim(bottom=max(low, -0.03 * high))  # half a marker below 0, not an interval's worth
        if len(diverged):
            axes.set_ylim(top=high + 0.07 * (high - low))  # room for saying so
        axes.set_title("mean, 95 % t interval, and every seed", fontsize=8.5, fontweight="normal", color=_GREY)
        if len(groups) > 1:
            axes.legend(loc="best")
    return figure


def contrasts(verdicts: Sequence[Verdict]) -> Figure:
    """A forest plot: for each claim its seeds, mean and interval against its margin, in the colour of the verdict.

    The tinted side of the margin is where the claim holds. Claims in per cent and in other units have axes apart.
    """
    parts = [
        [each for each in verdicts if is_fraction(each.claim.metric)],
        [each for each in verdicts if not is_fraction(each.claim.metric)],
    ]
    parts = [part for part in parts if part]
    heights = [0.62 * len(part) + 0.55 for part in parts]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9, sum(heights) + 0.45), layout="constrained")
        grid = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, part in zip(grid, parts, strict=True):
            _forest(axes, part, 100 if is_fraction(part[0].claim.metric) else 1)
        marks = [
            Line2D([], [], color=VERDICT_COLOURS[name], marker=_VERDICT_MARKERS[name], lw=1.6, label=name)
            for name in (REPRODUCED, CONTRADICTED, INCONCLUSIVE)
        ]
        marks.append(Line2D([], [], color=_INK, marker="|", markersize=11, mew=1.4, ls="", label="margin"))
        figure.legend(handles=marks, loc="outside upper right", ncols=4, columnspacing=1.6)
    return figure


def _forest(axes: Axes, verdicts: Sequence[Verdict], unit: float) -> None:
    places = range(len(verdicts))
    left, right = _reach(verdicts, unit)
    axes.set(xlim=(left, right), ylim=(len(verdicts) - 0.5, -0.5))
    for place, each in zip(places, verdicts, strict=True):
        colour, margin = VERDICT_COLOURS[each.verdict], unit * each.claim.above
        axes.fill_betweenx([place - 0.36, place + 0.36], margin, right, color="#eef3f8", lw=0, zorder=0.5)
        axes.plot([margin] * 2, [place - 0.36, place + 0.36], color=_INK, lw=1.4)
        values = unit * np.asarray(each.values)
        axes.plot(values, np.full(values.size, place + 0.22), ".", color=colour, alpha=0.5, markersize=4.5, mew=0)
        low, high = unit * each.low, unit * each.high
        axes.plot([low, high], [place] * 2, color=colour, lw=2, solid_capstyle="butt")
        for end, marker, beyond in ((left, "<", low < left), (right, ">", high > right)):
            if beyond:
                axes.plot(end, place, marker, color=colour, markersize=6, clip_on=False)
        axes.plot(unit * each.mean, place, _VERDICT_MARKERS[each.verdict], color=colour, markersize=7, mec="white")
        axes.annotate(
            numbers(each, plain=True), (1, place), xycoords=("axes fraction", "data"), xytext=(8, 0),
            textcoords="offset points", va="center", color=colour, fontsize=8.5,
        )  # fmt: skip
    texts = ["\n".join(textwrap.wrap(each.claim.text, 44, max_lines=3, placeholder=" …")) for each in verdicts]
    axes.set_yticks(list(places), texts)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(7))
    axes.set_xlabel("contrast, percentage points" if unit == 100 else "contrast")
    axes.annotate(
        "mean [interval]", (1, 1), xycoords="axes fraction", xytext=(8, 2), textcoords="offset points", color=_GREY,
        fontsize=8.5,
    )  # fmt: skip


def _reach(verdicts: Sequence[Verdict], unit: float) -> tuple[float, float]:
    """The ends of the axis. An interval far wider than the data (two seeds have such) is cut, and ends in an arrow."""
    data = unit * np.array([value for each in verdicts for value in (*each.values, each.claim.above)])
    span = float(np.ptp(data)) or 1.0
    ends = unit * np.array([end for each in verdicts for end in (each.low, each.high) if np.isfinite(end)])
    low, high = min([data.min(), *ends]), max([data.max(), *ends])
    return max(low, data.min() - span) - 0.06 * span, min(high, data.max() + span) + 0.06 * span


def _split(arm: str) -> tuple[str, str]:
    """What stands before the last number, and the rest. A name without a number is all prefix."""
    match = re.fullmatch(r"(.*?)(\d+(?:\.\d+)?\D*)", arm)
    return (match[1].rstrip("-_.=+"), match[2]) if match else (arm, arm)


def _keys(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What tells an arm from the others of its panel: its depth if that does, else its name."""
    keys = {arm: _split(arm)[1] for members in groups.values() for arm in members}
    clear = all(len({keys[arm] for arm in members}) == len(members) for members in groups.values())
    return (
        keys
        if clear and (len(groups) > 1 or len({_split(arm)[0] for arm in keys}) == 1)
        else {arm: arm for arm in keys}
    )


def _is_number(key: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", key) is not None


def _colours(groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """One colour a depth, the deeper the darker; categories otherwise."""
    keys = _keys(groups)
    ordered = list(dict.fromkeys(keys.values()))
    if all(map(_is_number, ordered)) or len(ordered) > len(_OKABE_ITO):
        if all(map(_is_number, ordered)):
            ordered.sort(key=store.natural)
        ramp = matplotlib.colormaps["plasma"](np.linspace(0.8, 0.02, len(ordered)))
        palette = dict(zip(ordered, map(matplotlib.colors.to_hex, ramp), strict=True))
    else:
        palette = dict(zip(ordered, _OKABE_ITO, strict=False))
    return {arm: palette[key] for arm, key in keys.items()}


def _line(metric: str) -> dict[str, Any]:
    training = metric.startswith(("train", "batch"))
    return {"linewidth": 1.0, "linestyle": (0, (3.5, 1.8))} if training else {"linewidth": 2.0, "linestyle": "-"}


def _curve(axes: Axes, curve: pandas.DataFrame, x: str, unit: float, style: Mapping[str, Any]) -> float | None:
    """Draws mean, band and early ends; returns the height at which the mean ends."""
    curve = curve.dropna(subset="value")
    if curve.empty:
        return None
    across = curve.groupby(x)["value"].agg(["mean", "min", "max"]) * unit
    axes.plot(across.index, across["mean"], **style)
    axes.fill_between(across.index, across["min"], across["max"], color=style["color"], alpha=0.13, linewidth=0)
    ends = curve.loc[curve.groupby("seed")[x].idxmax()]
    early = ends[ends[x] < curve[x].max()]
    if len(early):
        axes.plot(early[x], early["value"] * unit, "x", color=style["color"], markersize=6, mew=1.6, clip_on=False)
    return float(across["mean"].iloc[-1])


def _ceiling(curves: pandas.DataFrame, x: str) -> float:
    """The top of the axis: what curves of means reach once a third of training is over."""
    settled = curves[curves[x] >= curves[x].max() / 3].groupby(["arm", "metric", x])["value"].mean()
    settled = settled[np.isfinite(settled)]
    return 1.2 * float(settled.max()) if len(settled) and settled.max() > 0 else 1.0


def _axis_name(metrics: Sequence[str]) -> str:
    names = {metric.rsplit("/", 1)[-1].replace("_", " ") for metric in metrics}
    return " / ".join(sorted(names)) or "no data"


def _curve_legend(curves: pandas.DataFrame, metrics: Sequence[str], early: bool) -> list[Any]:
    handles: list[Any] = [
        Line2D([], [], color=_GREY, label=metric.replace("/", " "), **_line(metric)) for metric in metrics
    ]
    seeds = curves["seed"].nunique()
    if seeds > 1:
        handles.append(Patch(color=_GREY, alpha=0.25, lw=0, label=f"lowest to highest of {seeds} seeds"))
    if early:
        handles.append(Line2D([], [], color=_GREY, marker="x", mew=1.6, ls="", label="a seed ends early"))
    return handles


def _direct_labels(axes: Axes, ends: Sequence[tuple[float, str, Any]]) -> None:
    """Names the lines at their right ends, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    width, height = (axes.bbox.width / axes.figure.dpi * 72, axes.bbox.height / axes.figure.dpi * 72)
    gap = 11 / height
    ends = sorted(ends, key=lambda end: end[0])
    wanted = np.array([min(1.0, (end - low) / (high - low)) for end, *_ in ends])
    for (_, name, colour), end, place in zip(ends, wanted, _apart(wanted, gap), strict=True):
        axes.annotate(
            name, (1, end), xycoords="axes fraction", xytext=(1 + 14 / width, place), textcoords="axes fraction",
            va="center", color=colour, fontsize=8.5, fontweight="bold", path_effects=_HALO, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.8, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)},
        )  # fmt: skip


def _apart(places: np.ndarray, gap: float) -> np.ndarray:
    """Ascending places moved as little as a few sweeps find, to be at least ``gap`` apart and above 0."""
    places = places.astype(np.float64).copy()
    for _ in range(200):
        for i in range(1, len(places)):
            lack = gap - (places[i] - places[i - 1])
            if lack > 1e-9:
                places[i - 1] -= lack / 2
                places[i] += lack / 2
        if len(places) and places[0] < 0.01:
            places[0] = 0.01
    return places
