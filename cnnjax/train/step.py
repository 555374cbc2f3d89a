"""The training step: written once, mapped over devices by `cnnjax.train.parallel`."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import lax

from cnnjax.train import transfer
from cnnjax.train.optimizer import averaged, limited
from cnnjax.train.state import Averaged, TrainState

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
    pieces: int = 1,
    marks: Any = None,
    freeze_bn: bool = False,
    scale: jax.Array | None = None,
    radius: float = 0.0,
    average: float = 0.0,
) -> tuple[TrainState, Sums]:
    """One step of gradient descent.

    Args:
      state: before the step.
      batch: preprocessed; the examples that this program sees. With several pieces every entry has them as its first axis.
      model: the network.
      task: see `cnnjax.tasks`.
      optimizer: its optimiser.
      axis: the mapped axis that the batch is split over, if the mapping is explicit. Loss, gradients and statistics are
        reduced over it here; batch normalisation reduces its groups itself.
      reduce_dtype: in which gradients are summed over ``axis``.
      pieces: of equal size, computed one after the other; their gradients and sums are added, their statistics averaged.
      marks: 1 for parameters that are trained and 0 for those that are held fast, see `cnnjax.train.transfer`; ``None``:
        all are trained.
      freeze_bn: whether batch normalisation keeps to its running statistics.
      scale: of the change, beside the schedule's; ``None`` is one.
      radius: see `cnnjax.train.optimizer.limited`; 0: none.
      average: the decay of the running average, where the state has one, see `cnnjax.train.optimizer.averaged`.

    Returns:
      The state after the step, and the metric's sums over the global batch.
    """
    rng = jax.random.fold_in(jax.random.fold_in(state.rng, 1), state.step)
    if axis:
        rng = jax.random.fold_in(rng, lax.axis_index(axis))

    def differentiate(batch: Batch, rng: jax.Array) -> tuple[Any, Any, Sums]:
        """Gradients, statistics, and the metric's sums."""

        def loss(params: Any) -> tuple[jax.Array, tuple[Sums, Any]]:
            params = params if marks is None else transfer.hold(params, marks)
            variables = {"params": params, "batch_stats": state.batch_stats}
            return task.loss(model, variables, batch, {"dropout": rng}, train=True, freeze_bn=freeze_bn)

        (_, (sums, updates)), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
        return gradients, updates.get("batch_stats", state.batch_stats), sums

    if pieces == 1:
        gradients, batch_stats, sums = differentiate(batch, rng)
    else:
        gradients, batch_stats, sums = _accumulate(differentiate, batch, rng, pieces)
    if axis:
        share = sums["count"] / lax.psum(sums["count"], axis)
        gradients = jax.tree.map(lambda g: lax.psum((g * share).astype(reduce_dtype), axis).astype(g.dtype), gradients)
        sums = lax.psum(sums, axis)
        batch_stats = lax.pmean(batch_stats, axis)
    # What is held fast does not decay either: it reaches the optimiser as zero.
    decaying = state.params if marks is None else jax.tree.map(lambda leaf, mark: leaf * mark, state.params, marks)
    averaging = isinstance(state.opt_state, Averaged)
    inner = state.opt_state.inner if averaging else state.opt_state
    changes, opt_state = optimizer.update(gradients, inner, decaying)
    if scale is not None:
        changes = jax.tree.map(lambda change: change * scale, changes)
    step, params = state.step + jnp.int32(1), optax.apply_updates(state.params, changes)
    if radius:
        # What is held fast is not limited either.
        small = limited(params, radius)
        held = lambda mark, new, old: jnp.where(mark > 0, new, old)  # noqa: E731
        params = small if marks is None else jax.tree.map(held, marks, small, params)
    if averaging:
        opt_state = Averaged(opt_state, averaged(state.opt_state.average, params, average, step))
    return state.replace(step=step, params=params, batch_stats=batch_stats, opt_state=opt_state), sums


def _accumulate(
    differentiate: Callable[[Batch, jax.Array], tuple[Any, Any, Sums]], batch: Batch, rng: jax.Array, pieces: int
) -> tuple[Any, Any, Sums]:
    """What ``differentiate`` gives for the whole batch, piece by piece: as much memory as one of them takes."""

    def weighted(number: jax.Array, piece: Batch) -> tuple[Any, Any, Sums]:
        gradients, batch_stats, sums = differentiate(piece, jax.random.fold_in(rng, number))
        return jax.tree.map(lambda g: g * sums["count"], gradients), batch_stats, sums

    def add(total: Any, each: tuple[jax.Array, Batch]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, weighted(*each)), None

    numbers = jnp.arange(pieces)
    shapes = jax.eval_shape(weighted, numbers[0], jax.tree.map(lambda entry: entry[0], batch))
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    (gradients, batch_stats, sums), _ = lax.scan(add, zero, (numbers, batch))
    gradients = jax.tree.map(lambda g: g / sums["count"], gradients)
    return gradients, jax.tree.map(lambda leaf: leaf / pieces, batch_stats), sums
