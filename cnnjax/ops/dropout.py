"""Dropout."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from cnnjax import errors


def dropout(
    key: jax.Array, x: jax.Array, rate: float, noise_shape: Sequence[int] | None = None, inverted: bool = True
) -> jax.Array:
    """Sets each value to zero with probability ``rate``, independently. Hinton et al. 2012; Srivastava et al. 2014, §4.

    Args:
      key: of the mask.
      x: values; each example has a mask of its own.
      rate: the probability to be *dropped*, at least 0 and below 1 (TensorFlow 1 and the 2014 paper name what is kept).
      noise_shape: of the mask, which is broadcast to ``x``: e.g. ``[N, 1, 1, C]`` drops whole maps.
      inverted: what is kept is divided by ``1 - rate``, and nothing is left to do at evaluation. Otherwise (the papers)
        evaluation multiplies by ``1 - rate``: :func:`classic_evaluation`.

    Raises:
      UserError: another rate.
    """
    if not 0 <= rate < 1:
        raise errors.UserError(f"a dropout rate is at least 0 and below 1, not {rate}")
    keep = jax.random.bernoulli(key, 1 - rate, noise_shape or x.shape)
    return jnp.where(keep, x / (1 - rate) if inverted else x, jnp.zeros((), x.dtype))


def classic_evaluation(x: jax.Array, rate: float) -> jax.Array:
    """What takes the place of classic (not inverted) dropout at evaluation: its expectation."""
    return x * (1 - rate)
