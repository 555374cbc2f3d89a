"""The processes of one training: who they are, what they agree on, and how they end.

JAX's distributed runtime connects them; see `jax.distributed.initialize`. With one process everything here does nothing.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from cnnjax import errors, signals

CONNECT_S, HEARTBEAT_S, LEAVE_S = 300, 60, 10
"""Seconds: until all processes have come together, until one that is silent is lost, and until all have left."""

_LOST = re.compile("gloo|nccl|UNAVAILABLE|DEADLINE_EXCEEDED|coordination service|connection", re.IGNORECASE)
"""What an error says where the reason is that another process has gone."""

_LEAST = 1024
"""Bytes that are exchanged at least: a program is compiled for each length."""

_ending = threading.Lock()
_left: list[int] = []
"""The status of this process, once it is leaving."""

T = TypeVar("T")


class Scheduler(NamedTuple):
    """How a scheduler tells a process of the others.

    Attributes:
      name: as its users call it.
      method: ``cluster_detection_method`` of `jax.distributed.initialize`, which finds the coordinator; empty: it is given.
      processes: how many were started together, in the environment; empty: it is given.
      process: which of them this is.
    """

    name: str
    method: str
    processes: str
    process: str


SCHEDULERS = (
    # Of the step: a shell inside of a larger allocation is one task.
    Scheduler("SLURM", "slurm", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    Scheduler("Open MPI", "ompi", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    # JAX asks the cluster's own interface for the rest, which few pods may; a manifest knows it.
    Scheduler("Kubernetes", "", "", "JOB_COMPLETION_INDEX"),
)


class Place(NamedTuple):
    """Where a process stands among those of a training.

    Attributes:
      found: what knows it: the name of a scheduler, or ``"given"``.
      method: see :class:`Scheduler`.
      coordinator: ``HOST:PORT`` of process 0; ``None``: JAX finds it.
      processes: how many; ``None``: JAX finds it.
      process: which one; ``None``: JAX finds it.
    """

    found: str
    method: str
    coordinator: str | None
    processes: int | None
    process: int | None


def recognise(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    environment: Mapping[str, str] = os.environ,
    tpu_hosts: Callable[[], int] | None = None,
) -> Place | None:
    """Where this process stands, by what the user says, else by what a scheduler says; ``None`` if it is alone.

    Args:
      coordinator: ``HOST:PORT`` of process 0.
      processes: how many there are; 1: it is alone, whatever a scheduler says.
      process: which one this is.
      environment: variables.
      tpu_hosts: how many hosts the TPU slice has that this machine belongs to; default: JAX is asked.

    Raises:
      UserError: what is said is not enough, or contradicts itself.
    """
    if processes == 1:
        return None
    by = next((each for each in SCHEDULERS if each.process in environment), None)
    count = processes or int((by and environment.get(by.processes)) or 1)
    if coordinator or processes or process is not None:
        if count == 1:
            raise errors.UserError("--coordinator and --process want --processes too, at least 2")
        if process is None and by:
            process = int(environment[by.process])
        if process is None:
            raise errors.UserError(f"of {count} processes, which is this? --process says it, 0 ... {count - 1}")
        if not 0 <= process < count:
            raise errors.UserError(f"--process is 0 ... {count - 1} with --processes {count}, not {process}")
        method = by.method if by else ""
        if not coordinator and not method:
            raise errors.UserError(f"--processes {count} wants --coordinator HOST:PORT, an address of process 0")
        return Place(by.name if by else "given", method, coordinator, count, process)
    if by and by.processes:
        return Place(by.name, by.method, None, count, int(environment[by.process])) if count > 1 else None
    return Place("TPU slice", "", None, None, None) if (tpu_hosts or _tpu_hosts)() > 1 else None


def _tpu_hosts() -> int:
    from jax._src.clusters import cloud_tpu_cluster as clusters

    kinds = (clusters.GkeTpuCluster, clusters.GceTpuCluster)
    return next((kind.get_process_count() for kind in kinds if kind.is_env_present()), 1)


@contextlib.contextmanager
def joined(place: Place | None, folder: pathlib.Path, say: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile this process is one of those of a training. To be entered before JAX is asked for devices.

    Where another process is lost, this one ends with a line and `signals.EXIT_INTERRUPTED`: at once where they communicate on
    CPUs, else within :data:`HEARTBEAT_S`.

    Args:
      place: of this process; ``None``: it is alone, and nothing is done.
      folder: gets a file of what JAX's runtime prints, which is much where a process is lost.
      say: is told in one line who this is.

    Raises:
      UserError: the others were not found.
    """
    if not place:
        yield
        return
    # SIGTERM is listened to by training itself, which saves at the end of a dispatch.
    jax.config.update("jax_enable_preemption_service", False)
    who, together = f"process {place.process} of {place.processes}" if place.processes else "a process", False
    log = folder / f".process-{socket.gethostname() if place.process is None else place.process}.log"

    def end() -> NoReturn:
        again = "start all of them again, and they go on from the last checkpoint"
        why = (
            f"another process was lost ({log} has more); {again}"
            if together
            else f"the others were not there within {CONNECT_S} s"
        )
        _ending.acquire()  # by whichever thread notices it first
        if not _left:
            print(f"cnnjax: error: {who}: {why}", file=sys.stderr)
        _exit(_left[0] if _left else signals.EXIT_INTERRUPTED)

    _instead_of_abort(end, log)
    try:
        jax.distributed.initialize(
            place.coordinator,
            place.processes,
            place.process,
            cluster_detection_method=place.method or ("deactivate" if place.coordinator else None),
            initialization_timeout=CONNECT_S,
            heartbeat_timeout_seconds=HEARTBEAT_S,
            shutdown_timeout_seconds=LEAVE_S,
        )
    except (RuntimeError, ValueError) as error:
        raise errors.UserError(f"{who} cannot join the others: {_first(error)}") from error
    here, there = jax.local_device_count(), jax.device_count()
    who, together = f"process {jax.process_index()} of {jax.process_count()}", True
    say(f"{who} ({place.found}): {here} of {there} devices")
    try:
        yield
    except Exception as error:
        if lost(error):
            end()
        if not isinstance(error, errors.UserError | OSError):
            # At its exit the interpreter would wait for the others, and they for this process.
            traceback.print_exc()
            leave(1)
        raise


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def gathered(text: str) -> list[str]:
    """What each process gives, in their order; all call it at the same point, and wait for each other."""
    if not jax.distributed.is_initialized():
        return [text]
    content = text.encode()
    longest = int(multihost_utils.process_allgather(np.int32(len(content))).max())
    padded = np.zeros(max(_LEAST, 1 << longest.bit_length()), np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    return [bytes(row).rstrip(b"\0").decode() for row in multihost_utils.process_allgather(padded)]


def any_of(fact: bool) -> bool:
    """Whether it is so for any process."""
    if not jax.distributed.is_initialized():
        return fact
    return bool(multihost_utils.process_allgather(np.int32(fact)).any())


def from_first(compute: Callable[[], T]) -> T:
    """What process 0 computes, for all of them; a `UserError` there is raised by all.

    Args:
      compute: gives what JSON holds.
    """
    if not jax.distributed.is_initialized():
        return compute()
    return _outcomes(compute if is_first() else lambda: None)[0]


def on_all(compute: Callable[[], T]) -> T:
    """What this process computes, if all can: a `UserError` of any is raised by all, and says whose it is."""
    if not jax.distributed.is_initialized():
        return compute()
    found: list[T] = []
    _outcomes(lambda: found.append(compute()))
    return found[0]


def same(facts: Callable[[], Mapping[str, Any]]) -> None:
    """Raises a `UserError` where facts differ between processes; it names the first process that differs from process 0."""
    if not jax.distributed.is_initialized():
        return
    first, *others = [json.loads(each) for each in gathered(json.dumps(facts()))]
    for number, each in enumerate(others, start=1):
        for key in sorted({*first, *each}):
            if first.get(key) != each.get(key):
                raise errors.UserError(
                    f"process {number} does not train what process 0 does: {key} is {each.get(key)!r} there, and "
                    f"{first.get(key)!r} at process 0"
                )


def lost(error: BaseException | None) -> bool:
    """Whether the reason of an error is that another process has gone."""
    if not error or not jax.distributed.is_initialized():
        return False
    own = isinstance(error, jax.errors.JaxRuntimeError) and _LOST.search(str(error))
    return bool(own) or lost(error.__cause__)


def leave(status: int) -> None:
    """Ends this process, if it is one of several: with the others, or :data:`LEAVE_S` later without them."""
    if not jax.distributed.is_initialized():
        return
    _left.append(status)
    with contextlib.suppress(RuntimeError):
        jax.distributed.shutdown()
    _exit(status)


def _outcomes(compute: Callable[[], Any]) -> list[Any]:
    """What each process has computed; the first `UserError` is raised by all."""
    try:
        own = {"value": compute()}
    except errors.UserError as error:
        own = {"error": str(error)}
    found = [json.loads(each) for each in gathered(json.dumps(own))]
    failed = [number for number, each in enumerate(found) if "error" in each]
    if failed:
        whose = f"process {failed[0]}: " if failed[0] and len(failed) < len(found) else ""
        raise errors.UserError(whose + found[failed[0]]["error"])
    return [each["value"] for each in found]


def _instead_of_abort(end: Callable[[], NoReturn], log: pathlib.Path) -> None:
    """JAX's runtime aborts a process that has lost another, and prints pages: they go to a file, and ``end`` is called."""
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, name in ((1, "stdout"), (2, "stderr")):
        setattr(sys, name, os.fdopen(os.dup(number), "w", buffering=1, errors="replace"))
        os.dup2(file, number)
    os.close(file)
    # A handler of Python's own would run only after the abort: this one is called by the thread that aborts.
    _handlers.append(ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: end()))
    ctypes.CDLL(None).signal(signal.SIGABRT, _handlers[-1])


_handlers: list[Any] = []
"""What only C refers to."""


def _exit(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _first(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
