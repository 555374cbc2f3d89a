"""``python -m launch.slurm``: runs an experiment as jobs of SLURM, an array of arms."""

import argparse
import contextlib
import getpass
import pathlib
import pickle
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnjax import arguments, errors, files, signals
from cnnjax.sweep import pool
from cnnjax.sweep.plan import Arm, Sweep
from launch import command

RESOURCES = pathlib.Path(__file__).with_name("slurm.toml")
QUEUE_S = 5.0
"""Between two looks at the queue: those of all users load the controller."""

PATIENCE = 5
"""So many looks later a job that was asked to end is asked again: one that is just starting cannot hear."""

REQUEUES = 10_000
"""How often a job that runs into its time limit goes back into the queue. It has saved then, and has more behind it."""

_ACTIVE = {
    "PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
    "RESIZING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "RESV_DEL_HOLD",
}  # fmt: skip
_FINAL = {"CANCELLED", "OUT_OF_MEMORY", "DEADLINE"}
"""States that another try would not change, or that someone wanted."""

_GONE = "gone from the queue"


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    return command.main("slurm", "run an experiment, or what is left of it, as jobs of SLURM", _add, _pool, words)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sbatch",
        type=_line,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of sbatch for every worker, e.g. partition=gpu; may be repeated",
    )
    parser.add_argument(
        "--resources", type=pathlib.Path, default=RESOURCES, help="the same for scales; default: launch/slurm.toml"
    )
    parser.add_argument(
        "--retries",
        type=arguments.position,
        default=command.RETRIES,
        help=f"of an arm whose job was lost; default: {command.RETRIES}",
    )


def _line(text: str) -> tuple[str, str]:
    key, equals, value = text.removeprefix("--").partition("=")
    if not (key and equals and value):
        raise argparse.ArgumentTypeError(f"an option of sbatch is written partition=gpu, not {text!r}")
    return key, value


