"""The report of an experiment at one scale: ``report.html`` and ``plots/*.png`` beside its runs."""

import io

import pandas
from matplotlib.figure import Figure

from cnnjax import files
from cnnjax.sweep import page, plots, store
from cnnjax.sweep.outcome import ERRORS, Outcome, current, summarise
from cnnjax.sweep.plan import Sweep

PAGE = "report.html"
_RUN = ["arm", "seed"]


def write(sweep: Sweep) -> Outcome:
    """Judges the runs of a sweep and writes ``report.html`` and ``plots/*.png`` beside them, each file atomically.

    Raises:
      UserError: there is no run, or as `verdict.judge`.
    """
    runs, curves = store.load(sweep.folder), store.load_curves(sweep.folder)
    arms = [arm.name for arm in sweep.arms]
    runs, curves = (frame[frame["arm"].isin(arms)].reset_index(drop=True) for frame in (runs, curves))
    outcome = summarise(sweep, runs)
    runs = runs[current(sweep, runs)]
    curves = curves[pandas.MultiIndex.from_frame(curves[_RUN]).isin(pandas.MultiIndex.from_frame(runs[_RUN]))]
    images = {name: _png(figure) for name, figure in _figures(outcome, runs, curves).items()}
    for name, image in images.items():
        files.write(sweep.folder / "plots" / f"{name}.png", image)
    files.write(sweep.folder / PAGE, page.make(outcome, runs, images).encode())
    return outcome


def _figures(outcome: Outcome, runs: pandas.DataFrame, curves: pandas.DataFrame) -> dict[str, Figure]:
    """Those that there is something to show in."""
    figures: dict[str, Figure] = {}
    order = [arm.name for arm in outcome.arms if (runs["arm"] == arm.name).any()]
    if outcome.verdicts:
        figures["claims"] = plots.contrasts(outcome.verdicts)
    if curves["metric"].isin(ERRORS).any():
        figures["learning_curves"] = plots.learning_curves(curves, plots.panels(order))
    for metric in ERRORS:
        if metric in runs and runs.loc[runs["outcome"] == "completed", metric].notna().any():
            figures[f"final_{metric.replace('/', '_')}"] = plots.final_errors(runs, metric, plots.panels(order))
    return figures


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    return buffer.getvalue()
