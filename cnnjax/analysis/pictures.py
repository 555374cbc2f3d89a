"""Pictures of what a network has learned. Every function returns a `matplotlib.figure.Figure` of its own.

Images are shown from their least value to their largest; what has a sign is blue below zero and red above, each picture by its
own largest value; with three channels it is shown in their colours, about grey. Beyond an image's edges it is hatched.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnjax.analysis import panels
from cnnjax.analysis.features import Filters
from cnnjax.analysis.occlusion import Occlusion
from cnnjax.analysis.receptive_field import Field

_MARK = "#d55e00"
_DOTS = 400
"""Features at most whose centres are all drawn: more would hide the image."""
_ROW = 32
"""Dots of a row at most, where there is no image to hide."""


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
        f"{name}: {counts}\nbelow its number: a filter's mean frequency, cycles a pixel", fontsize=panels.TITLE + 1
    )
    for place in range(maps):
        axes = figure.add_subplot(-(-maps // columns), columns, place + 1)
        drawn = panels.signed(axes, kernel[..., place])
        kind = " dead" if found.dead[place] else " aliased" if found.aliased[place] else ""
        axes.set_title(f"{place}{kind}\n{found.frequency[place]:.2f}", fontsize=7)
    panels.signs(figure, drawn)
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
    figure.suptitle(
        f"{name}: where features are strongest, and what of it goes back to pixels", fontsize=panels.TITLE + 1
    )
    for row, patch, projection in zip(rows.to_dict("records"), patches, projections, strict=True):
        line = 2 * channels.index(row["channel"])
        above = figure.add_subplot(2 * len(channels), columns, line * columns + row["rank"] + 1)
        below = figure.add_subplot(2 * len(channels), columns, (line + 1) * columns + row["rank"] + 1)
        panels.image(above, patch)
        drawn = panels.signed(below, projection)
        above.set_title(f"image {row['image']}\n{row['activation']:.2f}", fontsize=7)
        if row["rank"] == 0:
            above.set_ylabel(f"feature {row['channel']}", fontsize=8)
            below.set_ylabel("projection", fontsize=8)
    panels.signs(figure, drawn)
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
    figure.suptitle(f"{name}: one activation, back in pixels by several rules", fontsize=panels.TITLE + 1)
    for line, row in enumerate(rows.to_dict("records")):
        axes = [figure.add_subplot(len(rows), columns, line * columns + place + 1) for place in range(columns)]
        panels.image(axes[0], images[line])
        axes[0].set_ylabel(f"feature {row['channel']}", fontsize=panels.LABEL)
        axes[0].set_title(f"image {row['image']}", fontsize=panels.LABEL)
        for each, (method, found) in zip(axes[1:], projections.items(), strict=True):
            drawn = panels.signed(each, found[line])
            each.set_title(method, fontsize=panels.LABEL)
    panels.signs(figure, drawn)
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
    panels.image(axes[0], image)
    axes[0].add_patch(Rectangle((left + 0.5, top + 0.5), size, size, fill=False, color=_MARK, linewidth=1.5))
    axes[0].set_title(f"the image, and the square\n({size}×{size} pixels)", fontsize=panels.TITLE)
    for each, (values, title, look) in zip(axes[1:], maps, strict=True):
        drawn = each.imshow(values, extent=(left, right, bottom, top), **look)
        edge = Rectangle((-0.5, -0.5), image.shape[1], image.shape[0], fill=False, color="white", linewidth=0.8)
        each.add_patch(edge)
        each.set_title(title, fontsize=panels.TITLE)
        bar = panels.bar(each, drawn)
    bar.set_ticks(range(len(classes)), labels=[name(number) for number in classes])
    for each in axes:
        each.set(xlim=(left, right), ylim=(bottom, top))
        panels.pixels(each, image.shape)
    return figure


def _ends(firsts: np.ndarray, size: int) -> tuple[float, float]:
    """Where a map of a square's middles begins and ends, from its first rows or columns."""
    middles, half = firsts + (size - 1) / 2, (firsts[1] - firsts[0]) / 2 if len(firsts) > 1 else 0.5
    return middles[0] - half, middles[-1] + half


