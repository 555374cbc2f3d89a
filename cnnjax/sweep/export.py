"""Metrics in the form of other tools."""

import pathlib

from tensorboardX import SummaryWriter

from cnnjax.sweep import store


def tensorboard(path: pathlib.Path, to: pathlib.Path) -> list[pathlib.Path]:
    """Writes TensorBoard event files: one folder a run, one scalar a metric, by optimiser step.

    Args:
      path: runs, an experiment, a scale, an arm or a run.
      to: ``<to>/<experiment>/<scale>/<arm>/seed-<s>`` are written, for runs outside of sweeps ``<to>/<path>/seed-<s>``; what
        an earlier export left there is replaced.

    Returns:
      The folders.
    """
    folders = []
    curves = store.load_curves(path)
    for (experiment, scale, arm, seed), rows in curves.groupby(
        ["experiment", "scale", "arm", "seed"], sort=False, observed=True
    ):
        folder = to / str(experiment) / str(scale) / str(arm) / f"seed-{seed}"
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        with SummaryWriter(str(folder)) as writer:
            for row in rows.itertuples():
                writer.add_scalar(row.metric, row.value, row.step)
        folders.append(folder)
    return folders
