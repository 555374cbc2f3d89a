"""Charts of measures of a network. Every function returns a `matplotlib.figure.Figure` of its own."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from cnnjax import errors
from cnnjax.analysis import panels
from cnnjax.analysis.lineage import ONE_VIEW

_AREA = 6.0
"""Points² for a million parameters."""
_NAMES = 40
"""Of layers at most beside an axis."""


def invariance(frames: Mapping[str, pandas.DataFrame], labels: Sequence[str] = ()) -> Figure:
    """How far features move, and the probability of the class, as an image is moved.

    Args:
      frames: transform → what `cnnjax.analysis.features.invariance` gives for it.
      labels: of the images; empty: their numbers.
    """
    units = {"translation": "pixels downwards", "scale": "factor", "rotation": "degrees"}
    names = [name for name in next(iter(frames.values())).columns if name not in ("image", "amount", "probability")]
    figure = Figure(figsize=(4 * len(frames), 2.7 * (len(names) + 1)), layout="constrained")
    for column, (transform, frame) in enumerate(frames.items()):
        for line, name in enumerate([*names, "probability"]):
            axes = figure.add_subplot(len(names) + 1, len(frames), line * len(frames) + column + 1)
            for image in frame["image"].unique():
                one = frame[frame["image"] == image]
                axes.plot(
                    one["amount"],
                    one[name],
                    marker="o",
                    markersize=3,
                    linewidth=1,
                    label=labels[image] if labels else f"image {image}",
                )
            axes.set_xlabel(units[transform], fontsize=panels.LABEL)
            axes.tick_params(labelsize=panels.LABEL)
            title = "probability of the class" if name == "probability" else f"{name}: distance of the features"
            axes.set_title(f"{transform}\n{title}", fontsize=panels.TITLE)
            axes.grid(alpha=0.3)
            if name == "probability":
                axes.set_ylim(-0.02, 1.02)
    lines, said = axes.get_legend_handles_labels()
    figure.legend(lines, said, loc="outside lower center", ncols=5, fontsize=panels.LABEL, frameon=False)
    return figure


def histograms(steps: Sequence[int], values: Mapping[str, Sequence[np.ndarray]], what: str) -> Figure:
    """How the values of each layer are distributed, checkpoint by checkpoint: a column each, whose shares add up to one.

    Ioffe & Szegedy 2015, §1: what changes from step to step is what the next layer has to follow.

    Args:
      steps: of the checkpoints.
      values: layer → its values at each checkpoint, of any shape.
      what: they are, for titles and axes.
    """
    figure = Figure(figsize=(3.4 * len(values) + 0.8, 3.6), layout="constrained")
    figure.suptitle(f"{what} over training")
    for place, (name, each) in enumerate(values.items()):
        low, high = np.percentile(np.concatenate([np.ravel(one) for one in each]), (0.5, 99.5))
        edges = np.linspace(low, high if high > low else low + 1, 61)
        # What is beyond the ends belongs to the last bins.
        shares = np.stack([np.histogram(np.clip(one, low, edges[-1]), edges)[0] / np.size(one) for one in each], 1)
        axes = figure.add_subplot(1, len(values), place + 1, facecolor="black")  # of bins without a value
        drawn = axes.pcolormesh(np.arange(len(each) + 1) - 0.5, edges, shares, cmap="magma", norm=LogNorm(1e-4, 1))
        axes.plot(np.arange(len(each)), [np.median(one) for one in each], color="white", marker=".", label="median")
        axes.set_xticks(
            range(len(steps)), [str(step) for step in steps], rotation=45 if len(steps) > 5 else 0, fontsize=8
        )
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        if place == 0:
            axes.set_ylabel(what, fontsize=8)
            axes.legend(fontsize=7, labelcolor="white", facecolor="black")
    figure.colorbar(drawn, ax=figure.axes, label="share of the values, a bin")
    return figure


def percentiles(frame: pandas.DataFrame, name: str) -> Figure:
    """How what units put out is distributed over training. Ioffe & Szegedy 2015, Fig. 1 (b, c).

    Args:
      frame: of `cnnjax.analysis.percentiles.over_training`, of the units that are to be drawn.
      name: of the layer.
    """
    units = frame["unit"].unique()
    figure = Figure(figsize=(3.2 * len(units), 3.1), layout="constrained")
    figure.suptitle(f"{name}: percentiles over images and places")
    for column, unit in enumerate(units):
        axes = figure.add_subplot(1, len(units), column + 1)
        for percentile, one in frame[frame["unit"] == unit].groupby("percentile"):
            axes.plot(one["step"], one["value"], marker="o", markersize=3, linewidth=1, label=f"{percentile:g} %")
        axes.set_title(f"unit {unit}", fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.grid(alpha=0.3)
        if not column:
            axes.set_ylabel("what the unit puts out", fontsize=8)
            axes.legend(fontsize=7)
    return figure


def by_depth(measures: Mapping[str, Mapping[str, pandas.Series]], heading: str, log: bool = True) -> Figure:
    """Measures of each layer, from the first to the last, e.g. at several checkpoints.

    Args:
      measures: what is measured, as an axis says it → what a line is called → its values, by names of layers.
      heading: of the whole.
      log: the axes of values are logarithmic.
    """
    figure = Figure(figsize=(7.5 * len(measures), 4.6), layout="constrained")
    figure.suptitle(heading, fontsize=panels.TITLE + 1)
    for place, (what, lines) in enumerate(measures.items()):
        axes = figure.add_subplot(1, len(measures), place + 1)
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(lines)))
        for colour, (label, values) in zip(colours, lines.items(), strict=True):
            axes.plot(range(len(values)), values, marker="o", markersize=3, linewidth=1, label=label, color=colour)
        every = -(-len(values) // _NAMES)
        shown = range(0, len(values), every)
        axes.set_xticks(shown, [values.index[at] for at in shown], rotation=90, fontsize=panels.LABEL - 1)
        if log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_ylabel(what, fontsize=panels.LABEL)
        axes.set_xlabel("layer, from the first to the last", fontsize=panels.LABEL)
        axes.tick_params(axis="y", which="both", labelsize=panels.LABEL)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=panels.LABEL)
    return figure


def line(frame: pandas.DataFrame, one: str, other: str) -> Figure:
    """Loss and error on the line between two networks' weights. Goodfellow et al. 2014, Fig. 1.

    Args:
      frame: of `cnnjax.analysis.training.along_line`.
      one, other: what stands at 0 and at 1.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(f"along the line from {one} (0) to {other} (1)", fontsize=panels.TITLE + 1)
    for place, (what, values) in enumerate((("loss", frame["loss"]), ("error, %", 100 * frame["error"]))):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.plot(frame["share"], values, marker="o", markersize=3, linewidth=1)
        for end in (0, 1):
            axes.axvline(end, color="grey", linestyle="--", linewidth=1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("share of the way", fontsize=panels.LABEL)
        axes.set_ylabel(what, fontsize=panels.LABEL)
        axes.tick_params(labelsize=panels.LABEL)
        axes.grid(alpha=0.3)
    return figure


def correspondence(frame: pandas.DataFrame, heading: str) -> Figure:
    """Whether layers answer alike where the same part of several images is hidden. Zeiler & Fergus 2013, Table 1.

    Args:
      frame: of `cnnjax.analysis.occlusion.correspondences`; a kind of part is drawn beside the next one, its mean as a line.
      heading: of the whole.
    """
    layers, kinds = list(dict.fromkeys(frame["layer"])), list(dict.fromkeys(frame["part"]))
    figure = Figure(figsize=(max(1.7 * len(layers) + 1, 5), 4), layout="constrained")
    figure.suptitle(heading, fontsize=panels.TITLE + 1)
    axes = figure.add_subplot()
    for number, kind in enumerate(kinds):
        some, colour = frame[frame["part"] == kind], f"C{number}"
        at = np.array([layers.index(name) for name in some["layer"]]) + (number + 1) / (len(kinds) + 1) - 0.5
        axes.plot(at, some["difference"], "o", color=colour, alpha=0.5, markersize=4, label=kind)
        means = some.groupby("layer", sort=False)["difference"].mean()
        middles = np.unique(at)
        axes.hlines(means[layers], middles - 0.12, middles + 0.12, color=colour, linewidth=2)
    axes.set_xticks(range(len(layers)), layers, fontsize=panels.LABEL)
    axes.set_ylabel("share of features that change with another sign", fontsize=panels.LABEL)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="y", labelsize=panels.LABEL)
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize=panels.LABEL)
    return figure


