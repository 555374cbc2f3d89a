"""Every notebook runs from its first cell to its last: on runs that were made up, or on what it trains itself."""

import json
import pathlib
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of the notebook packages among themselves
    import nbclient
    import nbformat

from cnnjax.sweep import experiment

FOLDER = pathlib.Path(__file__).parents[2] / "experiments" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PICTURES = {"degradation": 3, "cost_of_the_lineage": 3, "deconvnet": 5, "read_a_sweep": 3, "receptive_fields": 4}
"""Notebook → how many pictures it makes."""

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore:.*:RuntimeWarning"
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Executes a notebook as a user does, with runs below ``tmp_path``; counts its pictures, and gives what it printed."""
    monkeypatch.setenv("CNNJAX_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("XLA_FLAGS")

    def execute(name: str) -> str:
        notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        settings = {"timeout": 600, "startup_timeout": 300, "resources": {"metadata": {"path": str(FOLDER)}}}
        nbclient.NotebookClient(notebook, **settings).execute()
        outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
        shown = [output.get("data", {}) for output in outputs]
        assert sum("image/png" in data for data in shown) == PICTURES[name]
        return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)

    return execute


def test_degradation_from_its_runs(run, write_run) -> None:
    asked = experiment.load(FOLDER.parent / "degradation.py")
    name, scale = asked.scale()
    for place, arm in enumerate(scale.arms):
        for seed in scale.seeds:
            write_run(arm, seed, error=0.01 * (place + 1) + 0.001 * seed, experiment=asked.name, scale=name)
    printed = run("degradation")
    for claim in asked.claims:
        assert claim.text in printed


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PICTURES.keys() - {"degradation"}))
def test_notebook_runs(run, name) -> None:
    run(name)


def test_every_notebook_is_run() -> None:
    assert {path.stem for path in NOTEBOOKS} == PICTURES.keys()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path) -> None:
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
