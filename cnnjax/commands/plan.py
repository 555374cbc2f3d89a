"""``cnnjax plan``."""

import argparse
import json
import pathlib
import shlex
import sys

from cnnjax import arguments
from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    plan = command("plan", _plan, "say what a training would take on devices that are not here", takes_settings=True)
    plan.add_argument("file", help="a recipe, or an experiment: then a step of every arm is compiled")
    plan.add_argument("--topology", required=True, help="e.g. v5e:2x4, v4:2x2x2, gpu:8, cpu; an unknown one lists all")
    plan.add_argument("--scale", default="", help="of an experiment; default: its first")
    plan.add_argument(
        "--thorough",
        action="store_true",
        help="optimise the program as for training, which takes several times as long",
    )
    plan.add_argument("--markdown", type=arguments.file, help="put it into this page, in place of the same command's")
    plan.add_argument("--json", action="store_true", help="print it as JSON")


def _plan(options: argparse.Namespace, settings: list[str]) -> int:
    process.stop_as_interrupt()
    process.leave_devices_to_workers()
    from cnnjax import config as configs
    from cnnjax import errors, files
    from cnnjax.plan import compiled, report, topology
    from cnnjax.sweep import experiment, forecast
    from cnnjax.sweep import plan as sweeps

    place = topology.parse(options.topology)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if experiment.defined(options.file):
        sweep = sweeps.make(experiment.load(options.file), options.scale, (), settings, pathlib.Path("runs"))
        forecasts = forecast.make(sweep, place, options.thorough, say)
        found, views, text = forecast.facts(forecasts), [forecast.table(forecasts)], forecast.markdown(forecasts)
    else:
        if options.scale:
            raise errors.UserError(f"--scale is of an experiment, and {options.file} is none")
        config = configs.load(options.file)
        config = configs.override(config, configs.parse(config, settings))
        made = report.make(config, place, compiled.ask(config, place, True, options.thorough, say))
        found, views, text = report.facts(made), report.tables(made), report.markdown(made)
    if options.markdown:
        before = options.markdown.read_text() if options.markdown.exists() else ""
        files.write_text(options.markdown, report.page(before, _command(options, settings), text))
    if options.json:
        process.say(json.dumps(found, indent=2))
        return process.EXIT_OK
    for view in views:
        process.console().print(view)
    if options.markdown:
        process.say(str(options.markdown))
    return process.EXIT_OK


def _command(options: argparse.Namespace, settings: list[str]) -> str:
    words = ["cnnjax", "plan", options.file, "--topology", options.topology]
    words += ["--scale", options.scale] if options.scale else []
    words += ["--thorough"] if options.thorough else []
    return shlex.join([*words, *settings])
