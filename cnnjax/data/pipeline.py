"""Batches of a set that lives on the device: pure functions of (seed, epoch, step), so there is no state to resume.

An epoch's order is one permutation; an example's augmentation key depends on (seed, epoch, which example it is) and on
nothing else, so neither batch size nor device count changes what happens to an image.
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import UserError

# Both streams may start from the same seed key. `fold_in(key, i)` for small i is what `split` and a trainer's
# `fold_in(key, step)` give too, so each stream is set apart by a tag that is no step.
_ORDER = np.uint32(0xFFFF_FFFE)
_AUGMENTATION = np.uint32(0xFFFF_FFFF)


@partial(jax.jit, static_argnames="n")
def permutation(seed_key: jax.Array, epoch: jax.Array | int, n: int) -> jax.Array:
    """The order of the examples in ``epoch``: int32 [n], every index once."""
    key = jax.random.fold_in(jax.random.fold_in(seed_key, _ORDER), epoch)
    return jax.random.permutation(key, jnp.arange(n, dtype=jnp.int32))


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Whole batches in an epoch of ``n`` examples: n // batch_size.

    The last ``n mod batch_size`` of each epoch's permutation are not used in that epoch; they are others each time.

    Raises:
      UserError: no batch fits.
    """
    if not 1 <= batch_size <= n:
        raise UserError(f"batch size {batch_size} does not fit a set of {n} examples; expected 1 to {n}")
    return n // batch_size


def batch_indices(permutation: jax.Array, step: jax.Array | int, batch_size: int) -> jax.Array:
    """Which examples are batch ``step`` of an epoch: int32 [batch_size].

    Args:
      permutation: int32 [N], of this epoch.
      step: within the epoch, 0 … steps_per_epoch-1; may be traced, and is not checked.
      batch_size: examples.
    """
    return jax.lax.dynamic_slice_in_dim(permutation, step * batch_size, batch_size)


def take(arrays: Mapping[str, jax.Array], index: jax.Array) -> dict[str, jax.Array]:
    """The examples at ``index`` (int [B]) of ``{"image": [N, …], "label": [N], …}``, with ``index`` itself."""
    return {name: array[index] for name, array in arrays.items()} | {"index": index}


def example_keys(seed_key: jax.Array, epoch: jax.Array | int, index: jax.Array) -> jax.Array:
    """One random key for each example of ``index`` (int [B]) in ``epoch``: keys [B]."""
    key = jax.random.fold_in(jax.random.fold_in(seed_key, _AUGMENTATION), epoch)
    return jax.vmap(partial(jax.random.fold_in, key))(index)


def padded_batches(n: int, batch_size: int, most: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """All ``n`` examples in order, in batches of one shape; for evaluation that counts each exactly once.

    Args:
      n: examples of the set.
      batch_size: examples.
      most: so many of them, at equal distances, where there are more; 0: all.

    Returns:
      indices int32 [batches, batch_size], the last batch filled up with the last example; and mask float32 of the same
      shape, 1 for an example and 0 for filling.

    Raises:
      UserError: there are no examples, or the batch size is not positive.
    """
    if n < 1 or batch_size < 1:
        raise UserError(f"cannot batch {n} examples by {batch_size}; expected at least 1 of both")
    count = min(most or n, n)
    batches = -(-count // batch_size)
    position = np.arange(batches * batch_size).reshape(batches, batch_size)
    chosen = np.minimum(position, count - 1) * n // count
    return chosen.astype(np.int32), (position < count).astype(np.float32)