def lineage(frame: pandas.DataFrame) -> Figure:
    """Accuracy over cost, with the parameters as areas. Canziani et al. 2016, Fig. 2.

    Args:
      frame: of `cnnjax.analysis.lineage.costs`; networks without a published error are left out.

    Raises:
      UserError: none has one.
    """
    shown = frame[frame["top1"].notna()]
    if shown.empty:
        raise errors.UserError("no error on ILSVRC-2012 was published of these networks: there is nothing to draw")
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    axes = figure.add_subplot()
    one = shown["views"] == ONE_VIEW
    for rows, face in ((shown[one], True), (shown[~one], False)):
        drawn = axes.scatter(
            rows["macs"] / 1e9,
            100 - rows["top1"],
            s=_AREA * rows["parameters"] / 1e6,
            c=rows["year"],
            cmap="viridis",
            vmin=shown["year"].min(),
            vmax=shown["year"].max(),
            alpha=0.75 if face else 0.35,
            edgecolors="black",
            linestyles="-" if face else "--",
        )
        if face:
            bar = figure.colorbar(drawn, ax=axes, label="year of the paper", ticks=sorted(set(shown["year"])))
            bar.ax.yaxis.set_major_formatter("{x:.0f}")
    for row in shown.to_dict("records"):
        other = "" if row["views"] == ONE_VIEW else f" (views: {row['views']})"
        radius = (_AREA * row["parameters"] / 1e6) ** 0.5 / 2
        # To the right, or to the left where another one follows there.
        near = shown["macs"].between(1.01 * row["macs"], 1.8 * row["macs"]) & (abs(shown["top1"] - row["top1"]) < 1)
        axes.annotate(
            f"{row['network']}{other}",
            (row["macs"] / 1e9, 100 - row["top1"]),
            xytext=(-radius - 2 if near.any() else radius + 2, -3),
            ha="right" if near.any() else "left",
            textcoords="offset points",
            fontsize=8,
        )
    for millions in (5, 25, 100):
        axes.scatter([], [], s=_AREA * millions, c="lightgrey", edgecolors="black", label=f"{millions} M")
    axes.legend(title="parameters", loc="lower right", labelspacing=1.6, borderpad=1.2, fontsize=8, title_fontsize=8)
    axes.set_xscale("log")
    low, high = shown["macs"].min() / 1e9, shown["macs"].max() / 1e9
    axes.set_xlim(low / 1.5, high * 2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("multiply-accumulates of one image, 10⁹")
    axes.set_ylabel("published top-1 accuracy, %")
    axes.set_title("ILSVRC-2012, validation set, one view (dashed: another protocol)", fontsize=10)
    axes.grid(alpha=0.3, which="both")
    return figure
