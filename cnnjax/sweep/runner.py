"""Runs a sweep on this machine: starts workers, watches them, and stops them when told to."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from cnnjax import signals
from cnnjax.sweep import measures, progress, workers
from cnnjax.sweep.plan import Arm, Sweep
from cnnjax.train.loop import Interrupted
from cnnjax.train.run import folder_lock

POLL_S = 0.5
PLAIN_S = 30.0


def run(sweep: Sweep, count: int, console: Console) -> list[str]:
    """Does what is left of a sweep.

    Runs that are finished with the same settings are left alone, interrupted ones go on, ones with other settings are moved
    to ``superseded/``. An arm that fails does not stop the others.

    Args:
      sweep: what to do.
      count: how many workers; 0 for as many as help.
      console: for progress.

    Returns:
      One line for each arm that failed.

    Raises:
      UserError: the folder is in use by another sweep, or another experiment's.
      Interrupted: SIGTERM or SIGINT came; the workers have saved.
    """
    # Also says what is wrong with an arm that cannot be, before anything is made.
    measures.check_claims(sweep.experiment.claims)
    work = {arm.name: progress.work(arm) for arm in sweep.arms}
    with folder_lock(sweep.folder, f"another sweep is running in {sweep.folder}"):
        sweep.claim_folder()
        for moved in sweep.supersede():
            console.print(f"settings changed: the old run is now {moved}", soft_wrap=True)
        # The longest first: what is left for the end is short, and no worker idles for long.
        waiting = [(arm, pending) for arm in sweep.arms if (pending := arm.pending())]
        waiting.sort(key=lambda each: -work[each[0].name] * len(each[1]))
        total = sum(len(arm.seeds) for arm in sweep.arms)
        if not waiting:
            console.print(f"all {total} runs are finished: nothing to do")
            return []
        done = total - sum(len(pending) for _, pending in waiting)
        # Not the arms that are waiting: a worker of a sweep that goes on has as many cores as it had before.
        count = min(count or workers.default_count(), len(sweep.arms))
        console.print(
            f"{total} runs in {len(sweep.arms)} arms, {done} finished before; {count} at a time; {sweep.folder}",
            soft_wrap=True,
        )
        free = workers.shares(count)
        active: list[workers.Worker] = []
        failures: list[str] = []
        told = 0
        with signals.noted() as stopped, _display(sweep, console) as show:
            try:
                while (waiting and not stopped()) or active:
                    while free and not stopped() and (ready := _ready(waiting, active)):
                        waiting.remove(ready)
                        active.append(workers.start(*ready, free.pop()))
                    if stopped() > told:
                        # The first time they are asked to save. One that has saved answers a second signal by dying of it,
                        # and the second time that is what is wanted.
                        again, told = told > 0, stopped()
                        console.print("killing the workers" if again else "stopping: the workers save their runs")
                        for worker in active:
                            worker.kill() if again else worker.process.terminate()
                    time.sleep(POLL_S)
                    for worker in [each for each in active if each.ended()]:
                        active.remove(worker)
                        free.append(list(worker.cores))
                        if not stopped() and (failure := worker.failure()):
                            worker.record_failure()
                            failures.append(f"{worker.arm.name}: {failure} (see {worker.log})")
                    show()
            finally:
                for worker in active:
                    worker.kill()
        if stopped() and any(arm.pending() for arm in sweep.arms):
            raise Interrupted
    return failures


Waiting = list[tuple[Arm, list[int]]]


def _ready(waiting: Waiting, active: list[workers.Worker]) -> tuple[Arm, list[int]] | None:
    """The first arm whose source is not still to be trained; where that has failed, the arm says so by failing itself."""
    undone = {arm.name for arm, _ in waiting} | {worker.arm.name for worker in active}
    return next((each for each in waiting if each[0].source not in undone), None)


@contextmanager
def _display(sweep: Sweep, console: Console) -> Iterator[Callable[[], None]]:
    """A table that stays in place on a terminal; elsewhere a line for each run that ends, and one now and then."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=2) as live:
            yield lambda: live.update(progress.table(sweep))
        return
    reported = set(progress.finished(sweep))
    last = time.monotonic()

    def lines() -> None:
        nonlocal last
        for key, line in progress.finished(sweep).items():
            if key not in reported:
                reported.add(key)
                console.print(line, soft_wrap=True)
        if time.monotonic() - last > PLAIN_S:
            last = time.monotonic()
            console.print(progress.line(sweep), soft_wrap=True)

    yield lines
    lines()
