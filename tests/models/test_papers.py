"""Networks that no package has, against a second derivation from their papers; float64. See goldens/make_papers.py."""

import json
import pathlib
import runpy

import jax
import numpy as np
import pytest

from cnnjax import models
from cnnjax.interop import convert
from cnnjax.nn import stacking

GOLDENS = pathlib.Path(__file__).parent / "goldens"
GOLDEN = json.loads((GOLDENS / "papers.json").read_text())
RULE = runpy.run_path(str(GOLDENS / "rule.py"))


DEEP = (
    "bn_inception_slim",
    "se_bn_inception",
    "googlenet naive",
    "inception_v2_rethinking ",
    "inception_resnet",
    "vgg11 dense",
)
"""Names that begin so take ten seconds and more, and are like others that are not left out of the default run."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(each, marks=pytest.mark.slow if each.startswith(DEEP) else ())
        for each in sorted(GOLDEN["networks"])
    ],
)
def test_the_network_is_the_papers(name):
    golden = GOLDEN["networks"][name]
    images = RULE["draw"]("images", (2, golden["side"], golden["side"], golden["channels"]))
    model = models.create(name.split()[0], num_classes=10, dropout=0.0, **golden["fields"])
    like = convert.shapes(model, images.shape[1:])
    leaves = {
        path: RULE["parameter"](path.partition("/")[2], leaf.shape) for path, leaf in stacking.names(like).items()
    }

    @jax.jit
    def run(variables):
        wide = model.clone(dtype="float64")
        trained, _ = wide.apply(variables, images, train=True, mutable=["batch_stats"])
        evaluated, taps = wide.apply(variables, images)
        return trained[0], evaluated, {tap: taps[tap] for tap in golden["taps"]}

    variables = convert.unflatten(like, leaves)
    with jax.enable_x64(True):
        trained, evaluated, taps = jax.tree.map(np.asarray, run(variables))
    for found, expected in ((evaluated, golden["eval"]), (trained, golden["train"])):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    for tap, (shape, norm, along) in golden["taps"].items():
        assert list(taps[tap].shape) == shape
        np.testing.assert_allclose(np.linalg.norm(taps[tap]), norm, rtol=1e-8, err_msg=tap)
        found = (taps[tap] * RULE["draw"](f"tap/{tap}", shape)).sum()
        np.testing.assert_allclose(found, along, rtol=0, atol=1e-8 * norm, err_msg=tap)


def test_the_golden_says_where_it_comes_from():
    assert (GOLDENS.parents[2] / GOLDEN["made_by"]).is_file()
    assert all(golden["taps"] for golden in GOLDEN["networks"].values())
