"""The training step: written once, mapped over devices by `cnnjax.train.parallel`."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import lax

from cnnjax.train.state import TrainState

REDUCE_DTYPES = ("bfloat16", "float16", "float32", "float64")

Batch = dict[str, jax.Array]
Sums = dict[str, jax.Array]


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    model: nn.Module,
    task: Any,
    optimizer: optax.GradientTransformation,
    axis: str | None = None,
    reduce_dtype: str = "float32",
) -> tuple[TrainState, Sums]:
    """One step of gradient descent.

    Args:
      state: before the step.
      batch: preprocessed; the examples that this program sees.
      model: the network.
      task: see `cnnjax.tasks`.
      optimizer: its optimiser.
      axis: the mapped axis that the batch is split over, if the mapping is explicit. Loss, gradients and statistics are
        reduced over it here; batch normalisation reduces its groups itself.
      reduce_dtype: in which gradients are summed over ``axis``.

    Returns:
      The state after the step, and the metric's sums over the global batch.
    """
    dropout = jax.random.fold_in(jax.random.fold_in(state.rng, 1), state.step)
    if axis:
        dropout = jax.random.fold_in(dropout, lax.axis_index(axis))

    def loss(params: Any) -> tuple[jax.Array, tuple[Sums, Any]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        return task.loss(model, variables, batch, {"dropout": dropout}, train=True)

    (_, (sums, updates)), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
    batch_stats = updates.get("batch_stats", state.batch_stats)
    if axis:
        share = sums["count"] / lax.psum(sums["count"], axis)
        gradients = jax.tree.map(lambda g: lax.psum((g * share).astype(reduce_dtype), axis).astype(g.dtype), gradients)
        sums = lax.psum(sums, axis)
        batch_stats = lax.pmean(batch_stats, axis)
    changes, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    return (
        state.replace(
            step=state.step + jnp.int32(1),
            params=optax.apply_updates(state.params, changes),
            batch_stats=batch_stats,
            opt_state=opt_state,
        ),
        sums,
    )
