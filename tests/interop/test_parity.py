"""Networks of other packages and ours compute the same, under the same parameters, in float64.

The parameters are drawn from their names there, made ours by the importer, and so test it too.
"""

import json
import pathlib
import runpy

import jax
import numpy as np
import pytest

from cnnjax import models
from cnnjax.interop import convert, sources

GOLDENS = pathlib.Path(__file__).parent / "goldens"
RULE = runpy.run_path(str(GOLDENS / "rule.py"))
GOLDEN = json.loads((GOLDENS / "parity.json").read_text())
CASES = RULE["CASES"]

TOLERANCE = {"keras": (1e-6, 1e-4)}
"""Of the maximum in evaluation and in training, where it is not 1e-8: Keras computes its normalisation in single precision,
also in a float64 model, which statistics of few values amplify."""

NOT_COMPARED = {
    *(f"pytorchcv/{name}" for name in ("nin_cifar100", "resnet56_cifar10", "resnet110_cifar10", "resnet1202_cifar10")),
    "darknet/darknet19",
    "darknet/extraction",
    "keras/ResNet101",
    "keras/ResNet152",
}
"""The same layers as another of their family, in another number; and Darknet, which is no package that runs here: its darknet19
is pytorchcv's, and its files are tested in `test_files.py`."""


def test_every_counterpart_has_its_golden():
    listed = {f"{source}/{each.theirs}" for source, found in sources.SOURCES.items() for each in found}
    assert listed >= NOT_COMPARED
    assert listed - NOT_COMPARED == set(CASES) == set(GOLDEN["networks"])
    assert (GOLDENS.parents[2] / GOLDEN["made_by"]).is_file()
    assert set(GOLDEN["versions"]) == {"torch", *sources.SOURCES} - {"darknet"}


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow if case.slow else ()) for each, case in CASES.items()]
)
def test_the_network_computes_the_same(name):
    """Logits and taps in evaluation, logits in training with the batch's statistics; and the state has the same names."""
    case, golden, images = CASES[name], GOLDEN["networks"][name], RULE["images"](CASES[name].side)
    counterpart = sources.find(case.source, case.theirs)
    known = models.entry(counterpart.model).fields
    quiet = {key: 0.0 for key in ("dropout", "auxiliary_dropout") if key in known}
    fields = {**counterpart.fields, **case.fields, **quiet, "num_classes": 10}
    model = models.create(counterpart.model, **fields)

    their_shapes = {
        place.theirs: place.their_shape
        for place in convert.places(model, counterpart, convert.shapes(model, images.shape[1:]))
    }
    absent = {key for key in their_shapes if not counterpart.scaled and key.endswith("/gamma")}
    assert RULE["digest"]({key: each for key, each in their_shapes.items() if key not in absent}) == golden["state"]
    draw = RULE["keras_parameter" if case.source == "keras" else "parameter"]
    state = {key: draw(key, shape) for key, shape in their_shapes.items() if key not in absent}

    @jax.jit
    def run(variables):
        wide = model.clone(dtype="float64")
        trained, _ = wide.apply(variables, images, train=True, mutable=["batch_stats"])
        evaluated, taps = wide.apply(variables, images)
        return trained[0], evaluated, {ours: taps[ours] for ours in case.taps}

    variables = convert.to_ours(model, state, counterpart, images.shape[1:], "float64")
    with jax.enable_x64(True):
        trained, evaluated, taps = jax.tree.map(np.asarray, run(variables))
    tolerance, in_training = TOLERANCE.get(case.source, (1e-8, 1e-8))
    for found, expected, bound in ((evaluated, golden["eval"], tolerance), (trained, golden["train"], in_training)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=bound * np.abs(expected).max())
    assert set(taps) == set(golden["taps"])
    for ours, (shape, norm, along) in golden["taps"].items():
        assert list(taps[ours].shape) == shape
        np.testing.assert_allclose(np.linalg.norm(taps[ours]), norm, rtol=tolerance, err_msg=ours)
        found = (taps[ours] * RULE["draw"](f"tap/{ours}", shape)).sum()
        np.testing.assert_allclose(found, along, rtol=0, atol=tolerance * norm, err_msg=ours)
    back = convert.to_theirs(model, variables, counterpart)
    assert all(np.array_equal(back[key], array) for key, array in state.items())
