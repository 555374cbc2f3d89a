"""Being told to stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_INTERRUPTED = 75
"""Exit status of what was told to stop, has saved, and can be started again (``EX_TEMPFAIL``)."""


@contextmanager
def noted() -> Iterator[Callable[[], int]]:
    """While inside, SIGTERM and SIGINT (Ctrl-C) only leave a note: gives a function that says how many have come.

    Only the main thread can listen to signals.
    """
    received: list[int] = []
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.signal(each, lambda number, _: received.append(number)) for each in signals}
    try:
        yield lambda: len(received)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
