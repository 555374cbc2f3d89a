"""Batch normalisation over groups of any size."""

import dataclasses
import functools
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
            multiplier = lax.rsqrt(running_var.value + self.epsilon) * scale
            return ((x - running_mean.value) * multiplier + bias).astype(self.dtype)

        # During initialisation there is neither a mapped axis nor a batch that means anything.
        axis, size = (None, 0) if self.is_initializing() else (self.axis, self.group)
        devices = lax.axis_size(axis) if axis else 1
        size = size or x.shape[0] * devices
        groups = check_groups(x.shape[0], devices, size)
        span = _Span(axis, size // x.shape[0]) if axis and size > x.shape[0] else None
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32)).reshape(groups, -1, channels)
        y, mean, var = _normalise(wide, scale, bias, running_mean.value, self.epsilon, span)
        if not self.is_initializing():
            keep = self.momentum
            running_mean.value = keep * running_mean.value + (1 - keep) * mean.mean(0)
            running_var.value = keep * running_var.value + (1 - keep) * var.mean(0)
        return y.reshape(x.shape).astype(self.dtype)


@dataclasses.dataclass(frozen=True)
class _Span:
    """A group that spans several devices of a mapped axis."""

    axis: str
    devices: int

    def mean(self, tree: Any) -> Any:
        """Mean over the devices of each group: one collective."""
        count = lax.axis_size(self.axis)
        members = [list(range(first, first + self.devices)) for first in range(0, count, self.devices)]
        return lax.pmean(tree, self.axis, axis_index_groups=members)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4, 5))
def _normalise(
    x: jax.Array, scale: jax.Array, bias: jax.Array, about: jax.Array, epsilon: float, span: _Span | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalised ``x [groups, values, C]``, and the mean and biased variance ``[groups, C]``; ``about``: see `_moments`."""
    mean, var = _moments(x, about, span)
    multiplier = lax.rsqrt(var + epsilon) * scale
    return (x - mean[:, None]) * multiplier[:, None] + bias, mean, var


@_normalise.defjvp
def _normalise_tangent(
    epsilon: float, span: _Span | None, primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array, jax.Array]]:
    """The derivative in a form whose transpose is the least work there is.

    With m, v the statistics, r = (v + ε)^-½ and a = r·scale, a tangent of x changes them by dm = mean(dx) and
    dv = 2·(mean(x·dx) - m·dm), and y by a·dx + x·u + w, where u and w are one number a channel. Transposed: two sums over
    the gradient g, of g and of g·x, whose operands lie in memory as they are, and one pass that writes a·g + x·p + q. Where
    the mean is far from zero digits are lost in proportion to |m|·r: one of seven for a mean of ten deviations.
    """
    (x, scale, bias, about), (dx, dscale, dbias, _) = primals, tangents
    y, mean, var = _normalise(x, scale, bias, about, epsilon, span)
    inverse = lax.rsqrt(var + epsilon)
    multiplier = inverse * scale
    moments = dx.mean(1), (x * dx).mean(1)
    dmean, product = span.mean(moments) if span else moments
    half_dvar = product - mean * dmean
    slope = inverse * dscale - multiplier * lax.square(inverse) * half_dvar
    offset = dbias - multiplier * dmean - mean * slope
    dy = multiplier[:, None] * dx + x * slope[:, None] + offset[:, None]
    return (y, mean, var), (dy, dmean, 2 * half_dvar)


def _moments(x: jax.Array, about: jax.Array, span: _Span | None) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance ``[groups, C]`` of ``x [groups, values, C]``.

    On a CPU the mean, then the squares about it: a second read of the cache costs less than writing the differences down.
    Elsewhere one pass, the mean of ``x - about`` and that of its square. That is exact for any constant ``about [C]``; near
    the mean it keeps the variance from being the small difference of two large numbers.
    """
    mean, var = lax.platform_dependent(x, about, cpu=_two_passes, default=_one_pass)
    if span:
        off = mean - about
        off, square = span.mean((off, var + lax.square(off)))
        mean, var = off + about, square - lax.square(off)
    # A difference may come out below zero by rounding.
    return mean, jnp.maximum(var, 0.0)


def _two_passes(x: jax.Array, about: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean = x.mean(1)
    return mean, lax.square(x - mean[:, None]).mean(1)


def _one_pass(x: jax.Array, about: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = x - about
    off, square = x.mean(1), lax.square(x).mean(1)
    return off + about, square - lax.square(off)


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
