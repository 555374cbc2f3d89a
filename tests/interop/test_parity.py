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


def ours(name):
    """Our network and its counterpart, their parameters by their names, and ours."""
    case, shape = CASES[name], RULE["images"](CASES[name].side).shape[1:]
    counterpart = sources.find(case.source, case.theirs)
    known = models.entry(counterpart.model).fields
    quiet = {key: 0.0 for key in ("dropout", "auxiliary_dropout") if key in known}
    fields = {**counterpart.fields, **case.fields, **quiet, "num_classes": 10}
    model = models.create(counterpart.model, **fields)

    their_shapes = {
        place.theirs: place.their_shape for place in convert.places(model, counterpart, convert.shapes(model, shape))
    }
    absent = {key for key in their_shapes if not counterpart.scaled and key.endswith("/gamma")}
    draw = RULE["keras_parameter" if case.source == "keras" else "parameter"]
    state = {key: draw(key, each) for key, each in their_shapes.items() if key not in absent}
    return model, counterpart, state, convert.to_ours(model, state, counterpart, shape, "float64")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow if case.slow else ()) for each, case in CASES.items()]
)
def test_the_network_computes_the_same(name):
    """Logits and taps in evaluation, logits in training with the batch's statistics; and the state has the same names."""
    case, golden, images = CASES[name], GOLDEN["networks"][name], RULE["images"](CASES[name].side)
    model, counterpart, state, variables = ours(name)
    assert RULE["digest"]({key: array.shape for key, array in state.items()}) == golden["state"]

    @jax.jit
    def run(variables):
        wide = model.clone(dtype="float64")
        (trained, sides), _ = wide.apply(variables, images, train=True, mutable=["batch_stats"])
        evaluated, taps = wide.apply(variables, images)
        sides = {each: sides[each] for each in case.sides}
        return trained, sides, evaluated, {each: taps[each] for each in case.taps}

    with jax.enable_x64(True):
        trained, sides, evaluated, taps = jax.tree.map(np.asarray, run(variables))
    tolerance, in_training = TOLERANCE.get(case.source, (1e-8, 1e-8))
    compared = [(evaluated, golden["eval"], tolerance), (trained, golden["train"], in_training)]
    compared += [(sides[each], golden["sides"][each], in_training) for each in case.sides]
    for found, expected, bound in compared:
        np.testing.assert_allclose(found, expected, rtol=0, atol=bound * np.abs(expected).max())
    assert set(taps) == set(golden["taps"])
    for tap, (shape, norm, along) in golden["taps"].items():
        assert list(taps[tap].shape) == shape
        np.testing.assert_allclose(np.linalg.norm(taps[tap]), norm, rtol=tolerance, err_msg=tap)
        found = (taps[tap] * RULE["draw"](f"tap/{tap}", shape)).sum()
        np.testing.assert_allclose(found, along, rtol=0, atol=tolerance * norm, err_msg=tap)
    back = convert.to_theirs(model, variables, counterpart)
    assert all(np.array_equal(back[key], array) for key, array in state.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_in_single_precision(name):
    """Logits and every tap in float32 are within 1e-4 of each one's maximum of those in float64, which are theirs (above)."""
    images = RULE["images"](CASES[name].side)
    model, _, _, variables = ours(name)

    @jax.jit
    def run(variables, images):
        logits, taps = model.clone(dtype=images.dtype.name).apply(variables, images)
        return {**taps, "logits": logits}

    with jax.enable_x64(True):
        exact = jax.tree.map(np.asarray, run(variables, images))
    narrow = run(*jax.tree.map(np.float32, (variables, images)))
    for tap, expected in exact.items():
        assert narrow[tap].dtype == np.float32
        np.testing.assert_allclose(narrow[tap], expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=tap)
