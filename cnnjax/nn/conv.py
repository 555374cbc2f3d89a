"""The one convolution that every network uses.

Its gradients are written as canonical convolutions: NHWC activations, HWIO kernels, transposed explicitly. XLA on CPU
rewrites only the convolutions of a program's top level into the form that its fast path takes; the kernel gradient that
JAX derives is not in that form, so inside a loop body (scanned blocks, several steps a dispatch) it is up to 50× slower.
Written canonically there is nothing to rewrite, and a loop costs nothing.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.nn import initialisers

Padding = Sequence[tuple[int, int]]
_CANONICAL = ("NHWC", "HWIO", "NHWC")


def _plain(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Padding, dilation: Sequence[int], groups: int
) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=_CANONICAL, feature_group_count=groups
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _canonical(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Padding, dilation: Sequence[int], groups: int
) -> jax.Array:
    return _plain(x, kernel, strides, padding, dilation, groups)


def _forward(x, kernel, strides, padding, dilation, groups):  # type: ignore[no-untyped-def]
    return _plain(x, kernel, strides, padding, dilation, groups), (x, kernel)


def _backward(strides, padding, dilation, groups, residuals, dy):  # type: ignore[no-untyped-def]
    x, kernel = residuals
    sizes = list(zip(x.shape[1:3], kernel.shape[:2], dy.shape[1:3], strides, padding, dilation, strict=True))

    # Input gradient: dy, spread by the stride, against the kernel flipped in space and with its channels swapped.
    height, width, fan, features = kernel.shape
    flipped = kernel[::-1, ::-1].reshape(height, width, fan, groups, features // groups)
    flipped = flipped.transpose(0, 1, 4, 3, 2).reshape(height, width, features // groups, groups * fan)
    edges = [(d * (k - 1) - low, n - (m - 1) * s - 1 + low) for n, k, m, s, (low, _), d in sizes]
    dx = lax.conv_general_dilated(
        dy,
        flipped,
        (1, 1),
        edges,
        lhs_dilation=strides,
        rhs_dilation=dilation,
        dimension_numbers=_CANONICAL,
        feature_group_count=groups,
    )

    # Kernel gradient: channels take the place of the batch, the batch that of channels, and dy that of the kernel.
    edges = [(low, d * (k - 1) + (m - 1) * s + 1 - n - low) for n, k, m, s, (low, _), d in sizes]
    dkernel = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        dy.transpose(1, 2, 0, 3),
        dilation,
        edges,
        rhs_dilation=strides,
        dimension_numbers=_CANONICAL,
        batch_group_count=groups,
    )
    return dx, dkernel.transpose(1, 2, 0, 3)


_canonical.defvjp(_forward, _backward)


def conv2d(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int] = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
    canonical: bool = True,
) -> jax.Array:
    """A 2-D convolution (cross-correlation, as everywhere in the field).

    Args:
      x: ``[N, H, W, Cin]``.
      kernel: ``[kh, kw, Cin / groups, Cout]``.
      strides: vertical, horizontal.
      padding: zeros above and below, left and right.
      dilation: spacing of the kernel's taps.
      groups: the input and output channels are split into this many independent convolutions.
      canonical: gradients as canonical convolutions (reverse mode only). ``False`` leaves them to JAX, for forward-mode
        tools.

    Returns:
      ``[N, H', W', Cout]`` with ``H' = (H + above + below - dilation * (kh - 1) - 1) // stride + 1``.
    """
    conv = _canonical if canonical else _plain
    edges = tuple((before, after) for before, after in padding)
    return conv(x, kernel, tuple(strides), edges, tuple(dilation), groups)


class Conv(nn.Module):
    """A convolution layer. Parameters: ``kernel [kh, kw, Cin / groups, features]``, and ``bias [features]`` if wanted.

    Attributes:
      features: output channels.
      kernel_size: height, width.
      strides: vertical, horizontal.
      padding: explicit zeros per side, or ``None`` for ``(k - 1) // 2`` on both sides (odd kernels keep their size).
      dilation: spacing of the kernel's taps.
      groups: see :func:`conv2d`.
      use_bias: off in front of batch normalisation, which would remove it.
      dtype: computations are made in it; parameters are float32.
      kernel_init: see :mod:`cnnjax.nn.initialisers`.
      canonical: see :func:`conv2d`.
    """

    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] | None = None
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    use_bias: bool = True
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = initialisers.he_normal
    canonical: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        padding = self.padding or tuple(((k - 1) // 2, (k - 1) // 2) for k in self.kernel_size)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        y = conv2d(x, kernel, self.strides, padding, self.dilation, self.groups, self.canonical)
        if self.use_bias:
            y += self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32).astype(self.dtype)
        return y
