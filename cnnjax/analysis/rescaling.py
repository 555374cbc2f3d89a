"""What larger weights change. Ioffe & Szegedy 2015, §3.3.

Under batch normalisation BN((aW)u) = BN(Wu), and ∂BN/∂(aW) = 1/a ∂BN/∂W: scale does not matter but for epsilon.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cnnjax.nn import inputs, stacking


def change(
    model: nn.Module, variables: Mapping[str, Any], images: jax.Array, labels: jax.Array, factor: float
) -> tuple[float, float]:
    """What becomes of a network in training when all its kernels but the classifier's are multiplied.

    Args:
      model: the network, whose last layer is called ``classifier``; nothing is dropped.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``; with batch normalisation their statistics are used.
      labels: int ``[N]``.
      factor: a > 0.

    Returns:
      The change of the logits, and that of a times the gradient of the loss by the multiplied kernels; norms of the difference
      over norms of what there was before. Both are zero where scale does not matter.

    Raises:
      UserError: these are no images, or no class of the network for each of them.
    """
    inputs.check_images(images)
    inputs.checked_labels(labels, len(images), model.num_classes)
    quiet: dict[str, Any] = {name: 0.0 for name in ("dropout", "auxiliary_dropout") if hasattr(model, name)}
    model = model.clone(**quiet)

    def scaled(name: str) -> bool:
        return name.endswith("/kernel") and not name.startswith("classifier/")

    def loss(params: Any) -> tuple[jax.Array, jax.Array]:
        (logits, _), _ = model.apply({**variables, "params": params}, images, train=True, mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), logits

    @jax.jit
    def both(params: Any) -> tuple[list[jax.Array], jax.Array]:
        gradient, logits = jax.grad(loss, has_aux=True)(params)
        return [leaf for name, leaf in stacking.names(gradient).items() if scaled(name)], logits

    params = variables["params"]
    times = stacking.marked(params, lambda name: factor if scaled(name) else 1.0)
    before, logits = both(params)
    after, moved = both(jax.tree.map(jnp.multiply, params, times))
    away = [factor * new - old for new, old in zip(after, before, strict=True)]
    return (
        float(optax.tree.norm(moved - logits) / optax.tree.norm(logits)),
        float(optax.tree.norm(away) / optax.tree.norm(before)),
    )
