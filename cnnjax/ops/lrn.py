"""Local response normalisation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def across_channels(
    x: jax.Array, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, mean: bool = False
) -> jax.Array:
    """``x / (k + α Σ x²)^β`` over ``size`` neighbouring channels. Krizhevsky et al. 2012, §3.3 (the defaults).

    Args:
      x: ``[..., C]``.
      size: of the neighbourhood, the channel in its middle; an even one has one channel more below than above.
      k, alpha, beta: of the formula.
      mean: Caffe's and PyTorch's convention: α times the mean of ``size`` squares (zeros beyond the ends) instead of their
        sum. TensorFlow's ``depth_radius`` r is a sum over ``size = 2r + 1``.
    """
    window = (1,) * (x.ndim - 1) + (size,)
    below = size // 2
    edges = ((0, 0),) * (x.ndim - 1) + ((below, size - 1 - below),)
    return local_response_normalisation(x, window, edges, k, alpha / size if mean else alpha, beta)


def within_channel(x: jax.Array, size: int = 3, alpha: float = 5e-5, beta: float = 0.75) -> jax.Array:
    """``x / (1 + α · mean of size × size squares)^β`` in each channel of ``x [N, H, W, C]``: Caffe's WITHIN_CHANNEL.

    The defaults are those of the SPP authors' ZF-5. Beyond the map the squares are zero, and are counted.
    """
    window, below = (1, size, size, 1), size // 2
    edges = ((0, 0), (below, size - 1 - below), (below, size - 1 - below), (0, 0))
    return local_response_normalisation(x, window, edges, 1.0, alpha / size**2, beta)


# A function with a name in the traced program: `cnnjax.analysis.deconvnet` finds it there.
@functools.partial(jax.jit, static_argnums=(1, 2))
def local_response_normalisation(
    x: jax.Array, window: tuple[int, ...], edges: tuple[tuple[int, int], ...], k: float, alpha: float, beta: float
) -> jax.Array:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # The zero is NumPy's: one that is traced hides from JAX that this is a sum, which it then cannot differentiate.
    squares = lax.reduce_window(wide * wide, np.zeros((), wide.dtype), lax.add, window, (1,) * x.ndim, edges)
    return (wide * (k + alpha * squares) ** -beta).astype(x.dtype)
