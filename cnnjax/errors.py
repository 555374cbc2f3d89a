"""What a user can get wrong, told in one line."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user asked for cannot be done.

    The message is one line: what was wrong, what was expected, what is available. The command line prints it without a
    traceback and exits with status 2.
    """


def unknown(kind: str, name: str, available: Iterable[str], hint: str = "") -> UserError:
    """The error for a name that does not exist: the nearest names first, else all of them.

    Args:
      kind: what was looked up, e.g. ``"model"``.
      name: what the user wrote.
      available: every name that would have been accepted.
      hint: one more clause, e.g. where the full list is printed.
    """
    available = sorted(available)
    nearest = difflib.get_close_matches(str(name), available, n=3, cutoff=0.6)
    if nearest:
        offer = f"did you mean {' or '.join(nearest)}?"
    elif available:
        offer = "available: " + ", ".join(available)
    else:
        offer = f"there is no {kind} at all"
    return UserError(f"unknown {kind} {name!r}; {offer}{'; ' + hint if hint else ''}")
