"""A finished run that all tests of evaluation share."""

import pathlib

import pytest

from cnnjax import cli
from cnnjax.train.run import RunFolder

DIGITS = pathlib.Path(__file__).parents[2] / "configs" / "resnet_cifar_digits.py"


@pytest.fixture(scope="session")
def trained(tiny_settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """`tiny`, trained to its end: checkpoints at steps 11 and 22."""
    folder = RunFolder(tmp_path_factory.mktemp("trained") / "run")
    assert cli.main(["train", str(DIGITS), "--run", str(folder.path), *tiny_settings]) == 0
    return folder
