"""Pictures of what kernels, pools and layers do to one photograph. Every function returns a figure of its own.

What has a sign is blue below zero, red above.
"""

from collections.abc import Mapping

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnjax.analysis import panels
from cnnjax.analysis.partial_sums import PartialSums

_MOST_MAPS = 31
_MOST_PARTS = 6


def kernels(image: np.ndarray, responses: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]) -> Figure:
    """An image under kernels, each drawn beside what it gives.

    Args:
      image: ``[H, W]``.
      responses: name → ``[H, W]``.
      weights: name → kernel ``[h, w]``.
    """
    columns = 4
    lines = -(-(len(responses) + 1) // columns)
    height, width = image.shape
    figure = Figure(figsize=(4 * columns, (3.6 * height / width + 0.5) * lines), layout="constrained")
    axes = figure.add_subplot(lines, columns, 1)
    _values(axes, image, "the photograph, grey", 0, 1)
    for place, (name, response) in enumerate(responses.items(), start=2):
        axes = figure.add_subplot(lines, columns, place)
        kernel = weights[name]
        # What adds up to zero sees changes only, which have a sign; what does not gives a photograph again.
        bright = float(kernel.sum())
        ends = (0.0, bright) if bright else (-panels.reach([response]), panels.reach([response]))
        _values(axes, response, f"{name}, {kernel.shape[0]}×{kernel.shape[1]}", *ends)
        inset = axes.inset_axes((0.0, 0.0, 0.22, 0.22 * width / height))
        reach = np.abs(kernel).max()
        inset.imshow(kernel, cmap=panels.SIGNED, vmin=-reach, vmax=reach)
        panels.bare(inset)
    return figure


def maps(image: np.ndarray, values: np.ndarray, name: str) -> Figure:
    """The maps of a layer, all in one scale of colours.

    Args:
      image: that the network has seen, preprocessed, ``[H, W, C]``.
      values: ``[H, W, maps]``; the first :data:`_MOST_MAPS` are shown.
      name: of the layer.
    """
    count = min(values.shape[-1], _MOST_MAPS)
    columns = 8
    lines = -(-(count + 1) // columns)
    figure = Figure(figsize=(1.6 * columns, 1.75 * lines + 0.6), layout="constrained")
    figure.suptitle(
        f"{name}: {values.shape[-1]} maps of {values.shape[0]}×{values.shape[1]}"
        + (f", the first {count}" if count < values.shape[-1] else "")
    )
    axes = [figure.add_subplot(lines, columns, place + 1) for place in range(count + 1)]
    panels.image(axes[0], image)
    axes[0].set_title("what it sees", fontsize=8)
    some = values[..., :count]
    signed, reach = bool(some.min() < 0), float(np.abs(some).max()) or 1.0
    for place in range(count):
        drawn = axes[place + 1].imshow(
            some[..., place], cmap=panels.SIGNED if signed else "viridis", vmin=-reach if signed else 0, vmax=reach
        )
        axes[place + 1].set_title(f"map {place}", fontsize=8)
        panels.bare(axes[place + 1])
    figure.colorbar(drawn, ax=axes, label="activation", shrink=0.8)
    return figure


def sums(found: PartialSums, name: str, feature: int) -> Figure:
    """What the strongest input channels add to a map, what the others do together, the bias, and the map.

    Args:
      found: of `cnnjax.analysis.partial_sums`; its first image is shown.
      name: of the convolution.
      feature: which of its maps.
    """
    channels = found.channels[0]
    order = np.argsort(-np.linalg.norm(channels, axis=(0, 1)), kind="stable")
    shown, others = order[:_MOST_PARTS], order[_MOST_PARTS:]
    parts = [(f"input channel {found.first + channel}", channels[..., channel]) for channel in shown]
    if len(others):
        parts.append((f"the other {len(others)} together", channels[..., others].sum(-1)))
    parts.append((f"bias: {found.bias:.3g}", np.full(channels.shape[:2], found.bias)))
    parts.append((f"their sum: map {feature}", found.output[0]))
    columns, count = min(5, len(parts)), channels.shape[-1]
    lines = -(-len(parts) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.7 * lines + 0.6), layout="constrained")
    figure.suptitle(
        f"{name}, map {feature}: the sum over {count} input channel{'s' * (count != 1)}, before normalisation"
    )
    reach = max(float(np.abs(values).max()) for _, values in parts) or 1.0
    every = []
    for place, (title, values) in enumerate(parts):
        axes = figure.add_subplot(lines, columns, place + 1)
        drawn = axes.imshow(values, cmap=panels.SIGNED, vmin=-reach, vmax=reach)
        axes.set_title(title, fontsize=9)
        panels.bare(axes)
        every.append(axes)
    figure.colorbar(drawn, ax=every, label="what is added", shrink=0.8)
    return figure


def pools(image: np.ndarray, differences: Mapping[str, np.ndarray], frame: pandas.DataFrame, shift: int) -> Figure:
    """What a shift changes behind pools: maps of the change behind one, and curves over the number of pools.

    Args:
      image: what is pooled, ``[H, W]``.
      differences: pool → what the shift changes behind it, ``[h, w]``.
      frame: of `cnnjax.analysis.shifts.shifts`.
      shift: pixels.
    """
    columns = len(differences) + 1
    # As high as the images are, so that nothing is left blank between them and the curves.
    heights = (16 / columns * 0.8 * image.shape[0] / image.shape[1] + 0.9, 3.4)
    figure = Figure(figsize=(16, sum(heights) + 0.4), layout="constrained")
    figure.suptitle(f"a shift by {shift} pixel{'s' * (shift != 1)}, seen through pools of stride 2")
    grid = figure.add_gridspec(2, 1, height_ratios=heights)
    above, below = grid[0].subgridspec(1, columns), grid[1].subgridspec(1, 2)
    axes = figure.add_subplot(above[0])
    _values(axes, image, "what is pooled: vertical edges", 0, panels.reach([image]))
    reach = panels.reach(differences.values())
    for place, (name, values) in enumerate(differences.items(), start=1):
        axes = figure.add_subplot(above[place])
        _values(axes, values, f"{name}: the change", -reach, reach)
    for place, (column, title) in enumerate(
        (
            ("change", "change, in standard deviations of the map"),
            ("unchanged", "share of values that stay the same"),
        )
    ):
        axes = figure.add_subplot(below[place])
        for marker, (pool, rows) in zip("osD^", frame.groupby("pool", sort=False), strict=True):
            axes.plot(rows["pools"], rows[column], marker=marker, label=str(pool))
        axes.set_xlabel("pools one after the other")
        axes.set_xticks(sorted(set(frame["pools"])))
        axes.set_title(title, fontsize=10)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def _values(axes: Axes, values: np.ndarray, title: str, low: float, high: float) -> None:
    """An image with a colour bar; grey from zero on, else in colours with a sign. What is beyond the ends has their colour."""
    drawn = axes.imshow(
        values, cmap="gray" if low == 0 else panels.SIGNED, vmin=low, vmax=high, interpolation="nearest"
    )
    axes.set_title(title, fontsize=panels.TITLE)
    panels.pixels(axes, values.shape)
    panels.bar(axes, drawn)