def receptive_field(
    image: np.ndarray, field: Field, place: tuple[int, int], influence: np.ndarray, name: str
) -> Figure:
    """The window of a feature on an image, and how strongly each pixel moves it.

    A cross is the middle of the window; dots are the middles of all windows, where they leave something to see of the image.

    Args:
      image: ``[H, W, C]``; beyond it at most half of its side is drawn, and of a window that reaches further the rest is not.
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
    if min(top, left) <= 0 and bottom >= height and right >= width:
        size += ": all of the image"
    figure.suptitle(f"{name}, place {place} of {len(rows)}×{len(columns)}: {size}", fontsize=panels.TITLE + 1)
    for number, title in enumerate(("the image", "mean size of the gradient")):
        axes = figure.add_subplot(1, 2, number + 1)
        if number == 0:
            panels.image(axes, image)
            if len(rows) * len(columns) <= _DOTS:
                axes.plot(np.tile(columns, len(rows)), np.repeat(rows, len(columns)), ".", color=_MARK, markersize=2)
            axes.plot(columns[place[1]], rows[place[0]], "x", color=_MARK, markersize=7)
        else:
            panels.bar(axes, axes.imshow(influence, cmap="magma"))
        axes.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, color=_MARK, linewidth=1.5)
        )
        axes.set_xlim(max(min(left, 0), -width // 2) - 1, min(max(right, width), width + width // 2))
        axes.set_ylim(min(max(bottom, height), height + height // 2), max(min(top, 0), -height // 2) - 1)
        axes.set_title(title, fontsize=panels.TITLE)
        panels.pixels(axes, image.shape)
    return figure


def windows(fields: Mapping[str, Field], shape: tuple[int, int]) -> Figure:
    """What the features of some layers see, at the size of the input: each a dot at its centre, two with their windows.

    Of many features every few have a dot, as the title says.

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
        every = -(-max(len(rows), len(columns_)) // _ROW)
        x, y = np.meshgrid(columns_[::every], rows[::every])
        axes.scatter(x, y, s=np.clip(2000 / x.size, 0.8, 12), c="#0072b2", linewidths=0)
        middle = (field.height.places // 2, field.width.places // 2)
        for place, line, label in (((0, 0), "--", "the first feature"), (middle, "-", "the middle one")):
            (top, bottom), (left, right) = field.window(*place)
            corner, extent = (left - 0.5, top - 0.5), (right - left, bottom - top)
            axes.add_patch(Rectangle(corner, *extent, fill=False, edgecolor=_MARK, linestyle=line, label=label))
        size, stride = field.height.size, field.height.stride
        axes.set_title(
            f"{name}: {field.height.places}×{field.width.places} features"
            + (f", a dot every {every}\n" if every > 1 else "\n")
            + f"window {size} px, stride {stride}, padding {field.height.padding}",
            fontsize=8,
        )
        axes.set_aspect("equal")
        axes.autoscale_view()
        axes.invert_yaxis()
        axes.tick_params(labelsize=7)
        axes.set_xlabel("column, px", fontsize=7)
        axes.set_ylabel("row, px", fontsize=7)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=panels.LABEL)
    return figure


def evolution(projections: Mapping[int, Mapping[int, np.ndarray]], name: str) -> Figure:
    """What goes back to pixels from each feature's strongest activation, checkpoint by checkpoint.

    Args:
      projections: step → feature → ``[h, w, C]``, of `cnnjax.analysis.deconvnet.evolution`.
      name: of the layer.
    """
    columns, lines = len(projections), len(next(iter(projections.values())))
    figure = Figure(figsize=(max(1.2 * columns + 1.3, 5), 1.35 * lines + 0.8), layout="constrained")
    figure.suptitle(f"{name}: the strongest activation, back in pixels, over training", fontsize=panels.TITLE + 1)
    for column, (step, features) in enumerate(projections.items()):
        for line, (channel, image) in enumerate(features.items()):
            axes = figure.add_subplot(lines, columns, line * columns + column + 1)
            drawn = panels.signed(axes, image)
            if line == 0:
                axes.set_title(f"step {step}", fontsize=8)
            if column == 0:
                axes.set_ylabel(f"feature {channel}", fontsize=8)
    panels.signs(figure, drawn)
    return figure


def evidence(images: np.ndarray, maps: np.ndarray, titles: Sequence[Sequence[str]], heading: str) -> Figure:
    """Where the evidence for some classes is, laid over the images: the less there is, the more of the image is seen.

    The maps of a row are in one scale.

    Args:
      images: ``[N, H, W, C]``.
      maps: of `cnnjax.analysis.attribution`, ``[N, classes, h, w]``; with a sign, blue is against the class.
      titles: of each image, then of each of its maps.
      heading: of the whole.
    """
    count, classes = maps.shape[:2]
    height, width = images.shape[1:3]
    figure = Figure(figsize=(2.9 * (classes + 1), 2.4 * count * height / width + 0.6), layout="constrained")
    figure.suptitle(heading, fontsize=panels.TITLE + 1)
    signed = bool(maps.min() < 0)
    for line in range(count):
        axes = [figure.add_subplot(count, classes + 1, line * (classes + 1) + at + 1) for at in range(classes + 1)]
        reach = float(np.abs(maps[line]).max()) or 1.0
        for at, each in enumerate(axes):
            panels.image(each, images[line])
            each.set_title(titles[line][at], fontsize=panels.LABEL)
            if at:
                found = maps[line, at - 1]
                drawn = each.imshow(
                    found,
                    extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                    cmap=panels.SIGNED if signed else "magma",
                    vmin=-reach if signed else 0,
                    vmax=reach,
                    alpha=0.75 * np.abs(found) / reach,
                )
                panels.bar(each, drawn)
    return figure


def neighbours(
    images: np.ndarray, queries: Sequence[int], found: np.ndarray, labels: Sequence[str], name: str
) -> Figure:
    """Images, and those that are nearest to them in a layer's features; the titles of other classes are marked.

    Args:
      images: ``[N, H, W, C]``.
      queries: numbers of some.
      found: numbers of the nearest of each, of `cnnjax.analysis.features.neighbours`, ``[queries, count]``.
      labels: what the class of each image is called.
      name: of the layer.
    """
    columns = 1 + found.shape[1]
    figure = Figure(figsize=(1.15 * columns + 0.5, 1.4 * len(queries) + 0.6), layout="constrained")
    figure.suptitle(f"{name}: the nearest images in its features", fontsize=panels.TITLE + 1)
    for line, (query, nearest) in enumerate(zip(queries, found, strict=True)):
        for column, number in enumerate((query, *nearest)):
            axes = figure.add_subplot(len(queries), columns, line * columns + column + 1)
            panels.image(axes, images[number])
            colour = "black" if labels[number] == labels[query] else _MARK
            axes.set_title(f"image {number}\nclass {labels[number]}", fontsize=7, color=colour)
            if not column:
                axes.set_ylabel("asked for", fontsize=panels.LABEL)
    return figure
