"""Pooling: over windows, over channels, over the whole map, over a pyramid of bins."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnjax import errors

_REDUCTIONS = {"max": (-np.inf, lax.max), "average": (0.0, lax.add), "sum": (0.0, lax.add)}
KINDS = tuple(_REDUCTIONS)

Edges = Sequence[tuple[int, int]]


def output_size(size: int, window: int, stride: int, edges: tuple[int, int] = (0, 0), ceil: bool = False) -> int:
    """Positions of a window along one axis; below 1 where it does not fit.

    Args:
      size: of the map.
      window: its extent, dilation included.
      stride: from one position to the next.
      edges: padding before and after.
      ceil: whether a last window that reaches over the end counts, if it begins on the map or on the padding before it
        (Caffe's rule, with the correction that PyTorch took over: none begins in the padding after it).
    """
    free = size + sum(edges) - window
    count = (-(-free // stride) if ceil else free // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= size + edges[0] else count


def pool(
    x: jax.Array,
    kind: str,
    window: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Edges | None = None,
    ceil: bool = False,
    count_padding: bool = True,
) -> jax.Array:
    """Pools ``x [N, *space, C]`` over windows of its spatial axes.

    Args:
      x: maps; one, two or three spatial axes.
      kind: ``"max"``, ``"average"`` or ``"sum"``.
      window: its extent along each spatial axis. Windows overlap where it is larger than the stride (Krizhevsky et al.
        2012, §3.4).
      strides: along each; the window's extent if not given.
      padding: before and after each; none if not given. Never the largest value of a window.
      ceil: see :func:`output_size`.
      count_padding: whether an average divides by the window's positions on the padding too (as Caffe and, unless told
        otherwise, PyTorch do), or only by those on the map (as TensorFlow does). What ``ceil`` adds is never counted.

    Raises:
      UserError: an unknown kind, or a map that is smaller than the window.
    """
    if kind not in KINDS:
        raise errors.unknown("kind of pooling", kind, KINDS)
    strides = strides or window
    padding = padding or ((0, 0),) * len(window)
    axes = list(zip(x.shape[1:-1], window, strides, padding, strict=True))
    counts = [output_size(*axis, ceil) for axis in axes]
    if min(counts) < 1:
        raise errors.UserError(f"a map of {_times(x.shape[1:-1])} is smaller than its window of {_times(window)}")
    reach = [
        (low, max((count - 1) * stride + extent - size - low, high if not ceil else 0, 0))
        for count, (size, extent, stride, (low, high)) in zip(counts, axes, strict=True)
    ]
    start, reduce = _REDUCTIONS[kind]
    y = lax.reduce_window(
        x, np.array(start, x.dtype), reduce, (1, *window, 1), (1, *strides, 1), ((0, 0), *reach, (0, 0))
    )
    y = y[(slice(None), *(slice(count) for count in counts))]
    if kind != "average":
        return y
    shares = [_positions(count, axis, count_padding) for count, axis in zip(counts, axes, strict=True)]
    divisor = np.ones(())
    for each in shares:
        divisor = divisor[..., None] * each
    return y / divisor[..., None].astype(x.dtype)


def _positions(count: int, axis: tuple[int, int, int, tuple[int, int]], count_padding: bool) -> np.ndarray:
    """How many positions of each window along an axis an average divides by."""
    size, extent, stride, (low, high) = axis
    first = np.arange(count) * stride - low
    start, stop = (-low, size + high) if count_padding else (0, size)
    return np.minimum(first + extent, stop) - np.maximum(first, start)


def channel_pool(x: jax.Array, window: int) -> jax.Array:
    """The maximum over each ``window`` neighbouring channels: ``[..., C]`` becomes ``[..., C / window]``.

    What a convolution learns as several channels (a pattern turned, thicker, brighter) becomes one that does not tell them
    apart.

    Raises:
      UserError: the channels are no multiple of the window.
    """
    if window < 1 or x.shape[-1] % window:
        raise errors.UserError(f"{x.shape[-1]} channels are not divided by a pooling window of {window}")
    return x.reshape(*x.shape[:-1], -1, window).max(-1)


def global_pool(x: jax.Array, kind: str = "average") -> jax.Array:
    """``[N, *space, C]`` to ``[N, C]``. Lin et al. 2013, §3.2 (average)."""
    return pool(x, kind, x.shape[1:-1]).reshape(x.shape[0], x.shape[-1])


def bins(size: int, count: int) -> list[tuple[int, int]]:
    """First and last + 1 position of each of ``count`` bins on an axis: floor on the left, ceil on the right.

    He et al. 2014 (SPP), appendix. Bins overlap where the count does not divide the size, and are never empty. (A sliding
    window of ⌈size / count⌉ at stride ⌊size / count⌋ gives other counts for many sizes, e.g. 9 instead of 6 for size 10.)
    """
    return [(number * size // count, -(-(number + 1) * size // count)) for number in range(count)]


def bin_pool(x: jax.Array, kind: str, count: int) -> jax.Array:
    """``[N, H, W, C]`` of any size to ``[N, count, count, C]``: the ``"max"`` or ``"average"`` of each of :func:`bins`.

    PyTorch calls it adaptive pooling.

    Raises:
      UserError: another kind.
    """
    reduce: dict[str, Callable[..., jax.Array]] = {"max": jnp.max, "average": jnp.mean}
    if kind not in reduce:
        raise errors.unknown("kind of pooling into bins", kind, reduce)
    rows = jnp.stack([reduce[kind](x[:, first:last], 1) for first, last in bins(x.shape[1], count)], 1)
    return jnp.stack([reduce[kind](rows[:, :, first:last], 2) for first, last in bins(x.shape[2], count)], 2)


def pyramid_pool(x: jax.Array, levels: Sequence[int]) -> jax.Array:
    """Spatial pyramid pooling: ``[N, H, W, C]`` of any size to ``[N, C · Σ n²]``. He et al. 2014, §2.2.

    Args:
      x: maps.
      levels: bins along an axis, of each level; their maxima are concatenated in this order.
    """
    return jnp.concatenate([bin_pool(x, "max", count).reshape(x.shape[0], -1) for count in levels], -1)


def _times(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes))
