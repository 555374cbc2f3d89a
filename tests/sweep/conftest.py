"""A run store made up for the tests, and an experiment that runs in seconds."""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from cnnjax import config as configs

Write = Callable[..., pathlib.Path]


@pytest.fixture
def write_run(tmp_path: pathlib.Path) -> Write:
    """Writes one run below ``tmp_path / "runs"`` and returns its folder."""

    def write(
        arm: str = "plain20",
        seed: int = 0,
        error: float = 0.1,
        scale: str = "digits",
        experiment: str = "degradation",
        status: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        evaluations: int = 5,
    ) -> pathlib.Path:
        run = tmp_path / "runs" / experiment / scale / arm / f"seed-{seed}"
        run.mkdir(parents=True)
        asked = {
            "config": {
                "seed": seed,
                "model": {"name": arm, "width": 16},
                "data": {"mean": [0.5, 0.5]},
                **(config or {}),
            },
            "hash": configs.digest(ConfigDict({"seed": seed, "model": {"name": arm}})),
            "environment": {
                "jax": "0.10.2",
                "device": "cpu",
                "cores": 2,
                "packages": {"numpy": "2.0", "flax": "0.12.8"},
            },
            "parameters": 272474,
        }
        (run.parents[1] / "experiment.json").write_text(json.dumps({"experiment": experiment, "scale": scale}))
        (run / "run.json").write_text(json.dumps(asked))
        rows = [
            {
                "step": 10 * i,
                "epoch": float(i),
                "batch/loss": 1 / i,
                "train/error": error + (0.9 - error) * np.exp(-i),
                "test/error": error + 0.02 + (0.9 - error) * np.exp(-i),
            }
            for i in range(1, evaluations + 1)
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        summary = {"train/error": error, "test/error": error + 0.02, "train/loss": 2 * error}
        base = {"state": "finished", "outcome": "completed", "step": 50, "steps": 50, "seconds": 61.5, "error": None}
        base["macs"] = 40_551_040
        (run / "status.json").write_text(json.dumps({**base, "summary": summary, **(status or {})}))
        return run

    return write


RECIPE = pathlib.Path(__file__).parents[2] / "configs" / "resnet_cifar_digits.py"
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
    base = configs.load(RECIPE)
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
            recipe=str(RECIPE),
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
