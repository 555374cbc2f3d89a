"""What training changes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax


class Averaged(NamedTuple):
    """What the optimiser keeps, and the running average of the parameters."""

    inner: optax.OptState
    average: Any


def inner(change: Callable[[Any], Any], opt_state: Any) -> Any:
    """What the optimiser keeps, changed; a running average beside it is left as it is."""
    if isinstance(opt_state, Averaged):
        return opt_state._replace(inner=change(opt_state.inner))
    return change(opt_state)


class TrainState(flax.struct.PyTreeNode):
    """Everything that a step reads and writes.

    Attributes:
      step: steps done, int32.
      params: parameters.
      batch_stats: running statistics of batch normalisation.
      opt_state: of the optimiser; with a running average of the parameters beside it, :class:`Averaged`.
      rng: the run's key. It never changes; a step folds in its number.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    rng: jax.Array

    @property
    def variables(self) -> dict[str, Any]:
        """What the network is evaluated with, and what is kept of it in the end: the average, where there is one."""
        params = self.opt_state.average if isinstance(self.opt_state, Averaged) else self.params
        return {"params": params, "batch_stats": self.batch_stats}


def create(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    images: jax.Array,
    seed: int | jax.Array,
    averaged: bool = False,
) -> TrainState:
    """The state before the first step.

    Args:
      model: the network.
      optimizer: its optimiser.
      images: a preprocessed batch, or one of its shape.
      seed: an integer, which may be traced.
      averaged: whether a running average of the parameters is kept.
    """
    rng = jax.random.key(seed)
    variables = model.init({"params": jax.random.fold_in(rng, 0)}, images, train=False)
    params = variables["params"]
    opt_state = optimizer.init(params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=Averaged(opt_state, jax.tree.map(jnp.copy, params)) if averaged else opt_state,
        rng=rng,
    )
