"""``cnnjax run``, ``report``, ``experiments`` and ``export``."""

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING

from cnnjax import arguments
from cnnjax.commands import process

if TYPE_CHECKING:
    from cnnjax.sweep.pool import Open


def add(command: process.Add) -> None:
    """Adds the commands."""
    run_arguments(command("run", run, "run an experiment, or what is left of it, and report", takes_settings=True))

    report = command("report", _report, "write an experiment's report from what has been run")
    _experiment_arguments(report)

    catalogue = command("experiments", _experiments, "list the experiments, and what became of each")
    catalogue.add_argument("folder", nargs="?", type=pathlib.Path, default=pathlib.Path("experiments"))
    catalogue.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"), help="default: runs")
    catalogue.add_argument("--markdown", type=arguments.file, help="write the index of all claims to this file")

    export = command("export", _export, "write metrics in another form")
    forms = export.add_subparsers(dest="form", required=True, metavar="FORM")
    tensorboard = forms.add_parser("tensorboard", help="TensorBoard event files, one folder a run")
    tensorboard.add_argument("folder", type=pathlib.Path, help="runs, an experiment, a scale, an arm or a run")
    tensorboard.add_argument("--to", type=pathlib.Path, default=pathlib.Path("tensorboard"))


def _experiment_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", help="an experiment's file, e.g. experiments/degradation.py")
    parser.add_argument("--scale", default="", help="default: the experiment's first")
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"), help="default: runs")


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of every launcher."""
    _experiment_arguments(parser)
    parser.add_argument("--seeds", type=arguments.seeds, default=(), help="e.g. 0-4 or 0,1,2; default: the scale's")
    parser.add_argument(
        "--until-decided",
        type=arguments.count,
        metavar="MAX",
        help="add seeds until every claim is decided, or there are MAX of them",
    )
    parser.add_argument(
        "--workers", type=arguments.count, default=0, help="at a time, at most; default: as many as help"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check every arm's settings, show parameters and estimated time"
    )


def run(options: argparse.Namespace, settings: list[str], open_pool: "Open | None" = None) -> int:
    """Runs an experiment and reports, with workers of some pool (default: on this machine); returns the exit status."""
    process.stop_as_interrupt()
    process.leave_devices_to_workers()
    from rich.console import Console

    from cnnjax import signals
    from cnnjax.sweep import ensembles, experiment, plan, rehearsal, report, runner, summary, workers
    from cnnjax.sweep.verdict import INCONCLUSIVE
    from cnnjax.train.loop import Interrupted

    console = Console()
    asked = experiment.load(options.experiment)
    _, scale = asked.scale(options.scale)
    begin, most = options.seeds or scale.seeds, options.until_decided
    if not (options.seeds or most):
        # What goes on is judged as it was planned: a verdict without the looks that were taken would err more often.
        before, planned = plan.planned(plan.make(asked, options.scale, (), settings, options.runs))
        begin, most = (before[: planned[0]], planned[-1]) if planned else (begin, most)
    rounds = plan.rounds(begin, most)
    looks = [len(each) for each in rounds] if most else []
    for number, seeds in enumerate(rounds, start=1):
        given = seeds if most else options.seeds
        sweep = plan.make(asked, options.scale, given, settings, options.runs, looks)
        for names in sweep.equal_arms() if number == 1 else ():
            console.print(f"with these settings {', '.join(names)} are the same", soft_wrap=True)
        if options.dry_run:
            console.print(rehearsal.table(sweep))
            return process.EXIT_OK
        try:
            failures = runner.run(sweep, open_pool or workers.local(options.workers), console)
        except Interrupted:
            console.print("stopped; the same command goes on from here")
            return signals.EXIT_INTERRUPTED
        for failure in failures:
            print(f"cnnjax: failed: {failure}", file=sys.stderr)
        for line in ensembles.complete(sweep):
            console.print(line, soft_wrap=True)
        outcome = report.write(sweep)
        summary.show(console, outcome, sweep.folder / report.PAGE)
        open_claims = sum(each.verdict == INCONCLUSIVE and not each.lost for each in outcome.verdicts)
        if failures or not open_claims:
            break
        if number < len(rounds):
            more = len(rounds[number]) - len(seeds)
            console.print(f"\nnot decided: {open_claims} of {len(outcome.verdicts)} claims; {more} more seeds\n")
    return process.EXIT_FAILED if failures else process.EXIT_OK


def _report(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console

    from cnnjax.sweep import experiment, plan, report, summary

    sweep = plan.last(experiment.load(options.experiment), options.scale, options.runs)
    summary.show(Console(), report.write(sweep), sweep.folder / report.PAGE)
    return process.EXIT_OK


def _experiments(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console

    from cnnjax import files
    from cnnjax.sweep import catalogue

    entries = catalogue.read(options.folder, options.runs)
    Console().print(catalogue.table(entries))
    if options.markdown:
        files.write(options.markdown, catalogue.markdown(entries).encode())
        process.say(str(options.markdown))
    return process.EXIT_OK


def _export(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax.sweep import export

    for folder in export.tensorboard(options.folder, options.to):
        process.say(str(folder))
    return process.EXIT_OK
