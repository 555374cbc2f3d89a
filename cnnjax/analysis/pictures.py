"""Pictures of what a network has learned. Every function returns a `matplotlib.figure.Figure` of its own.

Images are shown from their least value to their largest; what has a sign is blue below zero and red above, each picture by its
own largest value; with three channels it is shown in their colours, about grey. Beyond an image's edges it is hatched.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnjax import errors
from cnnjax.analysis.features import Filters
from cnnjax.analysis.lineage import ONE_VIEW
from cnnjax.analysis.occlusion import Occlusion
from cnnjax.analysis.receptive_field import Field

_SIGNED, _MARK = "RdBu_r", "#d55e00"
_LABEL, _TITLE = 8, 9
"""Points of letters: of axes, and of titles."""
_AREA = 6.0
"""Points² for a million parameters."""
_DOTS = 400
"""Features at most whose centres are all drawn: more would hide the image."""


def filters(kernel: np.ndarray, found: Filters, name: str) -> Figure:
    """The filters of a first layer with their mean frequencies, and which are dead or aliased.

    Args:
      kernel: ``[h, w, channels, maps]``.
      found: of `cnnjax.analysis.features.filters`.
      name: of the layer.
    """
    maps = kernel.shape[-1]
    columns = min(maps, 12)
    figure = Figure(figsize=(max(1.05 * columns + 0.9, 5), 1.3 * -(-maps // columns) + 0.8), layout="constrained")
    counts = f"{maps} filters, {int(found.dead.sum())} dead, {int(found.aliased.sum())} aliased"
    figure.suptitle(
        f"{name}: {counts}\nbelow its number: a filter's mean frequency, cycles a pixel", fontsize=_TITLE + 1
    )
    for place in range(maps):
        axes = figure.add_subplot(-(-maps // columns), columns, place + 1)
        drawn = _signed(axes, kernel[..., place])
        kind = " dead" if found.dead[place] else " aliased" if found.aliased[place] else ""
        axes.set_title(f"{place}{kind}\n{found.frequency[place]:.2f}", fontsize=7)
    _signs(figure, drawn)
    return figure


def strongest(
    rows: pandas.DataFrame, patches: Sequence[np.ndarray], projections: Sequence[np.ndarray], name: str
) -> Figure:
    """The images in which each feature is strongest: above what the feature sees, below what of it goes back to pixels.

    Args:
      rows: of `cnnjax.analysis.features.strongest`.
      patches: of each row, ``[h, w, C]``, see `cnnjax.analysis.features.patches`.
      projections: of each row, cut out in the same way.
      name: of the layer.
    """
    channels = list(dict.fromkeys(rows["channel"]))
    columns = int(rows["rank"].max()) + 1
    figure = Figure(figsize=(max(1.1 * columns + 1.3, 5), 2.35 * len(channels) + 0.6), layout="constrained")
    figure.suptitle(f"{name}: where features are strongest, and what of it goes back to pixels", fontsize=_TITLE + 1)
    for row, patch, projection in zip(rows.to_dict("records"), patches, projections, strict=True):
        line = 2 * channels.index(row["channel"])
        above = figure.add_subplot(2 * len(channels), columns, line * columns + row["rank"] + 1)
        below = figure.add_subplot(2 * len(channels), columns, (line + 1) * columns + row["rank"] + 1)
        _image(above, patch)
        drawn = _signed(below, projection)
        above.set_title(f"image {row['image']}\n{row['activation']:.2f}", fontsize=7)
        if row["rank"] == 0:
            above.set_ylabel(f"feature {row['channel']}", fontsize=8)
            below.set_ylabel("projection", fontsize=8)
    _signs(figure, drawn)
    return figure


def methods(rows: pandas.DataFrame, images: np.ndarray, projections: Mapping[str, np.ndarray], name: str) -> Figure:
    """One activation of each feature, back in pixels by several rules.

    Args:
      rows: of `cnnjax.analysis.features.strongest`, one a feature.
      images: one a row, ``[rows, H, W, C]``.
      projections: of `cnnjax.analysis.deconvnet.METHODS` → one a row, ``[rows, H, W, C]``.
      name: of the layer.
    """
    columns = 1 + len(projections)
    figure = Figure(figsize=(max(1.5 * columns + 1.3, 5), 1.6 * len(rows) + 0.8), layout="constrained")
    figure.suptitle(f"{name}: one activation, back in pixels by several rules", fontsize=_TITLE + 1)
    for line, row in enumerate(rows.to_dict("records")):
        axes = [figure.add_subplot(len(rows), columns, line * columns + place + 1) for place in range(columns)]
        _image(axes[0], images[line])
        axes[0].set_ylabel(f"feature {row['channel']}", fontsize=_LABEL)
        axes[0].set_title(f"image {row['image']}", fontsize=_LABEL)
        for each, (method, found) in zip(axes[1:], projections.items(), strict=True):
            drawn = _signed(each, found[line])
            each.set_title(method, fontsize=_LABEL)
    _signs(figure, drawn)
    return figure


def occlusion(image: np.ndarray, found: Occlusion, names: Sequence[str], label: int, layer: str) -> Figure:
    """An image, and what is left of the class and of the strongest feature where a square hides a part.

    A value stands where the middle of the square was, so that maps and image lie over each other.

    Args:
      image: ``[H, W, C]``.
      found: of `cnnjax.analysis.occlusion.occlude`.
      names: of the classes; empty: their numbers.
      label: the class that was asked.
      layer: whose feature was followed.
    """

    def name(number: int) -> str:
        return names[number] if names else str(number)

    size = 1 - int(found.tops[0])
    left, right = _ends(found.lefts, size)
    top, bottom = _ends(found.tops, size)
    classes = np.unique(found.best)
    palette = matplotlib.colormaps["tab20"].resampled(20)
    colours = ListedColormap([palette(place % 20) for place in range(len(classes))])
    kinds = {"cmap": colours, "vmin": -0.5, "vmax": len(classes) - 0.5}
    maps: tuple[tuple[np.ndarray, str, dict[str, Any]], ...] = (
        (
            found.probability,
            f"probability of {name(label)}\n({found.whole[0]:.2f} on the whole)",
            {"vmin": 0, "vmax": 1},
        ),
        (found.activation, f"{layer}, sum of feature {found.feature}\n({found.whole[1]:.1f} on the whole)", {}),
        (np.searchsorted(classes, found.best), "most probable class", kinds),
    )
    figure = Figure(figsize=(14, 3.4), layout="constrained")
    axes = [figure.add_subplot(1, 4, place + 1) for place in range(4)]
    _image(axes[0], image)
    axes[0].add_patch(Rectangle((left + 0.5, top + 0.5), size, size, fill=False, color=_MARK, linewidth=1.5))
    axes[0].set_title(f"the image, and the square\n({size}×{size} pixels)", fontsize=_TITLE)
    for each, (values, title, look) in zip(axes[1:], maps, strict=True):
        drawn = each.imshow(values, extent=(left, right, bottom, top), **look)
        edge = Rectangle((-0.5, -0.5), image.shape[1], image.shape[0], fill=False, color="white", linewidth=0.8)
        each.add_patch(edge)
        each.set_title(title, fontsize=_TITLE)
        bar = _bar(each, drawn)
    bar.set_ticks(range(len(classes)), labels=[name(number) for number in classes])
    for each in axes:
        each.set(xlim=(left, right), ylim=(bottom, top))
        _pixels(each, image.shape)
    return figure


def _ends(firsts: np.ndarray, size: int) -> tuple[float, float]:
    """Where a map of a square's middles begins and ends, from its first rows or columns."""
    middles, half = firsts + (size - 1) / 2, (firsts[1] - firsts[0]) / 2 if len(firsts) > 1 else 0.5
    return middles[0] - half, middles[-1] + half


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
            axes.set_xlabel(units[transform], fontsize=_LABEL)
            axes.tick_params(labelsize=_LABEL)
            title = "probability of the class" if name == "probability" else f"{name}: distance of the features"
            axes.set_title(f"{transform}\n{title}", fontsize=_TITLE)
            axes.grid(alpha=0.3)
            if name == "probability":
                axes.set_ylim(-0.02, 1.02)
    lines, said = axes.get_legend_handles_labels()
    figure.legend(lines, said, loc="outside lower center", ncols=5, fontsize=_LABEL, frameon=False)
    return figure


