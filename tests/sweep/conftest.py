"""A run store made up for the tests, and an experiment that runs in seconds."""

import json
import pathlib
from collections.abc import Callable, Mapping
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
