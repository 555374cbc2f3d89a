"""What all tests share: eight virtual devices, a data directory of their own, and a recipe that trains in seconds."""

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

QUICK_COMPILE = "--xla_backend_optimization_level=0"
# Before anything imports JAX: the devices are counted once.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8 " + QUICK_COMPILE
_DATA = tempfile.TemporaryDirectory(prefix="cnnjax-data-")
os.environ["CNNJAX_DATA_DIR"] = _DATA.name
os.environ["CNNJAX_CACHE_DIR"] = os.path.join(_DATA.name, "cache")

import pytest  # noqa: E402

from cnnjax import config as configs  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]
DIGITS = ROOT / "configs" / "resnet_cifar_digits.py"
TINY = {
    "model.depth": 8,
    "model.width": 4,
    "duration": "2 epochs",
    "batch_size": 128,
    "schedule.boundaries": ("1 epochs",),
    "execution.devices": 1,
    "execution.steps_per_dispatch": 4,
    "execution.checkpoint.every": "1 epochs",
}


@pytest.fixture
def tiny() -> configs.ConfigDict:
    """The digits recipe with 8 layers of width 4, two epochs of 11 steps."""
    return configs.override(configs.load(DIGITS), TINY)


@pytest.fixture(scope="session")
def tiny_settings() -> list[str]:
    """The same for a command line."""
    return [f"--config.{key}={value}" for key, value in TINY.items()]


@pytest.fixture
def cnnjax(tmp_path: pathlib.Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command as a user would, in an empty folder: ``cnnjax("describe", "resnet20")``."""

    def run(*arguments: object, timeout: float = 600, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cnnjax", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "XLA_FLAGS": QUICK_COMPILE, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


THIN, WIDE = {"model.width": 2}, {"model.width": 3}
EXPERIMENT = """
from cnnjax.sweep.experiment import Claim, Experiment, Scale

experiment = Experiment(
    question={question!r},
    source="Nobody (2000), Fig. 0",
    scales={{
        name: Scale(config={recipe!r}, overrides={overrides!r}, arms={arms!r}, roles={roles!r}, seeds={seeds!r})
        for name in ("digits", "small")
    }},
    claims=[Claim("Wide networks have a lower training error.", "train/error", {{"thin": 1, "wide": -1}})],
)
"""


@pytest.fixture(scope="session")
def tiny_overrides(tiny_settings: list[str]) -> dict[str, Any]:
    """Eight layers, one epoch of 11 steps."""
    base = configs.load(DIGITS)
    return configs.parse(base, tiny_settings) | {"duration": "1 epochs", "schedule.boundaries": ("0.5 epochs",)}


@pytest.fixture(scope="session")
def write_experiment(tiny_overrides: dict[str, Any]) -> Callable[..., pathlib.Path]:
    """Writes ``<folder>/tiny.py``: a thin and a wide network on digits."""

    def write(
        folder: pathlib.Path,
        arms: Mapping[str, Mapping[str, Any]] | None = None,
        seeds: Sequence[int] = (0, 1),
        question: str = "Does width help?",
        **overrides: Any,
    ) -> pathlib.Path:
        text = EXPERIMENT.format(
            recipe=str(DIGITS),
            question=question,
            overrides={**tiny_overrides, **overrides},
            arms={"thin": THIN, "wide": WIDE, **(arms or {})},
            roles={"thin": "thin", "wide": "wide"},
            seeds=tuple(seeds),
        )
        path = folder / "tiny.py"
        path.write_text(text)
        return path

    return write
