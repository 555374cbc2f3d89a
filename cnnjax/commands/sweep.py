"""``cnnjax run``, ``report`` and ``export``."""

import argparse
import pathlib
import sys

from cnnjax import arguments
from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the commands."""
    run = command("run", _run, "run an experiment, or what is left of it, and report", takes_settings=True)
    _experiment_arguments(run)
    run.add_argument("--seeds", type=arguments.seeds, default=(), help="e.g. 0-4 or 0,1,2; default: the scale's")
    run.add_argument("--workers", type=arguments.count, default=0, help="processes; default: as many as help")
    run.add_argument("--dry-run", action="store_true", help="show arms, parameters and estimated time only")

    report = command("report", _report, "write an experiment's report from what has been run")
    _experiment_arguments(report)

    export = command("export", _export, "write metrics in another form")
    forms = export.add_subparsers(dest="form", required=True, metavar="FORM")
    tensorboard = forms.add_parser("tensorboard", help="TensorBoard event files, one folder a run")
    tensorboard.add_argument("folder", type=pathlib.Path, help="runs, an experiment, a scale, an arm or a run")
    tensorboard.add_argument("--to", type=pathlib.Path, default=pathlib.Path("tensorboard"))


def _experiment_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", help="an experiment's file, e.g. experiments/degradation.py")
    parser.add_argument("--scale", default="", help="default: the experiment's first")
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"), help="default: runs")


def _run(options: argparse.Namespace, settings: list[str]) -> int:
    process.stop_as_interrupt()
    process.leave_devices_to_workers()
    from rich.console import Console

    from cnnjax.sweep import experiment, plan, report, runner, summary
    from cnnjax.train.loop import EXIT_INTERRUPTED, Interrupted

    console = Console()
    sweep = plan.make(experiment.load(options.experiment), options.scale, options.seeds, settings, options.runs)
    if options.dry_run:
        console.print(_dry_run(sweep))
        return process.EXIT_OK
    try:
        failures = runner.run(sweep, options.workers, console)
    except Interrupted:
        console.print("stopped; the same command goes on from here")
        return EXIT_INTERRUPTED
    summary.show(console, report.write(sweep), sweep.folder / report.PAGE)
    for failure in failures:
        print(f"cnnjax: failed: {failure}", file=sys.stderr)
    return process.EXIT_FAILED if failures else process.EXIT_OK


def _dry_run(sweep):  # type: ignore[no-untyped-def]
    from rich.table import Table

    from cnnjax.sweep import progress

    seconds, basis = progress.seconds(sweep)
    table = Table(title=f"{sweep.experiment.name} · {sweep.scale_name}: what would run", caption=f"estimate: {basis}")
    for name in ("arm", "parameters", "seeds", "to do", "estimated s a run", "settings"):
        table.add_column(name, justify="right" if name not in ("arm", "settings") else "left", overflow="fold")
    for arm in sweep.arms:
        changes = " ".join(f"{key}={value}" for key, value in arm.overrides.items())
        pending = len(arm.pending())
        table.add_row(
            arm.name,
            f"{progress.parameters(arm):,}",
            str(len(arm.seeds)),
            str(pending),
            f"{seconds[arm.name]:.0f}",
            changes,
        )
    return table


def _report(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console

    from cnnjax.sweep import experiment, plan, report, summary

    sweep = plan.last(experiment.load(options.experiment), options.scale, options.runs)
    summary.show(Console(), report.write(sweep), sweep.folder / report.PAGE)
    return process.EXIT_OK


def _export(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax.sweep import export

    for folder in export.tensorboard(options.folder, options.to):
        process.say(str(folder))
    return process.EXIT_OK
