"""What pictures are put together from: images, values with a sign, axes in pixels, colour bars."""

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SIGNED = "RdBu_r"
"""Blue below zero, red above."""
LABEL, TITLE = 8, 9
"""Points of letters: of axes, and of titles."""


def bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def pixels(axes: Axes, shape: Sequence[int]) -> None:
    """Axes in pixels of an image ``[H, W, C]``."""
    axes.set_xticks(np.linspace(0, shape[1] - 1, 3).round())
    axes.set_yticks(np.linspace(0, shape[0] - 1, 3).round())
    axes.tick_params(labelsize=LABEL)
    axes.set_xlabel("column, px", fontsize=LABEL)
    axes.set_ylabel("row, px", fontsize=LABEL)


def bar(axes: Axes, drawn: Any) -> Any:
    """A colour bar as high as the picture that it belongs to."""
    figure: Any = axes.figure
    found = figure.colorbar(drawn, cax=axes.inset_axes((1.03, 0, 0.05, 1)))
    found.ax.tick_params(labelsize=LABEL)
    # Else its numbers run into what stands left of the next picture.
    figure.set_layout_engine("constrained", w_pad=0.12)
    return found


def image(axes: Axes, values: np.ndarray) -> None:
    """From its least value to its largest, grey where it has one channel."""
    bare(axes)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    colours = np.nan_to_num((values - low) / (high - low or 1.0))
    _shown(axes, colours if values.shape[-1] == 3 else np.repeat(colours[..., :1], 3, -1), values)


def signed(axes: Axes, values: np.ndarray) -> Any:
    """About zero, to the largest size; what there is a colour bar for, see :func:`signs`, if there is one channel."""
    bare(axes)
    shares = np.nan_to_num(values / (float(np.nanmax(np.abs(values))) or 1.0))
    if values.shape[-1] == 3:
        return _shown(axes, 0.5 + 0.5 * shares, values)
    drawn = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(-1, 1), SIGNED)
    _shown(axes, drawn.to_rgba(shares.mean(-1))[..., :3], values)
    return drawn


def reach(values: Iterable[np.ndarray]) -> float:
    """The size that one value of a hundred is beyond: single ones would make all others pale."""
    return float(np.percentile(np.abs(np.concatenate([np.ravel(each) for each in values])), 99)) or 1.0


def _shown(axes: Axes, colours: np.ndarray, values: np.ndarray) -> None:
    """Colours ``[H, W, 3]``, hatched where there are no values."""
    axes.patch.set(hatch="////", edgecolor="#c8c8c8", linewidth=0)
    axes.imshow(np.concatenate([colours, ~np.isnan(values[..., :1])], -1))


def signs(figure: Figure, drawn: Any) -> None:
    """One colour bar for all pictures that :func:`signed` has drawn."""
    if drawn is not None:
        found = figure.colorbar(drawn, ax=figure.axes, ticks=(-1, 0, 1), shrink=0.6, aspect=30, pad=0.01)
        found.ax.tick_params(labelsize=LABEL)
        found.set_label("share of the picture's own largest value", fontsize=LABEL)
