"""Squeeze-and-excitation against NumPy."""

import re

import jax
import numpy as np
import pytest

from cnnjax import errors
from cnnjax.nn.rows import GATES, SQUEEZES, Scope, SqueezeExcite

X = np.random.default_rng(3).standard_normal((2, 5, 4, 8)).astype(np.float32)


def expected(x, parameters, kind, gate):
    """Hu et al. 2017, equations 2 to 4, image by image and channel by channel."""
    reduce, expand = parameters["reduce"], parameters["expand"]
    y = np.empty_like(x)
    for n, image in enumerate(x):
        values = [image[:, :, c].mean() if kind == "average" else image[:, :, c].max() for c in range(x.shape[-1])]
        hidden = np.maximum(values @ reduce["kernel"] + reduce["bias"], 0)
        z = hidden @ expand["kernel"] + expand["bias"]
        for c in range(x.shape[-1]):
            weight = {"sigmoid": 1 / (1 + np.exp(-z[c])), "tanh": np.tanh(z[c]), "relu": max(z[c], 0)}[gate]
            y[n, :, :, c] = image[:, :, c] * weight
    return y


@pytest.mark.parametrize("kind", SQUEEZES)
@pytest.mark.parametrize("gate", GATES)
def test_each_squeeze_and_each_gate(settings, kind, gate):
    module = Scope((SqueezeExcite(ratio=4, kind=kind, gate=gate),), settings())
    variables = module.init(jax.random.key(1), X)
    parameters = jax.tree.map(np.asarray, variables["params"]["squeeze_excite"])
    assert jax.tree.map(np.shape, parameters) == {
        "reduce": {"kernel": (8, 2), "bias": (2,)},
        "expand": {"kernel": (2, 8), "bias": (8,)},
    }
    np.testing.assert_allclose(module.apply(variables, X), expected(X, parameters, kind, gate), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "sum"}, "unknown kind of squeeze_excite: 'sum'; available: average, max"),
        ({"gate": "sigmod"}, "unknown gate of squeeze_excite: 'sigmod'; did you mean sigmoid?"),
        ({"ratio": 0}, "squeeze_excite: ratio is at least 1, not 0"),
    ],
)
def test_what_there_is_not(fields, message):
    with pytest.raises(errors.UserError, match=re.escape(message)):
        SqueezeExcite(**fields)