def receptive_field(
    image: np.ndarray, field: Field, place: tuple[int, int], influence: np.ndarray, name: str
) -> Figure:
    """The window of a feature on an image, and how strongly each pixel moves it.

    A cross is the middle of the window; dots are the middles of all windows, where they leave something to see of the image.

    Args:
      image: ``[H, W, C]``.
      field: of the layer.
      place: row and column in its map.
      influence: of `cnnjax.analysis.receptive_field.gradient`.
      name: of the layer.
    """
    (top, bottom), (left, right) = field.window(*place)
    height, width = image.shape[:2]
    rows, columns = ([each.center(at) for at in range(each.places)] for each in (field.height, field.width))
    figure = Figure(figsize=(9, 4), layout="constrained")
    size = f"{bottom - top}×{right - left} pixels, stride {field.height.stride}"
    figure.suptitle(f"{name}, place {place} of {len(rows)}×{len(columns)}: {size}", fontsize=_TITLE + 1)
    for number, title in enumerate(("the image", "mean size of the gradient")):
        axes = figure.add_subplot(1, 2, number + 1)
        if number == 0:
            _image(axes, image)
            if len(rows) * len(columns) <= _DOTS:
                axes.plot(np.tile(columns, len(rows)), np.repeat(rows, len(columns)), ".", color=_MARK, markersize=2)
            axes.plot(columns[place[1]], rows[place[0]], "x", color=_MARK, markersize=7)
        else:
            _bar(axes, axes.imshow(influence, cmap="magma"))
        axes.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, color=_MARK, linewidth=1.5)
        )
        axes.set_xlim(min(left, 0) - 1, max(right, width))
        axes.set_ylim(max(bottom, height), min(top, 0) - 1)
        axes.set_title(title, fontsize=_TITLE)
        _pixels(axes, image.shape)
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


