"""A small experiment, run on this machine, that launchers are compared with."""

import contextlib
import dataclasses
import io
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.console import Console

from cnnjax.signals import EXIT_INTERRUPTED
from cnnjax.sweep import experiment, outcome, plan, runner, store, workers
from cnnjax.sweep.plan import Sweep

ROOT = pathlib.Path(__file__).parents[2]


class Launch:
    """An experiment in a folder, and what is done with it.

    Attributes:
      path: its file.
      sweep: it, at its scale.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.sweep: Sweep = plan.make(experiment.load(path), "", (), (), path.parent / "runs")
        self._started: list[subprocess.Popen[str]] = []

    def here(self) -> None:
        """Runs it on this machine, two workers, each pinned to a core."""
        assert runner.run(self.sweep, workers.local(2), Console(file=io.StringIO())) == []

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[str]":
        """Starts ``python -m …`` on it, in the repository's root."""
        command = [sys.executable, "-m", *words, str(self.path), "--runs", str(self.path.parent / "runs")]
        variables = {**os.environ, "PYTHONWARNINGS": "default", **environment}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self._started.append(subprocess.Popen(command, cwd=ROOT, env=variables, **pipes))
        return self._started[-1]

    def stop(self, process: "subprocess.Popen[str]") -> None:
        """Waits until an arm has a checkpoint, and tells a launcher to save and to stop."""
        self.wait(process, lambda: self.begun("thin"))
        process.terminate()
        output = process.communicate()[0]
        assert process.returncode == EXIT_INTERRUPTED, output
        assert "stopped; the same command goes on from here" in output
        states = {arm.run(0)[0].status().get("state") for arm in self.sweep.arms}
        assert "interrupted" in states
        assert states <= {"interrupted", "finished", None}

    def wait(self, process: "subprocess.Popen[str]", condition: Callable[[], object]) -> None:
        """Waits for what must come while a launcher runs; how long it takes decides nothing."""
        while not condition():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)

    def begun(self, arm: str) -> bool:
        """Whether an arm has a checkpoint from which it could go on."""
        return any((self.sweep.folder / arm / "seed-0" / "checkpoints").glob("[0-9]*"))

    def workers(self, arm: str) -> list[int]:
        """The ``cnnjax train`` processes of an arm."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if b"train" in words and str(self.sweep.folder / arm).encode() in words:
                    found.append(int(folder.name))
        return found

    def kill(self, arm: str) -> None:
        """Kills the worker of an arm."""
        (worker,) = self.workers(arm)
        os.kill(worker, signal.SIGKILL)

    def results(self) -> tuple[str, list[bytes]]:
        """What the report says, without times; and the bytes of all metrics."""
        found = outcome.summarise(self.sweep, store.load(self.sweep.folder))
        arms = [dataclasses.replace(arm, seconds=0.0) for arm in found.arms]
        metrics = [path.read_bytes() for path in sorted(self.sweep.folder.glob("*/seed-*/metrics.jsonl"))]
        return f"{arms} {found.verdicts}", metrics

    def end(self) -> None:
        """Leaves nothing behind."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()
            elif process.stdout:
                process.stdout.close()


@pytest.fixture
def launch(write_experiment, tmp_path: pathlib.Path) -> Iterator[Launch]:
    """The experiment in an empty folder."""
    launch = Launch(write_experiment(tmp_path, seeds=(0,), duration="12 epochs"))
    yield launch
    launch.end()


@pytest.fixture(scope="session")
def local(write_experiment, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[bytes]]:
    """What it says on this machine, undisturbed."""
    launch = Launch(write_experiment(tmp_path_factory.mktemp("local"), seeds=(0,), duration="12 epochs"))
    launch.here()
    return launch.results()
