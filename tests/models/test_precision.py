"""One network of each paper, in numbers: every parameter gets a gradient, and bfloat16 stays near float32."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import errors, models

ONE_OF_EACH = sorted({entry.module.__module__: name for name, entry in reversed(models.entries().items())}.values())
"""The first name of each file."""


def least(model):
    """The smallest square images the network takes, and at least 32×32."""
    try:
        jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 1, 1, model.input_shape[2]), "float32"))
    except errors.UserError as error:
        return max(32, int(re.search(r"images from (\d+)×", str(error))[1]))
    return 32


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_gradients_and_bfloat16(name):
    model = models.create(name, num_classes=5, kernel_init="he")
    side = least(model)
    images = np.random.default_rng(0).standard_normal((4, side, side, model.input_shape[2])).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), images)

    @jax.jit
    def gradient(params, rest):
        def loss(params):
            rngs = {"dropout": jax.random.key(1)}
            (logits, taps), _ = model.apply(
                {"params": params, **rest}, images, train=True, mutable=["batch_stats"], rngs=rngs
            )
            heads = [logits, *(tap for tap_name, tap in taps.items() if tap_name.endswith("_logits"))]
            return sum(optax.softmax_cross_entropy_with_integer_labels(head, jnp.arange(4)).mean() for head in heads)

        return jax.grad(loss)(params)

    found = gradient(variables["params"], {key: each for key, each in variables.items() if key != "params"})
    silent = [
        jax.tree_util.keystr(path) for path, leaf in jax.tree.leaves_with_path(found) if not np.abs(leaf).max() > 0
    ]
    assert silent == []
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))

    logits, rough = (
        np.float32(jax.jit(model.clone(dtype=dtype).apply)(variables, images)[0]) for dtype in ("float32", "bfloat16")
    )
    assert 0 < np.abs(rough - logits).max() < 0.05 * np.abs(logits).max()
