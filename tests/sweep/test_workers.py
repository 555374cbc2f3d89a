"""Worker processes: what they are told, and what is made of how they end."""

import os
import pathlib
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from cnnjax import cli, machine
from cnnjax import config as configs
from cnnjax.commands import process
from cnnjax.signals import EXIT_INTERRUPTED
from cnnjax.sweep import experiment, plan, pool, work, workers
from cnnjax.sweep.plan import Arm
from cnnjax.train import loop
from cnnjax.train.run import RunFolder


@pytest.fixture
def arm(write_experiment, tmp_path: pathlib.Path) -> Callable[..., Arm]:
    """An arm of the tiny experiment with some overrides."""

    def make(**overrides: Any) -> Arm:
        path = write_experiment(tmp_path, arms={"odd": overrides})
        return plan.make(experiment.load(path), "", (), (), tmp_path / "runs").arms[-1]

    return make


@pytest.mark.parametrize(
    "overrides",
    [
        {"duration": "2 epochs", "dataset.name": "a 'name' with \"quotes\", = and $(signs)\nand a line"},
        {"model.depth": 14, "seed": 0},
        {"optimizer.nesterov": True, "model.scan": False},
        {
            "schedule.learning_rate": 1e-5,
            "schedule.factor": 1 / 3,
            "optimizer.weight_decay": 0,
            "model.bn_momentum": 1e30,
        },
        {"schedule.boundaries": ("1 epochs", "2.5 epochs"), "execution.checkpoint.at": ()},
        {"schedule.boundaries": ["3 steps"]},
        {"optimizer.decay_multipliers": ((r"stage\d+/.*kernel$", 1.0), ("it's", 0.5), ("", 0))},
        {"execution.data_dir": "/a path/with spaces", "dataset.train": ""},
    ],
)
def test_command_line_says_every_setting(overrides: dict[str, Any], arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker trains with is the arm's configuration, type by type."""
    trained: list[tuple[pathlib.Path, configs.ConfigDict]] = []

    def train(program: object, config: configs.ConfigDict, folder: RunFolder, *_: object) -> dict[str, Any]:
        trained.append((folder.path, config))
        return {"outcome": "completed", "step": 1, "summary": {}}

    monkeypatch.setattr(loop, "train", train)
    small = types.SimpleNamespace(network=("lenet_cifar", {}), task=types.SimpleNamespace(shape=(32, 32, 3)))
    monkeypatch.setattr("cnnjax.train.program.Program", lambda config, say, run: small)
    monkeypatch.setattr(process, "stop_as_interrupt", lambda: None)
    made = arm(**overrides)
    assert cli.main(workers.command_line(made, (3, 5))) == 0
    assert [path for path, _ in trained] == [made.folder / "seed-3", made.folder / "seed-5"]
    for (_, config), seed in zip(trained, (3, 5), strict=True):
        expected = configs.flatten(made.run(seed)[1])
        found = configs.flatten(config)
        assert found == expected
        assert {key: type(value) for key, value in found.items()} == {
            key: type(value) for key, value in expected.items()
        }


def ended(arm: Arm, code: str, log: str = "") -> workers.Worker:
    """A worker whose process has ended."""
    arm.folder.mkdir(parents=True, exist_ok=True)
    if log:
        (arm.folder / "worker.log").write_text(log)
    process = subprocess.Popen([sys.executable, "-c", code])
    process.wait()
    return workers.Worker(arm, (0, 1), process)


@pytest.mark.parametrize(
    ("code", "log", "failure", "lost"),
    [
        ("", "all well\n", "", False),
        ("raise SystemExit(2)", "line\ncnnjax: error: no such thing\n\n", "exit status 2: no such thing", False),
        ("raise SystemExit(1)", "", "exit status 1: it printed nothing", False),
        ("import os; os.kill(os.getpid(), 9)", "step 5\n", "killed by signal 9", True),
        (f"raise SystemExit({EXIT_INTERRUPTED})", "saved\n", "stopped, not by this sweep: saved", True),
    ],
)
def test_why_it_ended(code: str, log: str, failure: str, lost: bool, arm) -> None:
    assert ended(arm(), code, log).end() == pool.End(failure, lost)


def test_failure_is_recorded_in_the_run_that_was_under_way(arm) -> None:
    made = arm()
    first, second = (RunFolder(made.folder / f"seed-{seed}") for seed in (0, 1))
    done = {"state": "finished", "outcome": "completed", "step": 1, "seconds": 1.0, "summary": {}}
    first.set_status(**done)
    pool.record_failure(made, (0, 1), "exit status 1: out of memory")
    assert first.status() == done
    assert second.status() == {"state": "failed", "error": "exit status 1: out of memory"}


def test_failure_of_a_damaged_run_is_not_recorded_over_it(arm) -> None:
    made = arm()
    status = made.folder / "seed-0" / "status.json"
    status.parent.mkdir(parents=True)
    status.write_text("{")
    pool.record_failure(made, (0, 1), "exit status 1")
    assert status.read_text() == "{"


@pytest.mark.parametrize(
    ("cores", "count", "expected"),
    [
        ([0, 1], 1, [[]]),
        ([0, 1], 2, [[0], [1]]),
        ([2, 3, 5, 7], 2, [[2, 3], [5, 7]]),
        ([0, 1, 2], 2, [[0], [1]]),
        ([4, 6], 3, [[4], [6], [4]]),
        ([0, 1, 2, 3, 4, 5, 6], 3, [[0, 1], [2, 3], [4, 5]]),
    ],
)
def test_every_worker_has_as_many_cores(cores, count, expected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    assert workers.shares(count) == expected


def test_one_worker_a_core() -> None:
    assert workers.default_count() == len(machine.cores()) == len(os.sched_getaffinity(0))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not pin processes")
def test_worker_ends_when_its_pipe_is_closed(arm) -> None:
    made = arm()
    process = work.start(workers.command_line(made, (0,)), made.log, machine.cores()[:1])
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait() == 1
    assert made.log.read_text() == ""
    assert pool.end(made, 1).failure == "exit status 1: it printed nothing"
