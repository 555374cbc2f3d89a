"""One compiled program for all tests of training, and what an undisturbed run of it leaves on disk."""

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from cnnjax import config as configs
from cnnjax import signals
from cnnjax.train import loop
from cnnjax.train.checkpoint import Checkpoints
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder

DIGITS = pathlib.Path(__file__).parents[2] / "configs" / "resnet_cifar_digits.py"


class Signalled:
    """A program that is sent a signal while it runs the dispatch that ends at a step."""

    def __init__(self, program: Program, at: int, number: signal.Signals = signal.SIGTERM):
        self._program, self._at, self._number = program, at, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)

    def run(self, state: Any, sums: Any, done: int, count: int, *rest: Any) -> Any:
        if done + count == self._at:
            os.kill(os.getpid(), self._number)
        return self._program.run(state, sums, done, count, *rest)


@pytest.fixture(scope="session")
def recipe(tiny_settings: list[str]) -> configs.ConfigDict:
    """`tiny`, once for all."""
    base = configs.load(DIGITS)
    return configs.override(base, configs.parse(base, tiny_settings))


@pytest.fixture(scope="session")
def program(recipe: configs.ConfigDict) -> Program:
    """The recipe's program. What lies under ``execution`` may differ in a run that uses it, devices and mapping apart."""
    return Program(recipe)


@pytest.fixture(scope="session")
def undisturbed(program: Program, recipe: configs.ConfigDict, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nothing happened to."""
    folder = RunFolder(tmp_path_factory.mktemp("undisturbed") / "run")
    loop.train(program, recipe, folder, lambda line: None)
    return folder


def leaves(tree: Any) -> dict[str, np.ndarray]:
    """Arrays by name; a key as its bits."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    raw = lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x  # noqa: E731
    return {jax.tree_util.keystr(path): np.array(raw(leaf)) for path, leaf in flat}


@pytest.fixture(scope="session")
def result(program: Program) -> Callable[[RunFolder], dict[str, bytes]]:
    """The bytes of what a run computed: its metrics, and every array of its newest checkpoint."""

    def read(folder: RunFolder) -> dict[str, bytes]:
        tree = {"state": program.abstract, "sums": jax.eval_shape(program.task.init)}
        with Checkpoints(folder.checkpoints, 9, (), lambda steps: None, pytest.fail) as checkpoints:
            restored = checkpoints.restore(program.layout.abstract(tree))
        assert restored is not None
        arrays = {name: array.tobytes() for name, array in leaves(restored[1]).items()}
        return {"metrics": (folder.path / "metrics.jsonl").read_bytes(), "step": bytes([restored[0]]), **arrays}

    return read


@pytest.fixture
def signalled(program: Program) -> Callable[..., Signalled]:
    """The program, made to be sent a signal: ``signalled(at, signal.SIGINT)``."""
    return lambda at, number=signal.SIGTERM: Signalled(program, at, number)


@pytest.fixture
def stop(program: Program, recipe: configs.ConfigDict) -> Callable[..., list[str]]:
    """Trains until SIGTERM comes in the dispatch that ends at a step; returns what was said."""

    def train(folder: RunFolder, at: int, **execution: Any) -> list[str]:
        said: list[str] = []
        config = configs.override(recipe, {f"execution.{key.replace('__', '.')}": v for key, v in execution.items()})
        with pytest.raises(loop.Interrupted) as interrupted, signals.noted() as stopped:
            loop.train(Signalled(program, at), config, folder, said.append, stopped)  # type: ignore[arg-type]
        return [*said, str(interrupted.value)]

    return train


@pytest.fixture
def resume(program: Program, recipe: configs.ConfigDict) -> Callable[..., list[str]]:
    """Trains to the end; returns what was said."""

    def train(folder: RunFolder, **execution: Any) -> list[str]:
        said: list[str] = []
        config = configs.override(recipe, {f"execution.{key.replace('__', '.')}": v for key, v in execution.items()})
        status = loop.train(program, config, folder, said.append)
        assert (status["state"], status["outcome"], status["step"]) == ("finished", "completed", 22)
        return said

    return train


@pytest.fixture
def doctored(tiny_settings: list[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``cnnjax train`` in a process of its own, with some lines of Python before.

    In them ``kill_at(owner, name, when, after=False)`` makes the process kill -9 itself as it calls, or has called, a
    function with arguments for which ``when`` is true. The devices are those of this process, for equal environments.
    """
    prelude = """
import os, signal, sys
from cnnjax import cli
from cnnjax import files
from cnnjax.train import checkpoint, loop, program, run

def kill_at(owner, name, when, after=False):
    real = getattr(owner, name)
    def call(*arguments, **fields):
        fatal = when(*arguments, **fields)
        if after: real(*arguments, **fields)
        if fatal: os.kill(os.getpid(), signal.SIGKILL)
        if not after: return real(*arguments, **fields)
    setattr(owner, name, call)

"""

    def run(folder: RunFolder, lines: str, *settings: str) -> subprocess.CompletedProcess[str]:
        script = prelude + lines + "\nsys.exit(cli.main(sys.argv[1:]))\n"
        command = ["train", str(DIGITS), "--run", str(folder.path), *tiny_settings, *settings]
        return subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, timeout=600)

    return run
