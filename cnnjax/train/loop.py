"""A run from its first step, or from its last checkpoint, to its end."""

import contextlib
import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.data import stream
from cnnjax.interop import weights
from cnnjax.tasks.classification import EVALUATED, RUNNING
from cnnjax.train import environment, hosts, progress
from cnnjax.train.checkpoint import Checkpoints
from cnnjax.train.program import Program
from cnnjax.train.run import Follower, RunFolder

_OWN = ("execution.data_dir", "execution.keep_programs")
"""Settings in which the processes of a training may differ."""

_SEEN_S = 30
"""Seconds until what one machine writes in a folder that it shares is there for the others."""


class Interrupted(Exception):
    """The run was told to stop, and has saved; or it has lost what reads its images. It can go on from its last checkpoint."""


@dataclasses.dataclass(frozen=True)
class _Plan:
    """At which steps what is due, in steps."""

    log: int
    evaluate: int
    save: int
    save_at: frozenset[int]
    thaw: int
    epoch: int
    dispatch: int
    end: int

    def due(self, what: str, step: int) -> bool:
        return step == self.end or step % getattr(self, what) == 0 or (what == "save" and step in self.save_at)

    def next_stop(self, step: int) -> int:
        """The step at which the next dispatch ends."""
        every = (self.log, self.evaluate, self.save, self.epoch)
        stops = [(step // each + 1) * each for each in every] + [at for at in (*self.save_at, self.thaw) if at > step]
        return min(step + self.dispatch, self.end, *stops)


def train(
    program: Program,
    config: configs.ConfigDict,
    folder: RunFolder,
    say: Callable[[str], None],
    stopped: Callable[[], int] = lambda: 0,
    show: progress.Show = progress.nothing,
) -> dict[str, Any]:
    """Trains one network, or goes on with it, and returns the run's final status.

    A run that is finished is left as it is. A loss, or a parameter at a checkpoint, that is not finite ends the run with the
    outcome ``"diverged"``.

    Of several processes all call this with the same arguments; the first one keeps the run's records.

    Args:
      program: made from the same configuration, whatever its seed.
      config: the recipe.
      folder: of the run.
      say: takes one line for the user; what concerns the run's result is kept in its status too, under ``notes``.
      stopped: whether the run has been told to stop; asked after every dispatch. See `cnnjax.signals`.
      show: is told how far the run is.

    Raises:
      UserError: see :func:`check`; or the folder is in use, or holds another run, or another model's checkpoints; or processes
        differ in what they would train.
      Interrupted: it was told to stop, and a checkpoint has been saved; or a process that reads images was lost.
    """

    said: list[str] = []

    def note(line: str) -> None:
        say(line)
        said.append(line)
        if folder.status():
            folder.set_status(notes=notes())

    def notes() -> list[str]:
        return list(dict.fromkeys([*folder.status().get("notes", []), *program.notes, *said]))

    check(program, config)
    folder = folder if hosts.is_first() else Follower(folder.path)
    with contextlib.ExitStack() as held:

        def begin() -> dict[str, Any]:
            held.enter_context(folder.locked())
            described = {
                **environment.describe(config),
                "data": program.fingerprints,
                "convolution": program.conv_form,
                "compiler": program.compiler_options,
            }
            folder.open(config, described, note)
            return folder.status()

        status = hosts.from_first(begin)
        if status.get("state") == "finished":
            return status
        hosts.on_all(lambda: _check_shared(folder.path))
        size = {"steps": program.steps, "parameters": program.parameters}
        folder.set_status(state="running", outcome=None, error=None, notes=notes(), **size)
        try:
            _train(program, config, folder, note, stopped, show)
        except Interrupted:
            folder.set_status(state="interrupted")
            raise
        except stream.LostReaderError as error:
            folder.set_status(state="interrupted")
            raise Interrupted(f"{folder.path}: {error}; the same command goes on from the last checkpoint") from error
        except Exception as error:
            folder.set_status(
                state="failed", error=str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            )
            raise
        finally:
            folder.set_status(notes=notes())  # also of images that were skipped on the way
        return hosts.from_first(folder.status)


def check(program: Program, config: configs.ConfigDict) -> None:
    """Raises a `UserError` where training would refuse settings that its program has nothing to do with.

    So it does where processes differ in their settings, data or networks, or one has no part in the training.
    """
    if missing := set(range(jax.process_count())) - {device.process_index for device in program.layout.devices}:
        raise errors.UserError(
            f"execution.devices = {config.execution.devices} leaves process {min(missing)} of {jax.process_count()} without "
            "a device; 0 takes all"
        )
    hosts.same(lambda: _facts(program, config))
    _plan(program, config)
    kept = config.execution.checkpoint
    if kept.keep < 1:
        raise errors.UserError(f"execution.checkpoint.keep is at least 1, not {kept.keep}")
    if kept.best not in EVALUATED:
        raise errors.unknown("execution.checkpoint.best", kept.best, EVALUATED)


def _train(
    program: Program,
    config: configs.ConfigDict,
    folder: RunFolder,
    note: Callable[[str], None],
    stopped: Callable[[], int],
    show: progress.Show,
) -> None:
    plan, settings = _plan(program, config), config.execution.checkpoint
    started, spent = time.monotonic(), folder.status().get("seconds", 0.0)

    def finish(outcome: str, step: int, summary: dict[str, float]) -> None:
        seconds = round(spent + time.monotonic() - started, 3)
        folder.set_status(state="finished", outcome=outcome, step=step, seconds=seconds, summary=summary)

    best = lambda steps: folder.best(settings.best, steps)  # noqa: E731
    with (
        contextlib.closing(program.feed),
        Checkpoints(folder.checkpoints, settings.keep, plan.save_at, best, note) as checkpoints,
    ):
        tree = {"state": program.abstract, "sums": jax.eval_shape(program.task.init)}
        restored = checkpoints.restore(program.layout.abstract(tree))
        if restored:
            done, tree = restored
            state, sums = tree["state"], tree["sums"]
        else:
            done, state, sums = 0, program.init(config.seed, folder.path), program.zero()
        folder.cut(done)
        scale = hosts.from_first(lambda: program.scale(folder.metrics()))
        logged_at, logged_step, rate, waited = time.monotonic(), done, 0.0, program.feed.waited_s
        aside = 0.0  # seconds since then in which nothing was trained: evaluation and saving
        row: dict[str, float] = {}
        while done < program.steps:
            stop = plan.next_stop(done)
            before = sums
            state, sums = program.run(state, sums, done, stop - done, scale)
            done = stop
            # Never more than one dispatch ahead of the device: a signal is answered within two.
            jax.block_until_ready(before)

            if plan.due("log", done) or plan.due("evaluate", done):
                row = {"step": done, "epoch": round(done / program.steps_per_epoch, 6)}
                read = program.fetch({"sums": sums, "lr": program.schedule(done - 1)})
                row["lr"] = float(read["lr"]) * scale
                running = program.task.compute(read["sums"])
                row |= {f"batch/{name}": running[name] for name in RUNNING}
                sums = program.zero()
                if not math.isfinite(row["batch/loss"]):
                    note(f"{folder.path}: the loss is not finite at step {done}; the run ends here as diverged")
                    return finish("diverged", done, {})
                if plan.due("evaluate", done):
                    begun = time.monotonic()
                    for name in ("train", "test"):
                        row |= {f"{name}/{key}": value for key, value in program.evaluate(state, name).items()}
                    aside += time.monotonic() - begun
                folder.add_metrics(row)
                scale = hosts.from_first(lambda: program.scale(folder.metrics())) if config.schedule.plateau else 1.0
                now = time.monotonic()
                rate = (done - logged_step) * config.batch_size / (now - logged_at)
                share = min(1.0, (program.feed.waited_s - waited) / max(now - logged_at - aside, 1e-9))
                seconds = round(spent + now - started, 3)
                speed = {"seconds": seconds, "examples_per_second": round(rate, 1), "waited": round(share, 4)}
                folder.add_timing({"step": done, **speed})
                folder.set_status(step=done, **speed, row=row)
                logged_at, logged_step, waited, aside = now, done, program.feed.waited_s, 0.0

            show(done, program.steps, rate, row)
            stop_here = hosts.any_of(bool(stopped()))
            if plan.due("save", done) or stop_here:
                if not program.finite({"state": state, "sums": sums}):
                    note(f"{folder.path}: a parameter is not finite at step {done}; the run ends here as diverged")
                    return finish("diverged", done, {})
                begun = time.monotonic()
                checkpoints.save(done, {"state": state, "sums": sums})
                aside += time.monotonic() - begun
            if stop_here and done < program.steps:
                hosts.on_all(checkpoints.wait)
                raise Interrupted(f"{folder.path}: stopped and saved at step {done} of {program.steps}")
        last = [(key, value) for each in folder.metrics()[-1:] for key, value in each.items()]
        summary = {key: value for key, value in last if key.split("/")[0] in ("train", "test")}
    if hosts.is_first():
        weights.save(folder.weights, program.record(), program.fetch(state.variables))
    finish("completed", done, summary)
    return None


def _facts(program: Program, config: configs.ConfigDict) -> dict[str, Any]:
    """What all processes of a training must have in common, as JSON holds it."""
    settings = configs.flatten(json.loads(config.to_json()))
    return {
        **{f"config.{key}": value for key, value in settings.items() if key not in _OWN},
        **{f"the fingerprint of the {name} set": found for name, found in program.fingerprints.items()},
        "the form of convolutions": program.conv_form,
        "the versions of packages": environment.packages(),
    }


def _check_shared(folder: pathlib.Path) -> None:
    """Raises a `UserError` where this process does not see what the first one has written."""
    until = time.monotonic() + _SEEN_S
    while not (folder / "run.json").exists():
        if time.monotonic() > until:
            raise errors.UserError(f"{folder} is not there; the processes of a training share the folder of their run")
        time.sleep(0.1)


def _plan(program: Program, config: configs.ConfigDict) -> _Plan:
    settings = config.execution.checkpoint

    if config.execution.steps_per_dispatch < 1:
        raise errors.UserError(f"execution.steps_per_dispatch is at least 1, not {config.execution.steps_per_dispatch}")
    return _Plan(
        log=program.duration(config.evaluation.log, "evaluation.log"),
        evaluate=program.duration(config.evaluation.every, "evaluation.every"),
        save=program.duration(settings.every, "execution.checkpoint.every"),
        save_at=frozenset(program.duration(each, "execution.checkpoint.at") for each in settings.at),
        thaw=program.frozen_until,
        epoch=program.steps_per_epoch,
        dispatch=config.execution.steps_per_dispatch,
        end=program.steps,
    )
