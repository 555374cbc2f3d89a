"""Batch normalisation over groups of any size."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cnnjax import errors


class BatchNorm(nn.Module):
    """Batch normalisation of a channels-last array. Ioffe & Szegedy 2015, §3.1 and algorithm 1.

    Parameters ``scale [C]`` and ``bias [C]``; running statistics ``mean [C]`` and ``var [C]`` in ``batch_stats``, the means
    over groups, with the biased variance that the batch was normalised with.

    Attributes:
      group: how many examples *of the global batch* share their statistics (contiguous); 0 means all of them. "Local BN of
        32 a device" is 32, on any number of devices.
      axis: the mapped axis that the batch is split over, where the mapping is explicit (``pmap``); ``None`` where one
        program sees the global batch (one device, ``jit`` over a mesh).
      momentum: of the running statistics: ``running = momentum · running + (1 - momentum) · batch``.
      epsilon: added to the variance.
      scale_init: initial scale; zero makes a residual branch start as the identity.
      dtype: of the output; statistics are computed in at least float32.
    """

    group: int = 0
    axis: str | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5
    scale_init: nn.initializers.Initializer = nn.initializers.ones_init()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Normalises ``x [N, ..., C]`` by its own statistics (``train``), or by the running ones."""
        channels = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32)
        scale = self.param("scale", self.scale_init, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,), jnp.float32)
        if not train:
            return _normalise(x, running_mean.value, running_var.value, scale, bias, self.epsilon, self.dtype)

        # During initialisation there is neither a mapped axis nor a batch that means anything.
        axis, group = (None, 0) if self.is_initializing() else (self.axis, self.group)
        mean, var, groups = _statistics(x, group, axis, running_mean.value)
        if not self.is_initializing():
            keep = self.momentum
            running_mean.value = keep * running_mean.value + (1 - keep) * mean.mean(0)
            running_var.value = keep * running_var.value + (1 - keep) * var.mean(0)
        y = x.reshape(groups, -1, *x.shape[1:])
        each = (groups, *(1,) * (y.ndim - 2), channels)
        y = _normalise(y, mean.reshape(each), var.reshape(each), scale, bias, self.epsilon, self.dtype)
        return y.reshape(x.shape)


def _normalise(
    x: jax.Array, mean: jax.Array, var: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, dtype: Any
) -> jax.Array:
    multiplier = lax.rsqrt(var + epsilon) * scale
    return ((x - mean) * multiplier + bias).astype(dtype)


def _statistics(x: jax.Array, group: int, axis: str | None, about: jax.Array) -> tuple[jax.Array, jax.Array, int]:
    """Mean and biased variance ``[groups here, C]`` of ``x [N here, ..., C]``, and the number of groups here.

    One pass: the mean of ``x - about`` and that of its square, for any constant ``about [C]``. Near the mean it keeps the
    variance from being the small difference of two large numbers. A group that spans several devices is reduced by one
    collective for each statistic.
    """
    here = x.shape[0]
    devices = lax.axis_size(axis) if axis else 1
    size = group or here * devices
    groups = check_groups(here, devices, size)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32)).reshape(groups, -1, x.shape[-1])
    x -= about
    mean, square = x.mean(1), lax.square(x).mean(1)
    if axis and size > here:
        span = size // here
        members = [list(range(first, first + span)) for first in range(0, devices, span)]
        mean, square = lax.pmean((mean, square), axis, axis_index_groups=members)
    # The difference may still come out below zero by rounding.
    return mean + about, jnp.maximum(square - lax.square(mean), 0.0), groups


def check_groups(here: int, devices: int, size: int) -> int:
    """How many groups of ``size`` examples start on a device that holds ``here`` of them.

    Raises:
      UserError: groups do not divide the batch, or straddle devices that are mapped explicitly.
    """
    if size < 1 or (here * devices) % size:
        raise errors.UserError(f"BN groups of {size} do not divide a batch of {here * devices}")
    if here % size and size % here:
        raise errors.UserError(
            f"under pmap a BN group is a divisor or a multiple of a device's share of the batch ({here}), not {size}; use jit"
        )
    return max(here // size, 1)
