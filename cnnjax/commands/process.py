"""What the commands share: exit statuses, and how their process behaves."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
WIDTH = 200
"""Characters of a line where no terminal says how many there are."""

Add = Callable[..., argparse.ArgumentParser]
"""Adds a command: ``add(name, run, text, takes_settings=False)``; ``run(options, settings)`` returns the exit status."""


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)


def say_nothing(line: str) -> None:
    """What a process says that is not the first one of its training."""


def console() -> "Console":
    """For wide tables: as wide as the terminal; what is read by a program has no width, and gets :data:`WIDTH`."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH)


def gate(asked: bool, lost: Sequence[str]) -> int:
    """Fails where a benchmark was asked to, and something was lost."""
    if asked and lost:
        print(f"cnnjax: failed: beyond what is required: {'; '.join(lost)}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


def stop_as_interrupt() -> None:
    """Until training listens to it, SIGTERM is what Ctrl-C is: there is nothing to save yet."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def leave_devices_to_workers() -> None:
    """This process only traces programs: an accelerator that it took would be missing to those that run them."""
    import jax

    jax.config.update("jax_platforms", "cpu")


def end_with_parent() -> None:
    """Ends this process when the other end of its standard input is gone: a kill -9 of the parent included."""
    # The file descriptor, not `sys.stdin`: a thread that waits inside of a buffered reader aborts the interpreter's exit.
    while os.read(0, 4096):
        pass
    os._exit(EXIT_FAILED)