def resources(file: pathlib.Path, scale: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """The options of sbatch for a scale.

    Raises:
      UserError: there is no such file, or it is none of tables.
    """
    try:
        tables = tomllib.loads(file.read_text())
    except ValueError as error:
        raise errors.UserError(f"{file}: {error}") from None
    if odd := [name for name, table in tables.items() if not isinstance(table, dict)]:
        raise errors.UserError(f"{file}: {odd[0]} stands in no table; write it below [default] or the name of a scale")
    found = {**tables.get("default", {}), **tables.get(scale, {}), **more}
    cores = found.setdefault("cpus-per-task", 1)
    if not str(cores).isdecimal() or int(cores) < 1:
        raise errors.UserError(f"cpus-per-task is a number from 1 on, not {cores!r}")
    return found


def _pool(options: argparse.Namespace) -> pool.Open:
    command.need("submitit", "slurm")
    if missing := [each for each in ("sbatch", "srun", "squeue", "scancel", "scontrol") if not shutil.which(each)]:
        raise errors.UserError(f"SLURM is not installed here: there is no {missing[0]}; its login nodes have it")

    @contextlib.contextmanager
    def opened(sweep: Sweep) -> Iterator[Slurm]:
        asked = resources(options.resources, sweep.scale_name, dict(options.sbatch))
        yield Slurm(sweep, asked, options.workers or len(sweep.arms), options.retries)

    return opened


class Queue:
    """The states of this user's jobs, not asked for more often than every :data:`QUEUE_S`."""

    def __init__(self) -> None:
        self.looks = 0
        self._states: dict[str, str] = {}
        self._next = 0.0

    def state(self, job: str) -> str:
        """SLURM's name of a job's state."""
        if time.monotonic() >= self._next:
            done = _slurm(
                "squeue", "--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", "-o", "%i %T"
            )
            # A controller that does not answer says nothing of the jobs.
            if done.returncode == 0:
                self._states = dict(line.split() for line in done.stdout.splitlines())
                self.looks += 1
            self._next = time.monotonic() + QUEUE_S
        return self._states.get(job, _GONE)

    def active(self, job: str) -> bool:
        """Whether a job waits or runs."""
        return self.state(job) in _ACTIVE


class Slurm:
    """Workers as jobs; those that are started together are an array.

    Jobs survive the process that submitted them: the next one has them save and end before it goes on.

    Args:
      sweep: whose arms they train.
      asked: options of sbatch.
      at_once: how many tasks of an array run at a time.
      retries: see `pool.Pool`.
    """

    def __init__(self, sweep: Sweep, asked: Mapping[str, Any], at_once: int, retries: int) -> None:
        import submitit

        self.at_once, self.retries = len(sweep.arms), retries
        self.words = f"{at_once} at a time as jobs of SLURM"
        self._sweep, self._cores, self._queue = sweep, int(asked["cpus-per-task"]), Queue()
        self._folder = sweep.folder.absolute() / ".slurm"
        self._jobs = self._folder / "jobs.json"
        self._end_leftovers()
        self._executor = submitit.SlurmExecutor(self._folder, max_num_timeout=REQUEUES)
        self._executor.update_parameters(
            job_name=f"cnnjax-{sweep.experiment.name}",
            array_parallelism=at_once,
            # Since SLURM 22.05 a step no longer has what its job asked for.
            srun_args=[f"--cpus-per-task={self._cores}"],
            additional_parameters={"requeue": True, **asked},
        )

    def start(self, tasks: Sequence[pool.Task]) -> list["Worker"]:
        """Submits the tasks.

        Raises:
          UserError: SLURM does not take them.
        """
        import submitit

        try:
            with self._executor.batch():
                jobs = [self._executor.submit(command.work(self._sweep, task, self._cores)) for task in tasks]
        except submitit.core.utils.FailedJobError as error:
            lines = [line for line in str(error).splitlines() if line.startswith("sbatch:")]
            why = (lines or str(error).splitlines())[0].removeprefix("sbatch: error: ")
            raise errors.UserError(
                f"SLURM takes no job: {why}; is there a controller, and does SLURM_CONF name its configuration?"
            ) from None
        files.write_json(self._jobs, {"jobs": [*self._left(), *(job.job_id for job in jobs)]})
        return [Worker(*task, job, self._queue) for task, job in zip(tasks, jobs, strict=True)]

    def _left(self) -> list[str]:
        """The jobs of this sweep that wait or run, whoever has submitted them."""
        from cnnjax.train.run import read_json

        known = read_json(self._jobs, {"jobs": list})["jobs"] if self._jobs.exists() else []
        return [job for job in known if self._queue.active(job)]

    def _end_leftovers(self) -> None:
        while left := self._left():
            for job in left:
                _stop(job, self._queue)
            looks = self._queue.looks
            while self._queue.looks < looks + PATIENCE and self._left():
                time.sleep(1)


class Worker:
    """A job at work on an arm.

    Attributes:
      arm: what it trains.
      seeds: which runs of it.
    """

    def __init__(self, arm: Arm, seeds: Sequence[int], job: Any, queue: Queue) -> None:
        self.arm, self.seeds = arm, seeds
        self._id, self._result, self._queue = job.job_id, job.paths.result_pickle, queue
        self._submitted = self._asked = queue.looks
        self._stopped = False
        self._ended: int | None = None

    def end(self) -> pool.End | None:
        """See `pool.Worker`."""
        if self._result.exists():
            # Written by submitit in a job of this user, who can also write all that is run here.
            outcome, value = pickle.loads(self._result.read_bytes())
            if outcome == "error":
                return pool.End(command.reason(value))
            if value != signals.EXIT_INTERRUPTED or self._stopped:
                return pool.end(self.arm, value)
        state = self._queue.state(self._id)
        if self._stopped and self._queue.looks > self._asked + PATIENCE:
            self.stop()
        # A look from before it was submitted does not count; and the file may be seen later than the state.
        if state in _ACTIVE or self._queue.looks == self._submitted:
            self._ended = None
            return None
        self._ended = self._ended or self._queue.looks
        if self._queue.looks == self._ended:
            return None
        return pool.End(f"SLURM says of its job {self._id}: {state}", lost=state not in _FINAL)

    def stop(self) -> None:
        """Asks it to save and to end; one that waits does not begin."""
        self._stopped, self._asked = True, self._queue.looks
        _stop(self._id, self._queue)

    def kill(self) -> None:
        """Ends it without saving."""
        _slurm("scancel", "--signal=KILL", self._id)
        _slurm("scancel", self._id)


def _stop(job: str, queue: Queue) -> None:
    if queue.state(job) == "RUNNING":
        _slurm("scancel", "--signal=TERM", job)
    else:
        _slurm("scancel", job)


def _slurm(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
