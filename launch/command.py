"""What the launchers' commands share: the options of ``cnnjax run``, and how they answer."""

import argparse
import importlib.util
from collections.abc import Callable, Sequence

from cnnjax import cli, errors
from cnnjax.commands import sweep
from cnnjax.sweep.plan import MARKER, Sweep
from cnnjax.sweep.pool import Open, Task
from cnnjax.sweep.work import Work
from cnnjax.sweep.workers import command_line

RETRIES = 3
"""How often an arm is begun again whose worker was lost."""


def main(
    name: str,
    text: str,
    add: Callable[[argparse.ArgumentParser], None],
    pool: Callable[[argparse.Namespace], Open],
    words: Sequence[str] | None = None,
) -> int:
    """A launcher's command; returns its exit status, see `cnnjax.cli.answer`.

    Args:
      name: of the launcher, ``"ray"``, which is that of the extra too.
      text: what it does, in a line.
      add: adds its own options.
      pool: makes its pool of these.
      words: what the user typed.
    """
    parser = cli.Parser(prog=f"python -m launch.{name}", description=text)
    sweep.run_arguments(parser)
    add(parser)
    parser.set_defaults(
        run=lambda options, settings: sweep.run(options, settings, pool(options)), takes_settings=True, prog=parser.prog
    )
    return cli.answer(parser, words)


def need(package: str, extra: str) -> None:
    """Raises a `UserError` that names the extra, where a package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise errors.UserError(f"{package} is not installed; pip install 'cnnjax[{extra}]' brings it")


def work(sweep: Sweep, task: Task, cores: int) -> Work:
    """What a machine is given."""
    arm, seeds = task
    return Work(command_line(arm, seeds), arm.log.absolute(), (sweep.folder / MARKER).absolute(), cores)


def reason(trace: str) -> str:
    """The error of a traceback, in a line."""
    return trace.strip().splitlines()[-1].rpartition("UserError: ")[2]
