"""Photographs named by a network of another package: its weights, brought in by the command line, and its preprocessing."""

import json
import pathlib
import runpy

import numpy as np
import pytest
import sklearn.datasets

from cnnjax import cli
from cnnjax.interop import convert, sources, weights

GOLDENS = pathlib.Path(__file__).parent / "goldens"
RULE = runpy.run_path(str(GOLDENS / "rule.py"))
GOLDEN = json.loads((GOLDENS / "pictures.json").read_text())
PHOTOGRAPHS = pathlib.Path(sklearn.datasets.__file__).parent / "images"


def test_two_photographs(tmp_path, monkeypatch, capsys):
    counterpart = sources.find("torchvision", "resnet18")
    model = sources._network(counterpart.model, counterpart.fields)
    places = convert.places(model, counterpart, convert.shapes(model, model.input_shape))
    state = {each.theirs: np.float32(RULE["parameter"](each.theirs, each.their_shape)) for each in places}
    monkeypatch.chdir(tmp_path)
    weights.write_safetensors(pathlib.Path("theirs.safetensors"), state, {})
    assert cli.main(["weights", "import", "torchvision", "theirs.safetensors", "--model", "resnet18"]) == 0
    capsys.readouterr()
    photographs = [str(PHOTOGRAPHS / name) for name in GOLDEN["top"]]
    assert cli.main(["predict", *photographs, "--weights", "resnet18.safetensors", "--json", "--top", "10"]) == 0
    shown = [json.loads(line)["top"] for line in capsys.readouterr().out.splitlines()]
    for found, expected in zip(shown, GOLDEN["top"].values(), strict=True):
        assert found[0]["class"] == str(expected[0][0])
        by_class = {each["class"]: each["probability"] for each in found}
        near = [by_class.get(str(number), 0.0) for number, _ in expected[:5]]
        np.testing.assert_allclose(near, [value for _, value in expected[:5]], atol=1e-4)


def test_pictures_may_be_normalised_otherwise(tmp_path, monkeypatch, capsys):
    """torchvision's released Inception networks take values in -1 ... 1, which no state dictionary says."""
    counterpart = sources.find("torchvision", "googlenet")
    fields = {**counterpart.fields, "auxiliary": "none", "num_classes": 2}
    model = sources._network(counterpart.model, fields)
    places = convert.places(model, counterpart, convert.shapes(model, model.input_shape))
    monkeypatch.chdir(tmp_path)
    state = {each.theirs: np.zeros(each.their_shape, np.float32) for each in places}
    weights.write_safetensors(pathlib.Path("theirs.safetensors"), state, {})
    words = ["weights", "import", "torchvision", "theirs.safetensors", "--model", "googlenet", "auxiliary=none"]
    assert cli.main(words) == 0
    assert "note: the released weights of this network" in capsys.readouterr().out
    assert cli.main([*words, "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5"]) == 0
    assert "note" not in capsys.readouterr().out
    record, _ = weights.read(pathlib.Path("googlenet_3x3.safetensors"))
    assert (record.picture.mean, record.picture.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    "wrong",
    [
        ["--mean", "0.5,0.5"],
        ["--std", "0,0,0"],
        ["--std", "1,nan,1"],
        ["--mean", "much"],
        ["--mean", "1", "--std", "1"],
    ],
)
def test_what_is_no_normalisation(wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    counterpart = sources.find("torchvision", "resnet18")
    model = sources._network(counterpart.model, {**counterpart.fields, "num_classes": 2})
    places = convert.places(model, counterpart, convert.shapes(model, model.input_shape))
    state = {each.theirs: np.zeros(each.their_shape, np.float32) for each in places}
    weights.write_safetensors(pathlib.Path("theirs.safetensors"), state, {})
    with pytest.raises(SystemExit) as caught:
        raise SystemExit(
            cli.main(["weights", "import", "torchvision", "theirs.safetensors", "--model", "resnet18", *wrong])
        )
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("cnnjax: error: ")
    assert not pathlib.Path("resnet18.safetensors").exists()