def evolution(projections: Mapping[int, Mapping[int, np.ndarray]], name: str) -> Figure:
    """What goes back to pixels from each feature's strongest activation, checkpoint by checkpoint.

    Args:
      projections: step → feature → ``[h, w, C]``, of `cnnjax.analysis.deconvnet.evolution`.
      name: of the layer.
    """
    columns, lines = len(projections), len(next(iter(projections.values())))
    figure = Figure(figsize=(max(1.2 * columns + 1.3, 5), 1.35 * lines + 0.8), layout="constrained")
    figure.suptitle(f"{name}: the strongest activation, back in pixels, over training", fontsize=_TITLE + 1)
    for column, (step, features) in enumerate(projections.items()):
        for line, (channel, image) in enumerate(features.items()):
            axes = figure.add_subplot(lines, columns, line * columns + column + 1)
            drawn = _signed(axes, image)
            if line == 0:
                axes.set_title(f"step {step}", fontsize=8)
            if column == 0:
                axes.set_ylabel(f"feature {channel}", fontsize=8)
    _signs(figure, drawn)
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


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def _pixels(axes: Axes, shape: Sequence[int]) -> None:
    """Axes in pixels of an image ``[H, W, C]``."""
    axes.set_xticks(np.linspace(0, shape[1] - 1, 3).round())
    axes.set_yticks(np.linspace(0, shape[0] - 1, 3).round())
    axes.tick_params(labelsize=_LABEL)
    axes.set_xlabel("column, px", fontsize=_LABEL)
    axes.set_ylabel("row, px", fontsize=_LABEL)


def _bar(axes: Axes, drawn: Any) -> Any:
    """A colour bar as high as the picture that it belongs to."""
    bar = axes.figure.colorbar(drawn, cax=axes.inset_axes((1.03, 0, 0.05, 1)))
    bar.ax.tick_params(labelsize=_LABEL)
    return bar


def _image(axes: Axes, image: np.ndarray) -> None:
    """From its least value to its largest, grey where it has one channel."""
    _bare(axes)
    low, high = float(np.nanmin(image)), float(np.nanmax(image))
    shown = np.nan_to_num((image - low) / (high - low or 1.0))
    _shown(axes, shown if image.shape[-1] == 3 else np.repeat(shown[..., :1], 3, -1), image)


def _signed(axes: Axes, values: np.ndarray) -> Any:
    """About zero, to the largest size; what there is a colour bar for, see :func:`_signs`, if there is one channel."""
    _bare(axes)
    shares = np.nan_to_num(values / (float(np.nanmax(np.abs(values))) or 1.0))
    if values.shape[-1] == 3:
        return _shown(axes, 0.5 + 0.5 * shares, values)
    drawn = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(-1, 1), _SIGNED)
    _shown(axes, drawn.to_rgba(shares.mean(-1))[..., :3], values)
    return drawn


def _shown(axes: Axes, colours: np.ndarray, values: np.ndarray) -> None:
    """Colours ``[H, W, 3]``, hatched where there are no values."""
    axes.patch.set(hatch="////", edgecolor="#c8c8c8", linewidth=0)
    axes.imshow(np.concatenate([colours, ~np.isnan(values[..., :1])], -1))


def _signs(figure: Figure, drawn: Any) -> None:
    """One colour bar for all pictures that :func:`_signed` has drawn."""
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=figure.axes, ticks=(-1, 0, 1), shrink=0.6, aspect=30, pad=0.01)
        bar.ax.tick_params(labelsize=_LABEL)
        bar.set_label("share of the picture's own largest value", fontsize=_LABEL)
