"""Fully connected layers against their backward pass, written by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import models


def test_the_gradient_of_dense_layers_is_the_one_by_hand():
    """Two layers with a ReLU between: Δ₂ = g, Δ₁ = (Δ₂ W₂ᵀ) ⊙ [z > 0]; dW = inputᵀ Δ and db = Σ Δ."""
    rng = np.random.default_rng(0)
    images, g = rng.standard_normal((6, 2, 3, 1)), rng.standard_normal((6, 4))
    model = models.create("mlp_cifar10", widths=(5,), num_classes=4)
    like = jax.eval_shape(model.init, jax.random.key(0), jnp.float32(images))["params"]
    assert {leaf.shape for leaf in jax.tree.leaves(like)} == {(6, 5), (5,), (5, 4), (4,)}
    params = jax.tree.map(lambda leaf: jnp.float32(rng.standard_normal(leaf.shape)), like)
    hidden = next(name for name in params if params[name]["kernel"].shape == (6, 5))
    head = next(name for name in params if name != hidden)

    def loss(params, images):
        return (model.apply({"params": params}, images)[0] * g).sum()

    found, d_images = jax.grad(loss, argnums=(0, 1))(params, jnp.float32(images))

    x = images.reshape(6, 6)
    z = x @ params[hidden]["kernel"] + params[hidden]["bias"]
    below = (g @ np.asarray(params[head]["kernel"]).T) * (z > 0)
    assert 0 < (z > 0).mean() < 1
    expected = {
        head: {"kernel": np.maximum(z, 0).T @ g, "bias": g.sum(0)},
        hidden: {"kernel": x.T @ below, "bias": below.sum(0)},
    }
    jax.tree.map(lambda *pair: np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-5), found, expected)
    d_x = (below @ np.asarray(params[hidden]["kernel"]).T).reshape(images.shape)
    np.testing.assert_allclose(d_images, d_x, rtol=1e-4, atol=1e-5)
