"""A finished run that all tests of evaluation share."""

import pathlib
from collections.abc import Callable

import pytest

from cnnjax import cli
from cnnjax.train.run import RunFolder

PATTERN = pathlib.Path(__file__).parents[2] / "configs" / "pattern_digits.py"
SETTINGS = {
    "model.layers": "conv3-4 pool2",
    "model.batch_norm": True,
    "dataset.side": 0,
    "duration": "2 epochs",
    "batch_size": 128,
    "schedule.boundaries": (),
    "execution.devices": 1,
    "execution.steps_per_dispatch": 4,
    "execution.checkpoint.every": "1 epochs",
}


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunFolder]:
    """Trains a network of two layers, with batch normalisation: checkpoints at steps 11 and 22."""

    def run(**changes: object) -> RunFolder:
        folder = RunFolder(tmp_path_factory.mktemp("trained") / "run")
        changed = {key.replace("__", "."): value for key, value in changes.items()}
        settings = [f"--config.{key}={value}" for key, value in {**SETTINGS, **changed}.items()]
        assert cli.main(["train", str(PATTERN), "--run", str(folder.path), *settings]) == 0
        return folder

    return run


@pytest.fixture(scope="session")
def trained(train: Callable[..., RunFolder]) -> RunFolder:
    """Such a run."""
    return train()
