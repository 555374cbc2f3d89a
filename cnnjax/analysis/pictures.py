"""Pictures of what a network has learned. Every function returns a `matplotlib.figure.Figure` of its own.

Images come preprocessed and are shown from their least value to their largest; what has a sign is blue below zero, red above.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnjax import errors
from cnnjax.analysis.features import Filters
from cnnjax.analysis.lineage import ONE_VIEW
from cnnjax.analysis.occlusion import Occlusion
from cnnjax.analysis.receptive_field import Field

_SIGNED = "RdBu_r"
_AREA = 6.0
"""Points² for a million parameters."""


def filters(kernel: np.ndarray, found: Filters, name: str) -> Figure:
    """The filters of a first layer, each scaled by its own largest weight, with those that are dead or aliased named.

    Args:
      kernel: ``[h, w, channels, maps]``.
      found: of `cnnjax.analysis.features.filters`.
      name: of the layer.
    """
    maps = kernel.shape[-1]
    columns = min(maps, 12)
    figure = Figure(figsize=(1.05 * columns, 1.3 * -(-maps // columns) + 0.6), layout="constrained")
    figure.suptitle(f"{name}: {maps} filters, {int(found.dead.sum())} dead, {int(found.aliased.sum())} aliased")
    for place in range(maps):
        axes = figure.add_subplot(-(-maps // columns), columns, place + 1)
        _signed(axes, kernel[..., place])
        kind = " dead" if found.dead[place] else " aliased" if found.aliased[place] else ""
        axes.set_title(f"{place}{kind}\n{found.frequency[place]:.2f} /px", fontsize=7)
    return figure


def strongest(
    rows: pandas.DataFrame, patches: Sequence[np.ndarray], projections: Sequence[np.ndarray], name: str
) -> Figure:
    """The images in which each feature is strongest: above what the feature sees, below what of it goes back to pixels.

    Args:
      rows: of `cnnjax.analysis.features.strongest`.
      patches: of each row, ``[h, w, C]``.
      projections: of each row, cut out in the same way.
      name: of the layer.
    """
    channels = list(dict.fromkeys(rows["channel"]))
    columns = int(rows["rank"].max()) + 1
    figure = Figure(figsize=(1.1 * columns + 0.6, 2.35 * len(channels) + 0.5), layout="constrained")
    figure.suptitle(f"{name}: strongest activations, and their projections")
    for row, patch, projection in zip(rows.to_dict("records"), patches, projections, strict=True):
        line = 2 * channels.index(row["channel"])
        above = figure.add_subplot(2 * len(channels), columns, line * columns + row["rank"] + 1)
        below = figure.add_subplot(2 * len(channels), columns, (line + 1) * columns + row["rank"] + 1)
        _image(above, patch)
        _signed(below, projection)
        above.set_title(f"image {row['image']}\n{row['activation']:.2f}", fontsize=7)
        if row["rank"] == 0:
            above.set_ylabel(f"feature {row['channel']}", fontsize=8)
            below.set_ylabel("projection", fontsize=8)
    return figure


def occlusion(image: np.ndarray, found: Occlusion, names: Sequence[str], label: int, layer: str) -> Figure:
    """An image, and what is left of the class and of the strongest feature where a square hides a part.

    Args:
      image: ``[H, W, C]``.
      found: of `cnnjax.analysis.occlusion.occlude`.
      names: of the classes; empty: their numbers.
      label: the class that was asked.
      layer: whose feature was followed.
    """
    name = names[label] if names else str(label)
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    axes = [figure.add_subplot(1, 4, place + 1) for place in range(4)]
    _image(axes[0], image)
    axes[0].set_title("the image", fontsize=9)
    # A cell of a map is where the square's first corner is.
    extent = (found.lefts[0] - 0.5, found.lefts[-1] + 0.5, found.tops[-1] + 0.5, found.tops[0] - 0.5)
    maps = (
        (found.probability, f"probability of {name} ({found.whole[0]:.2f} on the whole)", "viridis"),
        (found.activation, f"{layer}, feature {found.feature} ({found.whole[1]:.1f} on the whole)", "viridis"),
        (found.best, "most probable class", "tab20"),
    )
    for each, (values, title, colours) in zip(axes[1:], maps, strict=True):
        classes = colours == "tab20"
        drawn = each.imshow(
            values, extent=extent, cmap=colours, vmin=0 if classes else None, vmax=19 if classes else None
        )
        each.set_title(title, fontsize=9)
        each.set_xlabel("first column of the square, px", fontsize=8)
        each.set_ylabel("first row of the square, px", fontsize=8)
        bar = figure.colorbar(drawn, ax=each)
        if classes:
            there = np.unique(values)
            bar.set_ticks([int(one) for one in there if one < 20])
            bar.set_ticklabels([names[one] if names else str(one) for one in there if one < 20])
    return figure


def invariance(frames: Mapping[str, pandas.DataFrame]) -> Figure:
    """How far features move, and the probability of the class, as an image is moved.

    Args:
      frames: transform → what `cnnjax.analysis.features.invariance` gives for it.
    """
    units = {"translation": "pixels downwards", "scale": "factor", "rotation": "degrees"}
    names = [name for name in next(iter(frames.values())).columns if name not in ("image", "amount", "probability")]
    figure = Figure(figsize=(4 * len(frames), 2.7 * (len(names) + 1)), layout="constrained")
    for column, (transform, frame) in enumerate(frames.items()):
        for line, name in enumerate([*names, "probability"]):
            axes = figure.add_subplot(len(names) + 1, len(frames), line * len(frames) + column + 1)
            for image, one in frame.groupby("image"):
                axes.plot(one["amount"], one[name], marker="o", markersize=3, linewidth=1, label=f"image {image}")
            axes.set_xlabel(units[transform], fontsize=8)
            title = "probability of the class" if name == "probability" else f"{name}: distance of the features"
            axes.set_title(f"{transform}\n{title}", fontsize=9)
            axes.grid(alpha=0.3)
            if name == "probability":
                axes.set_ylim(-0.02, 1.02)
            if line == column == 0:
                axes.legend(fontsize=7)
    return figure


def receptive_field(
    image: np.ndarray, field: Field, place: tuple[int, int], influence: np.ndarray, name: str
) -> Figure:
    """The window of a feature on an image, and how strongly each pixel moves it.

    Args:
      image: ``[H, W, C]``.
      field: of the layer.
      place: row and column in its map.
      influence: of `cnnjax.analysis.receptive_field.gradient`.
      name: of the layer.
    """
    (top, bottom), (left, right) = field.window(*place)
    figure = Figure(figsize=(8.5, 4), layout="constrained")
    window = f"{bottom - top}×{right - left} pixels, stride {field.height.stride}"
    figure.suptitle(f"{name}, place {place}: {window}")
    for number, title in enumerate(("the image", "mean size of the gradient")):
        axes = figure.add_subplot(1, 2, number + 1)
        if number == 0:
            _image(axes, image)
        else:
            figure.colorbar(axes.imshow(influence, cmap="magma"), ax=axes)
        axes.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, color="#d55e00", linewidth=1.5)
        )
        axes.set_title(title, fontsize=9)
        axes.set_xticks(np.linspace(0, image.shape[1] - 1, 3).round())
        axes.set_yticks(np.linspace(0, image.shape[0] - 1, 3).round())
        axes.set_xlabel("column, px", fontsize=8)
        axes.set_ylabel("row, px", fontsize=8)
    return figure


def windows(fields: Mapping[str, Field], shape: tuple[int, int]) -> Figure:
    """What the features of some layers see, at the size of the input: each a dot at its centre, two with their windows.

    Args:
      fields: layer → what it sees; every one has a window.
      shape: height and width of the input, px.
    """
    height, width = shape
    columns = min(4, len(fields))
    lines = -(-len(fields) // columns)
    figure = Figure(figsize=(3.6 * columns, (3.3 * height / width + 0.9) * lines), layout="constrained")
    for number, (name, field) in enumerate(fields.items()):
        axes = figure.add_subplot(lines, columns, number + 1)
        axes.add_patch(Rectangle((-0.5, -0.5), width, height, facecolor="#eeeeee", edgecolor="black"))
        rows, columns_ = (
            np.array([axis.center(place) for place in range(axis.places)]) for axis in (field.height, field.width)
        )
        x, y = np.meshgrid(columns_, rows)
        axes.scatter(x, y, s=np.clip(2000 / x.size, 0.8, 12), c="#0072b2", linewidths=0)
        middle = (field.height.places // 2, field.width.places // 2)
        for place, line, label in (((0, 0), "--", "the first feature"), (middle, "-", "the middle one")):
            (top, bottom), (left, right) = field.window(*place)
            corner, extent = (left - 0.5, top - 0.5), (right - left, bottom - top)
            axes.add_patch(Rectangle(corner, *extent, fill=False, edgecolor="#d55e00", linestyle=line, label=label))
        size, stride = field.height.size, field.height.stride
        axes.set_title(
            f"{name}: {field.height.places}×{field.width.places} features\n"
            f"window {size} px, stride {stride}, padding {field.height.padding}",
            fontsize=8,
        )
        axes.set_aspect("equal")
        axes.autoscale_view()
        axes.invert_yaxis()
        axes.tick_params(labelsize=7)
        axes.set_xlabel("column, px", fontsize=7)
        axes.set_ylabel("row, px", fontsize=7)
        if number == 0:
            axes.legend(fontsize=7, loc="upper right")
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


def evolution(steps: Sequence[int], projections: Mapping[int, Sequence[np.ndarray]], name: str) -> Figure:
    """What goes back to pixels from each feature's strongest activation, checkpoint by checkpoint.

    Zeiler & Fergus 2013, §3.2 and Fig. 4.

    Args:
      steps: of the checkpoints.
      projections: feature → one ``[h, w, C]`` a checkpoint.
      name: of the layer.
    """
    figure = Figure(figsize=(1.2 * len(steps) + 0.8, 1.35 * len(projections) + 0.7), layout="constrained")
    figure.suptitle(f"{name}: the strongest activation's projection over training")
    for line, (channel, images) in enumerate(projections.items()):
        for column, (step, image) in enumerate(zip(steps, images, strict=True)):
            axes = figure.add_subplot(len(projections), len(steps), line * len(steps) + column + 1)
            _signed(axes, image)
            if line == 0:
                axes.set_title(f"step {step}", fontsize=8)
            if column == 0:
                axes.set_ylabel(f"feature {channel}", fontsize=8)
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


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def _image(axes: Axes, image: np.ndarray) -> Any:
    """From its least value to its largest, grey where it has one channel."""
    _bare(axes)
    low, high = float(image.min()), float(image.max())
    shown = (image - low) / (high - low or 1.0)
    return axes.imshow(shown[..., 0] if image.shape[-1] != 3 else shown, cmap="gray", vmin=0, vmax=1)


def _signed(axes: Axes, values: np.ndarray) -> Any:
    """About zero, to the largest size: in red and blue where there is one channel, else in the colours themselves."""
    _bare(axes)
    reach = float(np.abs(values).max()) or 1.0
    if values.shape[-1] == 3:
        return axes.imshow(0.5 + 0.5 * values / reach)
    return axes.imshow(values.mean(-1), cmap=_SIGNED, vmin=-reach, vmax=reach)
