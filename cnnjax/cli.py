"""The command line. Each command parses its arguments and calls the library; the library does the work.

Imports stand inside the commands: ``cnnjax --help`` touches no device, and a worker chooses its cores before JAX counts
them.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from cnnjax import errors, signals
from cnnjax.commands import (
    bench,
    convolution,
    data,
    describe,
    evaluate,
    explain,
    lineage,
    look,
    models,
    plan,
    sweep,
    train,
    weights,
)
from cnnjax.commands.process import EXIT_FAILED, EXIT_USAGE


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status, see :func:`answer`."""
    return answer(_parser(), words)


def answer(parser: argparse.ArgumentParser, words: Sequence[str] | None = None) -> int:
    """Does what a parser's options say: ``run(options, settings)``, where ``takes_settings`` allows for settings.

    Returns:
      The exit status. 0: done. 1: a run of a sweep failed. 2: something the user asked for cannot be done, said in one line.
      75: interrupted and saved, can be started again.
    """
    # XLA warns, in many lines, of every program that takes long to compile. What goes wrong is an exception too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    words = sys.argv[1:] if words is None else words
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no × shows another character
    # Apart from the rest: argparse takes an option with a space in it, --config.duration="2 epochs", for a file's name.
    settings = [each for each in words if each.startswith("--config.")]
    options, unknown = parser.parse_known_args([each for each in words if each not in settings])
    for each in [*unknown, *(settings if not options.takes_settings else ())]:
        parser.error(f"unknown argument {each!r}; `{options.prog} --help` lists what there is")
    status = _status(options, settings)
    if hosts := sys.modules.get("cnnjax.train.hosts"):
        hosts.leave(status)
    return status


def _status(options: argparse.Namespace, settings: list[str]) -> int:
    try:
        return options.run(options, settings)
    except errors.UserError as error:
        return _fail(str(error))
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the reader of our output is gone; do not complain at exit
        return EXIT_FAILED
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except (RuntimeError, AssertionError):
        if not (problem := _without_devices()):
            raise
        return _fail(problem)
    except KeyboardInterrupt:
        return _interrupted()


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage above it; takes no abbreviations."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(message))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="cnnjax", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., int], text: str, takes_settings: bool = False) -> argparse.ArgumentParser:
        more = " Settings are changed by --config.key.name=value." if takes_settings else ""
        sub = commands.add_parser(name, help=text, description=text + more)
        sub.set_defaults(run=run, takes_settings=takes_settings, prog=sub.prog)
        return sub

    for each in (
        sweep,
        train,
        evaluate,
        look,
        explain,
        models,
        describe,
        lineage,
        convolution,
        plan,
        weights,
        data,
        bench,
    ):
        each.add(command)
    return parser


def _fail(message: str) -> int:
    print(f"cnnjax: error: {message}", file=sys.stderr)
    return EXIT_USAGE


def _without_devices() -> str:
    """What is wrong with the platform that JAX was asked for; empty if it has devices, or was not asked yet."""
    if not (jax := sys.modules.get("jax")):
        return ""
    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        return f"JAX finds no device of the platform {jax.config.jax_platforms!r} (JAX_PLATFORMS); cpu is always there"
    return ""


def _interrupted() -> int:
    print("cnnjax: interrupted", file=sys.stderr)
    return signals.EXIT_INTERRUPTED
