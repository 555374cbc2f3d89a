"""What training changes."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax


class TrainState(flax.struct.PyTreeNode):
    """Everything that a step reads and writes.

    Attributes:
      step: steps done, int32.
      params: parameters.
      batch_stats: running statistics of batch normalisation.
      opt_state: of the optimiser.
      rng: the run's key. It never changes; a step folds in its number.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    rng: jax.Array


def create(
    model: nn.Module, optimizer: optax.GradientTransformation, images: jax.Array, seed: int | jax.Array
) -> TrainState:
    """The state before the first step.

    Args:
      model: the network.
      optimizer: its optimiser.
      images: a preprocessed batch, or one of its shape.
      seed: an integer, which may be traced.
    """
    rng = jax.random.key(seed)
    variables = model.init({"params": jax.random.fold_in(rng, 0)}, images, train=False)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(variables["params"]),
        rng=rng,
    )
