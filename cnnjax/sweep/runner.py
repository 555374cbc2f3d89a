"""Runs a sweep: has workers started, watches them, and stops them when told to."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from cnnjax import signals
from cnnjax.sweep import measures, progress
from cnnjax.sweep.plan import Sweep
from cnnjax.sweep.pool import Open, Task, Worker, record_failure
from cnnjax.train.loop import Interrupted
from cnnjax.train.run import folder_lock

POLL_S = 0.5
PLAIN_S = 30.0


def run(sweep: Sweep, open_pool: Open, console: Console) -> list[str]:
    """Does what is left of a sweep.

    Runs that are finished with the same settings are left alone, interrupted ones go on, ones with other settings are moved
    to ``superseded/``. An arm that fails does not stop the others.

    Args:
      sweep: what to do.
      open_pool: where its workers run, `workers.local` or another.
      console: for progress.

    Returns:
      One line for each arm that failed.

    Raises:
      UserError: the folder is in use by another sweep, or another experiment's.
      Interrupted: SIGTERM or SIGINT came; the workers have saved.
    """
    # Also says what is wrong with an arm that cannot be, before anything is made.
    measures.check_claims(sweep.claims)
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
        with open_pool(sweep) as pool, signals.noted() as stopped, _display(sweep, console) as show:
            console.print(
                f"{total} runs in {len(sweep.arms)} arms, {done} finished before; {pool.words}; {sweep.folder}",
                soft_wrap=True,
            )
            active: list[Worker] = []
            failures: list[str] = []
            tries: Counter[str] = Counter()
            told = 0
            try:
                while (waiting and not stopped()) or active:
                    room = pool.at_once - len(active)
                    if room > 0 and not stopped() and (ready := _ready(waiting, active)[:room]):
                        waiting = [task for task in waiting if task not in ready]
                        active += pool.start(ready)
                    if stopped() > told:
                        # The first time they are asked to save. One that has saved answers a second signal by dying of it,
                        # and the second time that is what is wanted.
                        again, told = told > 0, stopped()
                        console.print("killing the workers" if again else "stopping: the workers save their runs")
                        for worker in active:
                            worker.kill() if again else worker.stop()
                    time.sleep(POLL_S)
                    for worker, end in [(each, end) for each in active if (end := each.end())]:
                        active.remove(worker)
                        arm = worker.arm
                        if stopped() or not end.failure:
                            continue
                        if end.lost and tries[arm.name] < pool.retries:
                            tries[arm.name] += 1
                            left = arm.pending()
                            waiting = [(arm, left), *waiting] if left else waiting
                            console.print(f"{arm.name}: {end.failure}; it goes on elsewhere", soft_wrap=True)
                        else:
                            record_failure(arm, worker.seeds, end.failure)
                            failures.append(f"{arm.name}: {end.failure} (see {arm.log})")
                    show()
            finally:
                for worker in active:
                    worker.kill()
        if stopped() and any(arm.pending() for arm in sweep.arms):
            raise Interrupted
    return failures


def _ready(waiting: Sequence[Task], active: Sequence[Worker]) -> list[Task]:
    """The arms whose source is not still to be trained; where that has failed, the arm says so by failing itself."""
    undone = {arm.name for arm, _ in waiting} | {worker.arm.name for worker in active}
    return [task for task in waiting if task[0].source not in undone]


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
