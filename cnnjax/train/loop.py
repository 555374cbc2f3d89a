"""A run from its first step, or from its last checkpoint, to its end."""

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

from cnnjax import config as configs
from cnnjax.train import environment
from cnnjax.train.checkpoint import Checkpoints
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder

EXIT_INTERRUPTED = 75
"""Exit status of a run that was told to stop, has saved, and can be started again (``EX_TEMPFAIL``)."""


class Interrupted(Exception):
    """The run was told to stop, and has saved."""


@dataclasses.dataclass(frozen=True)
class _Plan:
    """At which steps what is due, in steps."""

    log: int
    evaluate: int
    save: int
    save_at: frozenset[int]
    epoch: int
    dispatch: int
    end: int

    def due(self, what: str, step: int) -> bool:
        return step == self.end or step % getattr(self, what) == 0 or (what == "save" and step in self.save_at)

    def next_stop(self, step: int) -> int:
        """The step at which the next dispatch ends."""
        every = (self.log, self.evaluate, self.save, self.epoch)
        stops = [(step // each + 1) * each for each in every] + [at for at in self.save_at if at > step]
        return min(step + self.dispatch, self.end, *stops)


def train(
    program: Program, config: configs.ConfigDict, folder: RunFolder, say: Callable[[str], None]
) -> dict[str, Any]:
    """Trains one network, or goes on with it, and returns the run's final status.

    A run that is finished is left as it is. A loss, or a parameter at a checkpoint, that is not finite ends the run with the
    outcome ``"diverged"``.

    Args:
      program: made from the same configuration, whatever its seed.
      config: the recipe.
      folder: of the run.
      say: takes one line for the user.

    Raises:
      UserError: the folder is in use, or holds another run, or another model's checkpoints.
      Interrupted: SIGTERM or SIGINT came; a checkpoint has been saved.
    """
    with folder.locked():
        folder.open(
            config,
            {**environment.describe(config), "data": program.fingerprints, "convolution": program.conv_form},
            say,
        )
        status = folder.status()
        if status.get("state") == "finished":
            return status
        try:
            with _stop_signal() as stopped:
                _train(program, config, folder, say, stopped)
        except Interrupted:
            folder.set_status(state="interrupted")
            raise
        except Exception as error:
            folder.set_status(
                state="failed", error=str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            )
            raise
        return folder.status()


def _train(
    program: Program,
    config: configs.ConfigDict,
    folder: RunFolder,
    say: Callable[[str], None],
    stopped: Callable[[], bool],
) -> None:
    plan, settings = _plan(program, config), config.execution.checkpoint
    started, spent = time.monotonic(), folder.status().get("seconds", 0.0)
    folder.set_status(state="running", outcome=None, error=None, steps=program.steps, parameters=program.parameters)

    def finish(outcome: str, step: int, summary: dict[str, float]) -> None:
        seconds = round(spent + time.monotonic() - started, 3)
        folder.set_status(state="finished", outcome=outcome, step=step, seconds=seconds, summary=summary)

    best = lambda steps: folder.best(settings.best, steps)  # noqa: E731
    with Checkpoints(folder.checkpoints, settings.keep, plan.save_at, best, say) as checkpoints:
        tree = {"state": program.abstract, "sums": jax.eval_shape(program.task.init)}
        restored = checkpoints.restore(program.layout.abstract(tree))
        if restored:
            done, tree = restored
            state, sums = tree["state"], tree["sums"]
        else:
            done, state, sums = 0, program.init(config.seed), program.zero()
        folder.cut(done)
        logged_at, logged_step = time.monotonic(), done
        while done < program.steps:
            stop = plan.next_stop(done)
            before = sums
            state, sums = program.run(state, sums, done, stop - done)
            done = stop
            # Never more than one dispatch ahead of the device: a signal is answered within two.
            jax.block_until_ready(before)

            if plan.due("log", done) or plan.due("evaluate", done):
                row = {"step": done, "epoch": round(done / program.steps_per_epoch, 6)}
                row["lr"] = float(program.schedule(done - 1))
                row |= {f"batch/{name}": value for name, value in program.task.compute(sums).items()}
                sums = program.zero()
                if not math.isfinite(row["batch/loss"]):
                    say(f"{folder.path}: the loss is not finite at step {done}; the run ends here as diverged")
                    return finish("diverged", done, {})
                if plan.due("evaluate", done):
                    for name in ("train", "test"):
                        row |= {f"{name}/{key}": value for key, value in program.evaluate(state, name).items()}
                folder.add_metrics(row)
                now = time.monotonic()
                rate = (done - logged_step) * config.batch_size / (now - logged_at)
                seconds = round(spent + now - started, 3)
                folder.add_timing({"step": done, "seconds": seconds, "examples_per_second": round(rate, 1)})
                folder.set_status(step=done, seconds=seconds, examples_per_second=round(rate, 1), row=row)
                logged_at, logged_step = now, done

            stop_here = stopped()
            if plan.due("save", done) or stop_here:
                if not program.finite({"state": state, "sums": sums}):
                    say(f"{folder.path}: a parameter is not finite at step {done}; the run ends here as diverged")
                    return finish("diverged", done, {})
                checkpoints.save(done, {"state": state, "sums": sums})
            if stop_here and done < program.steps:
                checkpoints.wait()
                say(f"{folder.path}: stopped and saved at step {done} of {program.steps}")
                raise Interrupted
        summary = {key: value for key, value in folder.metrics()[-1].items() if key.split("/")[0] in ("train", "test")}
    finish("completed", done, summary)
    return None


def _plan(program: Program, config: configs.ConfigDict) -> _Plan:
    settings = config.execution.checkpoint

    def at_least_one(text: str) -> int:
        return max(1, program.duration(text))

    return _Plan(
        log=at_least_one(config.evaluation.log),
        evaluate=at_least_one(config.evaluation.every),
        save=at_least_one(settings.every),
        save_at=frozenset(program.duration(each) for each in settings.at),
        epoch=program.steps_per_epoch,
        dispatch=max(1, config.execution.steps_per_dispatch),
        end=program.steps,
    )


@contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """While inside, SIGTERM and SIGINT only leave a note; the loop reads it between two dispatches."""
    received: list[int] = []
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.signal(each, lambda number, _: received.append(number)) for each in signals}
    try:
        yield lambda: bool(received)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
