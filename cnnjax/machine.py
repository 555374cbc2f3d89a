"""The machine that this process runs on."""

import contextlib
import ctypes
import hashlib
import os
import pathlib
import platform
import tempfile
from collections.abc import Iterator, Sequence

import filelock

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
"""Parameters of glibc's mallopt(3)."""


def cores() -> list[int]:
    """CPU cores that this process may use, by number."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def pin(numbers: Sequence[int]) -> None:
    """Restricts this process to some cores, where the system can. Libraries count cores when they start: call it first."""
    if numbers and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, numbers)


@contextlib.contextmanager
def claimed(count: int) -> Iterator[list[int]]:
    """So many cores that no other process here has claimed, while inside; shared ones where too few are left.

    Empty where this process may use no more anyway, as under a scheduler that has pinned it. The kernel gives back what a
    killed process had.
    """
    here = cores()
    if len(here) <= count or not hasattr(os, "sched_setaffinity"):
        yield []
        return
    folder = pathlib.Path(tempfile.gettempdir(), f"cnnjax-cores-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as held:
        mine: list[int] = []
        for number in here:
            with contextlib.suppress(filelock.Timeout):
                held.enter_context(filelock.FileLock(folder / f"{number}.lock", timeout=0))
                mine.append(number)
            if len(mine) == count:
                break
        yield mine if len(mine) == count else here[:count]


def name() -> str:
    """What it is called in its network."""
    return platform.node()


def keep_memory() -> None:
    """Lets this process keep the memory that it frees, where the C library is glibc; call it before threads are started.

    XLA allocates a step's activations anew each time. Handed back to the system in between, every page of them is faulted
    in again: a fifth of a step of ResNet-20 on 32×32 images.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt:
        for parameter, value in ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(parameter, value)


def processor() -> str:
    """Model of the CPU and a digest of its instructions: compiled code depends on what a model name does not tell."""
    file = pathlib.Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor()
    lines = file.read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line for line in lines if line.startswith("flags")), "")
    return f"{model} {hashlib.sha256(flags.encode()).hexdigest()[:6]}"


def cache_folder() -> pathlib.Path:
    """Where what can be made again is kept: ``$CNNJAX_CACHE_DIR``, or ``cnnjax`` in the user's cache folder."""
    chosen = os.environ.get("CNNJAX_CACHE_DIR")
    if chosen:
        return pathlib.Path(chosen).expanduser()
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cnnjax"
