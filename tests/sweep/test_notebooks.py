"""Every notebook runs from its first cell to its last, on runs that were made up."""

import json
import pathlib
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of the notebook packages among themselves
    import nbclient
    import nbformat

from cnnjax.sweep import experiment

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[2] / "experiments" / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, write_run, tmp_path, monkeypatch) -> None:
    asked = experiment.load(path.parents[1] / f"{path.stem}.py")
    name, scale = asked.scale()
    for place, arm in enumerate(scale.arms):
        for seed in scale.seeds:
            write_run(arm, seed, error=0.01 * (place + 1) + 0.001 * seed, experiment=asked.name, scale=name)
    monkeypatch.setenv("CNNJAX_RUNS", str(tmp_path / "runs"))
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3
    printed = "".join(output.get("text", "") for output in outputs)
    for claim in asked.claims:
        assert claim.text in printed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path) -> None:
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
