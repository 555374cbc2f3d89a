"""Depthwise convolutions on a CPU: a sum of shifted maps.

Where every channel has one kernel of its own, XLA's CPU backend computes one product at a time. The same written as a sum over
the kernel's taps is a loop over neighbouring channels, some fifty times as fast (``experiments/PERFORMANCE.md``). As
`cnnjax.nn.onednn`, it is for float32 only.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.ops import pooling

Pair = tuple[int, int]


def supports(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Sequence[Pair],
    dilation: Sequence[int],
    groups: int,
) -> bool:
    """Whether a convolution is depthwise, in float32, without negative padding and not empty."""
    if x.dtype != jnp.float32 or kernel.dtype != jnp.float32 or min(map(min, padding)) < 0:
        return False
    if not groups == x.shape[3] == kernel.shape[3] or kernel.shape[2] != 1:
        return False
    return 0 not in (*x.shape, *kernel.shape) and min(_output_size(x, kernel, strides, padding, dilation)) > 0


def convolve(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair], dilation: Sequence[int]
) -> jax.Array:
    """``[N, H', W', C]`` of ``x [N, H, W, C]`` and ``kernel [kh, kw, 1, C]``, of a supported form."""
    size = _output_size(x, kernel, strides, padding, dilation)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))

    def seen(tap: Pair) -> jax.Array:
        """What of the map lies under a tap, at all places of the kernel."""
        axes = zip(tap, size, strides, dilation, strict=True)
        rows, columns = (slice(t * d, t * d + (count - 1) * stride + 1, stride) for t, count, stride, d in axes)
        return x[:, rows, columns]

    height, width = kernel.shape[:2]
    return sum((seen(tap) * kernel[tap][0] for tap in np.ndindex(height, width)), jnp.float32(0))


def _output_size(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair], dilation: Sequence[int]
) -> list[int]:
    axes = zip(x.shape[1:3], kernel.shape[:2], strides, padding, dilation, strict=True)
    return [pooling.output_size(n, d * (k - 1) + 1, stride, edges) for n, k, stride, edges, d in axes]
