"""What is left of a shift by one pixel behind pools.

A pool of stride 2 gives the same maps again when its input moves by two pixels, and others when it moves by one. How much they
differ depends on the kind of pool, on whether its windows overlap, and on how smooth the input is.

Two cuts of a map are pooled, one some pixels to the right of the other, so that nothing is invented at an edge.
"""

import jax.numpy as jnp
import numpy as np
import pandas

from cnnjax import errors
from cnnjax.ops.pooling import pool

POOLS = {
    "max 2×2": ("max", 2),
    "max 3×3, overlapping": ("max", 3),
    "average 2×2": ("average", 2),
    "average 3×3, overlapping": ("average", 3),
}
"""Name → kind and window; all have a stride of 2."""


def differences(maps: np.ndarray, shift: int = 1) -> dict[str, np.ndarray]:
    """What a shift to the left changes behind one pool, for each of :data:`POOLS`.

    Args:
      maps: ``[H, W]``.
      shift: pixels.
    """
    found = {name: _pooled(_pair(maps, shift), *pool) for name, pool in POOLS.items()}
    return {name: after - before for name, (before, after) in found.items()}


def shifts(maps: np.ndarray, shift: int = 1, count: int = 4) -> pandas.DataFrame:
    """How far a map moves behind no pool, one pool, …, when what it is made of moves to the left.

    Args:
      maps: ``[H, W]``.
      shift: pixels.
      count: pools one after the other.

    Returns:
      One row a pool of :data:`POOLS` and number of them: ``pool``, ``pools`` (from 0), ``change``, the root mean square of the
      difference over the standard deviation of the unmoved map, and ``unchanged``, the share of values that stay the same.

    Raises:
      UserError: the map is too small for so many pools, or constant.
    """
    height, width = maps.shape
    if min(height, width - shift) < 4 * 2**count:
        raise errors.UserError(f"a map of {height}×{width} is too small for a shift of {shift} and {count} pools")
    rows = []
    for name, (kind, window) in POOLS.items():
        pair = _pair(maps, shift)
        for number in range(count + 1):
            pair = _pooled(pair, kind, window) if number else pair
            before, after = pair.astype(np.float64)
            if not before.std() > 0:
                raise errors.UserError("the map is constant: a shift changes nothing")
            change = float(np.sqrt(((before - after) ** 2).mean()) / before.std())
            rows.append((name, number, change, float((before == after).mean())))
    return pandas.DataFrame(rows, columns=("pool", "pools", "change", "unchanged"))


def _pair(maps: np.ndarray, shift: int) -> np.ndarray:
    """The two cuts, ``[2, H, W - shift]``."""
    return np.stack([maps[:, : maps.shape[1] - shift], maps[:, shift:]]).astype(np.float32)


def _pooled(pair: np.ndarray, kind: str, window: int) -> np.ndarray:
    return np.asarray(pool(jnp.asarray(pair)[..., None], kind, (window, window), (2, 2)))[..., 0]
