"""Convolutions as operations, in one, two or three dimensions. Networks use `cnnjax.nn.conv`, which has fast gradients.

Maps are ``[N, *space, C]``, kernels ``[*extents, C / groups, F]``. What networks call convolution is a correlation: the kernel
is not turned.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax import errors

_AXES = {1: "W", 2: "HW", 3: "DHW"}


def correlate(
    x: jax.Array,
    kernel: jax.Array,
    strides: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """``y[p] = Σ_t x[p · stride + t · dilation - padding] k[t]``, summed over channels too.

    Args:
      x: ``[N, *space, C]``.
      kernel: ``[*extents, C / groups, F]``; extents may be even.
      strides, padding, dilation: a number, or one an axis; padding on both sides, or ``"same"``: as many outputs as strides fit
        into the map, an odd one at the end.
      groups: of channels that do not see each other; as many as channels is a depthwise convolution.

    Raises:
      UserError: shapes that do not fit each other, or a map that is smaller than the kernel.
    """
    axes = x.ndim - 2
    if axes not in _AXES or kernel.ndim != axes + 2:
        raise errors.UserError(
            f"maps have one, two or three spatial axes and kernels as many, not {axes} and {kernel.ndim - 2}"
        )
    if groups < 1 or x.shape[-1] != kernel.shape[-2] * groups or kernel.shape[-1] % groups:
        raise errors.UserError(
            f"a kernel of {kernel.shape[-2]} times {groups} channels and {kernel.shape[-1]} features does not fit "
            f"{x.shape[-1]} channels"
        )
    steps, spread = _each(strides, axes), _each(dilation, axes)
    if min(*steps, *spread) < 1:
        raise errors.UserError(f"strides and dilation are at least 1, not {steps} and {spread}")
    reach = [d * (k - 1) + 1 for k, d in zip(kernel.shape[:axes], spread, strict=True)]
    if isinstance(padding, str):
        if padding.lower() != "same":
            raise errors.unknown("padding", padding, ("same",), "or a number of zeros on each side")
        edges = list(lax.padtype_to_pads(x.shape[1:-1], reach, steps, padding.upper()))
    else:
        edges = [(each, each) for each in _each(padding, axes)]
    if any(size + sum(edge) < extent for size, edge, extent in zip(x.shape[1:-1], edges, reach, strict=True)):
        raise errors.UserError(
            f"a map of {x.shape[1:-1]} is smaller than its kernel, which reaches over {tuple(reach)}"
        )
    names = _AXES[axes]
    forms = (f"N{names}C", f"{names}IO", f"N{names}C")
    return lax.conv_general_dilated(
        x, kernel, steps, edges, rhs_dilation=spread, dimension_numbers=forms, feature_group_count=groups
    )


def convolve(x: jax.Array, kernel: jax.Array, padding: int | Sequence[int] | str = 0) -> jax.Array:
    """The convolution of mathematics: :func:`correlate` with the kernel turned around along every spatial axis."""
    return correlate(x, jnp.flip(kernel, range(kernel.ndim - 2)), padding=padding)


def transposed(
    x: jax.Array, kernel: jax.Array, strides: int | Sequence[int] = 1, padding: int | Sequence[int] = 0
) -> jax.Array:
    """What :func:`correlate` does to gradients, as a layer: every value spreads ``kernel`` into a larger map, which add up.

    Args:
      x: ``[N, *space, F]``.
      kernel: of the correlation that it transposes, ``[*extents, C, F]``.
      strides, padding: of that correlation; a map of n becomes one of ``(n - 1) · stride + extent - 2 · padding``.
    """
    axes = x.ndim - 2
    steps, edges, extents = _each(strides, axes), _each(padding, axes), kernel.shape[:axes]
    if kernel.ndim != axes + 2 or kernel.shape[-1] != x.shape[-1]:
        raise errors.UserError(
            f"a kernel of {kernel.shape} does not fit maps of {x.shape}: its last axis is their channels"
        )
    sizes = [
        (size - 1) * step + extent - 2 * edge
        for size, step, extent, edge in zip(x.shape[1:-1], steps, extents, edges, strict=True)
    ]
    shape = (x.shape[0], *sizes, kernel.shape[-2])
    if min(sizes) < 1:
        raise errors.UserError(f"a map of {x.shape[1:-1]} becomes one of {tuple(sizes)}")
    _, pull = jax.vjp(lambda y: correlate(y, kernel, steps, edges), jnp.zeros(shape, x.dtype))
    return pull(x)[0]


def separable(
    x: jax.Array, depthwise: jax.Array, pointwise: jax.Array, padding: int | Sequence[int] | str = 0
) -> jax.Array:
    """A kernel a channel, then a matrix over channels. Chollet 2016, §1.

    Args:
      x: ``[N, *space, C]``.
      depthwise: ``[*extents, 1, C · multiplier]``.
      pointwise: ``[C · multiplier, F]``.
      padding: of the first.
    """
    if pointwise.ndim != 2 or pointwise.shape[0] != depthwise.shape[-1]:
        raise errors.UserError(
            f"a matrix of {pointwise.shape} does not fit the {depthwise.shape[-1]} channels that the kernels give"
        )
    return correlate(x, depthwise, padding=padding, groups=x.shape[-1]) @ pointwise


def spatially_separable(x: jax.Array, kernels: Sequence[jax.Array], padding: int = 0) -> jax.Array:
    """A kernel that is the outer product of one-dimensional ones, ``[extent]`` each, applied axis by axis to every channel."""
    axes = x.ndim - 2
    if len(kernels) != axes:
        raise errors.UserError(f"a map of {axes} axes wants as many kernels, not {len(kernels)}")
    for axis, kernel in enumerate(kernels):
        extents = [kernel.size if each == axis else 1 for each in range(axes)]
        shaped = jnp.broadcast_to(kernel.reshape(*extents, 1, 1), (*extents, 1, x.shape[-1]))
        x = correlate(x, shaped, padding=[padding if each == axis else 0 for each in range(axes)], groups=x.shape[-1])
    return x


def _each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    found = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(found) != axes:
        raise errors.UserError(f"{axes} spatial axes want as many numbers, not {found}")
    return found
