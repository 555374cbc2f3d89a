"""What `cnnjax.bench.growth` measured, as a table and a plot."""

import pathlib
from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from cnnjax.bench import growth
from cnnjax.bench.growth import CURVES, QUANTITIES, Point

Line = tuple[Sequence[float], Sequence[float]]
"""Values and measurements."""

_UNITS = {"compile": ("s", 1.0), "step": ("ms", 1e3), "program memory": ("MiB", 1 / 2**20)}
"""Quantity → what it is shown in, and how many of these one of its own units is."""


def table(measured: Mapping[str, Sequence[Point]]) -> Table:
    """A row for each point, and below the points of a curve the exponents that were fitted to them."""
    view = Table(title="growth of a training step", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    view.add_column("", no_wrap=True)
    for quantity, (unit, _) in _UNITS.items():
        view.add_column(f"{quantity}, {unit}", justify="right")
    view.add_column("process, MiB", justify="right")
    for name, points in measured.items():
        for point in points:
            cells = [f"{QUANTITIES[quantity](point) * factor:.3g}" for quantity, (_, factor) in _UNITS.items()]
            view.add_row(f"{name} {point.value}", *cells, f"{point.process_bytes / 2**20:.0f}")
        fitted = [growth.exponent(*_curve(points, quantity)) for quantity in QUANTITIES]
        view.add_row("  exponent", *(f"{slope:.2f} ± {error:.2f}" for slope, error in fitted), "", style="bold")
        view.add_section()
    view.caption = "exponent: slope in logarithms, ± its standard error; process: its peak, the compiler included"
    return view


def sweeps_table(sweeps: Mapping[str, Mapping[int, float]]) -> Table:
    """Wall-clock of whole sweeps."""
    view = Table(title="growth of a sweep", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("", "s", "arms an hour"):
        view.add_column(name, justify="right" if name else "left")
    for name, seconds in sweeps.items():
        for count, each in seconds.items():
            arms = count if name == "arms" else growth.ARMS[1]
            view.add_row(f"{name} {count}", f"{each:.1f}", f"{3600 * arms / each:.0f}")
        slope, error = growth.exponent(list(seconds), list(seconds.values()))
        view.add_row("  exponent", f"{slope:.2f} ± {error:.2f}", "", style="bold")
        view.add_section()
    return view


def plot(
    measured: Mapping[str, Sequence[Point]],
    sweeps: Mapping[str, Mapping[int, float]],
    file: pathlib.Path,
    caption: str,
) -> None:
    """A panel for each axis and quantity, and one for each number of sweeps; all logarithmic.

    Curves of one axis share its panels.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    axis_of = {curve.name: curve.axis for curve in CURVES}
    axes = list(dict.fromkeys(axis_of[name] for name in measured))
    rows: list[dict[str, dict[str, Line]]] = []
    for quantity, (_, factor) in _UNITS.items():
        panels: dict[str, dict[str, Line]] = {axis: {} for axis in axes}
        for name, points in measured.items():
            values, measurements = _curve(points, quantity)
            kind = name.partition(", ")[2] or "as trained"
            panels[axis_of[name]][kind] = (values, [each * factor for each in measurements])
        rows.append(panels)
    labels = [f"{quantity}, {unit}" for quantity, (unit, _) in _UNITS.items()]
    if sweeps:
        rows.append({name: {"sweep": ([*seconds], [*seconds.values()])} for name, seconds in sweeps.items()})
        labels.append("sweep, s")

    columns = max(map(len, rows))
    size = (3 * columns, 2.4 * len(rows))
    figure, grid = pyplot.subplots(len(rows), columns, figsize=size, sharey="row", squeeze=False)
    for label, row, cells in zip(labels, rows, grid, strict=True):
        cells[0].set_ylabel(label)
        for unused in cells[len(row) :]:
            unused.set_visible(False)
        for (axis, lines), panel in zip(row.items(), cells, strict=False):
            for kind, line in lines.items():
                slope, _ = growth.exponent(*line)
                panel.plot(*line, "o-", markersize=3, label=f"{kind}: {slope:.2f}")
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            ticks = sorted({value for values, _ in lines.values() for value in values})
            panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            panel.xaxis.minorticks_off()
            panel.legend(fontsize=6, title="exponent", title_fontsize=6)
            panel.grid(alpha=0.3)
            panel.set_xlabel(axis)
    figure.suptitle(caption, fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _curve(points: Sequence[Point], quantity: str) -> tuple[list[float], list[float]]:
    return [float(point.value) for point in points], [QUANTITIES[quantity](point) for point in points]
