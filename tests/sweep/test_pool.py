"""What the runner does with a pool of workers that end in all ways, and a worker's work on a machine of its own."""

import dataclasses
import io
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from rich.console import Console

from cnnjax.sweep import experiment, plan, pool, runner, work
from cnnjax.sweep.plan import Arm, Sweep
from cnnjax.train.run import folder_lock

LOST, FAILED = pool.End("its machine was lost", lost=True), pool.End("exit status 2: no")


@dataclasses.dataclass
class Worker:
    """Ends as it was told to, at once."""

    arm: Arm
    seeds: Sequence[int]
    ends: pool.End

    def end(self) -> pool.End:
        return self.ends

    def stop(self) -> None:
        raise AssertionError("nobody stops it")

    kill = stop


class Pool:
    """Workers whose ends are written down, arm by arm."""

    words = "nowhere"

    def __init__(self, at_once: int, retries: int, **ends: list[pool.End]) -> None:
        self.at_once, self.retries, self.ends = at_once, retries, ends
        self.started: list[list[tuple[str, list[int]]]] = []

    def start(self, tasks: Sequence[pool.Task]) -> list[Worker]:
        self.started.append([(arm.name, list(seeds)) for arm, seeds in tasks])
        return [Worker(arm, seeds, self.ends[arm.name].pop(0)) for arm, seeds in tasks]

    @contextmanager
    def opened(self, sweep: Sweep) -> Iterator["Pool"]:
        yield self


@pytest.fixture
def run(
    write_experiment, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Pool, list[str]]]:
    def run(*numbers: int, **ends: list[pool.End]) -> tuple[Pool, list[str]]:
        monkeypatch.setattr(runner, "POLL_S", 0)
        sweep = plan.make(experiment.load(write_experiment(tmp_path)), "", (), (), tmp_path / "runs")
        made = Pool(*numbers, **ends)
        failures = runner.run(sweep, made.opened, Console(file=io.StringIO()))
        return made, [failure.partition(" (see ")[0] for failure in failures]

    return run


def test_as_many_at_once_as_the_pool_takes(run) -> None:
    assert run(2, 0, thin=[FAILED], wide=[FAILED])[0].started == [[("wide", [0, 1]), ("thin", [0, 1])]]
    assert run(1, 0, thin=[FAILED], wide=[FAILED])[0].started == [[("wide", [0, 1])], [("thin", [0, 1])]]


def test_what_was_lost_is_begun_again_so_often(run) -> None:
    made, failures = run(2, 2, thin=[LOST, LOST, pool.End()], wide=[LOST, LOST, LOST])
    assert failures == ["wide: its machine was lost"]
    assert [len(each) for each in made.ends.values()] == [0, 0]


def test_what_failed_by_itself_is_not(run) -> None:
    made, failures = run(2, 2, thin=[FAILED, pool.End()], wide=[pool.End()])
    assert failures == ["thin: exit status 2: no"]
    assert len(made.ends["thin"]) == 1


SAVES = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def given(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[work.Work]:
    """Work on a process that waits for SIGTERM, and its log."""

    def start(arguments: object, log: pathlib.Path, *_: object) -> "subprocess.Popen[bytes]":
        with log.open("ab") as file:
            return subprocess.Popen([sys.executable, "-c", SAVES], stdout=file, stdin=subprocess.DEVNULL)

    monkeypatch.setattr(work, "start", start)
    before = signal.getsignal(signal.SIGTERM)
    yield work.Work([], tmp_path / "log", tmp_path, 10_000)
    signal.signal(signal.SIGTERM, before)


def when_ready(given: work.Work, then: Callable[[], object]) -> threading.Thread:
    def wait() -> None:
        while not (given.log.exists() and given.log.read_text()):
            time.sleep(0.01)
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("how", [work.Work.stop, lambda _: signal.raise_signal(signal.SIGTERM)], ids=["call", "signal"])
def test_work_saves_when_it_is_told_to_stop(given: work.Work, how: Callable[[work.Work], None]) -> None:
    thread = when_ready(given, lambda: how(given))
    assert given() == 75
    thread.join()


def test_work_waits_until_what_a_lost_machine_held_is_free(given: work.Work) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(given()))
    with folder_lock(given.log.parent / "seed-0", "in use"):
        thread.start()
        time.sleep(0.5)
        assert not given.log.exists()
    when_ready(given, given.stop).join()
    thread.join()
    assert codes == [75]


def test_work_that_goes_back_into_the_queue_saves_and_can_be_done_again(given: work.Work) -> None:
    pytest.importorskip("submitit")
    found: list[object] = []

    def preempted(*_: object) -> None:
        found.append(given.checkpoint())
        raise SystemExit(-1)

    before = signal.signal(signal.SIGUSR2, preempted)
    thread = when_ready(given, lambda: signal.raise_signal(signal.SIGUSR2))
    with pytest.raises(SystemExit):
        given()
    thread.join()
    signal.signal(signal.SIGUSR2, before)
    assert given._process is not None
    assert given._process.returncode == 75 or given._process.wait() == 75
    (again,) = found
    assert again.function == given
    assert not again.function._stopping
