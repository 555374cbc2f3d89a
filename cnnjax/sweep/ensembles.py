"""Ensembles of a sweep: what several arms' networks of a seed say together."""

import hashlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pandas

from cnnjax import files
from cnnjax.evaluate import evaluation, subject
from cnnjax.sweep.plan import Arm, Sweep

FILE = "ensembles.json"
"""Beside the arms: error by what stands for the weights that were asked, so that others are asked anew."""


def complete(sweep: Sweep) -> Iterator[str]:
    """Tests the ensembles whose networks are all trained, and writes each error down at once.

    Soft-max outputs are averaged, over the test set as training sees it.

    Args:
      sweep: its scale says which arms are together.

    Yields:
      A line for each ensemble and seed that was tested now.

    Raises:
      UserError: networks are no ensemble, or weights are damaged.
    """
    found = _read(sweep.folder)
    for name, arms in _members(sweep):
        for seed in arms[0].seeds:
            key = _key(arms, seed)
            runs = [arm.run(seed)[0] for arm in arms]
            trained = all(arm.finished(seed) for arm in arms) and all(run.weights.exists() for run in runs)
            if key in found or not trained:
                continue
            together = evaluation.evaluate([subject.read(run.path) for run in runs], "whole")
            found[key] = together.measure.values()["top-1 error"]
            files.write_json(sweep.folder / FILE, found)
            yield f"{name} seed {seed}: {', '.join(arm.name for arm in arms)} together, test/error {100 * found[key]:.2f} %"


def beside(sweep: Sweep, runs: pandas.DataFrame) -> pandas.DataFrame:
    """The runs of a sweep, and the ensembles of those as if each were a run of one more arm.

    Args:
      sweep: its scale says which arms are together.
      runs: as `store.load` returns them, of the sweep's settings.

    Returns:
      The same columns. An ensemble with a network that has diverged has diverged; one that was not tested, or of which a
      network is not finished, is not there.
    """
    records: list[dict[Any, Any]] = runs.to_dict("records")
    table = {(run["arm"], run["seed"]): run for run in records}
    found, more = _read(sweep.folder), []
    for name, arms in _members(sweep):
        for seed in sorted({run["seed"] for run in records}):
            members = [table[arm.name, seed] for arm in arms if (arm.name, seed) in table]
            outcomes = [run["outcome"] for run in members]
            trained = all(run["state"] == "finished" and run["outcome"] == "completed" for run in members)
            error = found.get(_key(arms, seed))
            if len(members) < len(arms) or not ("diverged" in outcomes or (trained and error is not None)):
                continue
            fate: dict[str, Any] = {"outcome": "completed", "test/error": error} if trained else {"outcome": "diverged"}
            place = {"experiment": sweep.experiment.name, "scale": sweep.scale_name, "arm": name, "seed": seed}
            more.append({**place, "state": "finished", "seconds": 0.0, "notes": (), **fate})
    return pandas.DataFrame([*records, *more], columns=runs.columns) if more else runs


def _members(sweep: Sweep) -> Iterator[tuple[str, list[Arm]]]:
    arms = {arm.name: arm for arm in sweep.arms}
    for name, members in sweep.scale.ensembles.items():
        yield name, [arms[member] for member in members]


def _key(arms: list[Arm], seed: int) -> str:
    """Stands for the networks: for their weights, so that those that are trained again are asked again."""
    files = [arm.run(seed)[0].weights for arm in arms]
    return "+".join(hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else "" for file in files)


def _read(folder: pathlib.Path) -> dict[str, float]:
    """What is there. A damaged file is as none: it is made again from the weights."""
    try:
        found = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict) or not all(type(error) is float and 0 <= error <= 1 for error in found.values()):
        return {}
    return found
