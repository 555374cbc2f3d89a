"""The one convolution that every network uses.

Its gradients are written as canonical convolutions: NHWC activations, HWIO kernels, transposed explicitly. XLA on CPU
rewrites only the convolutions of a program's top level into the form that its fast path takes; the kernel gradient that
JAX derives is not in that form, so inside a loop body (scanned blocks, several steps a dispatch) it is up to 50× slower.
Written canonically there is nothing to rewrite, and a loop costs nothing.

On one CPU device the value and the input gradient are oneDNN's (`cnnjax.nn.onednn`) or, of depthwise convolutions, sums of
shifted maps (`cnnjax.nn.depthwise`), and the kernel gradient takes the form that was measured to be the fastest there
(``experiments/PERFORMANCE.md``).
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from cnnjax import errors
from cnnjax.nn import depthwise, initialisers, onednn

Pair = tuple[int, int]
CONVOLUTION = "convolution"
"""What rematerialisation calls the result of a convolution, see `cnnjax.nn.stacking`."""

FORMS = ("canonical", "onednn", "plain")
_LAYOUT = ("NHWC", "HWIO", "NHWC")
_PIECE_BYTES, _MOST_PIECES = 2**20, 8
"""Of a kernel gradient on a CPU: a piece's input fits a core's cache; compile time grows with their number."""


@dataclasses.dataclass(frozen=True)
class _Geometry:
    """What a convolution is, beside its arrays."""

    strides: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int
    form: str


def conv2d(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int] = (1, 1),
    padding: Sequence[Sequence[int]] = ((0, 0), (0, 0)),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
    form: str = "canonical",
) -> jax.Array:
    """A 2-D convolution (cross-correlation, as everywhere in the field).

    Args:
      x: ``[N, H, W, Cin]``.
      kernel: ``[kh, kw, Cin / groups, Cout]``.
      strides: vertical, horizontal.
      padding: zeros above and below, left and right.
      dilation: spacing of the kernel's taps.
      groups: the input and output channels are split into this many independent convolutions.
      form: ``"canonical"``: gradients as canonical convolutions. ``"onednn"``: the same by `cnnjax.nn.onednn` or
        `cnnjax.nn.depthwise` where one of them supports them, in programs of one CPU device (reverse mode once, no ``vmap``);
        elsewhere canonical. ``"plain"``: gradients are left to JAX, for tools that need forward mode. (On a CPU jaxlib 0.10.2
        computes JAX's input gradient wrongly where the padding is larger than the kernel's reach on one side and smaller on
        the other.)

    Returns:
      ``[N, H', W', Cout]`` with ``H' = (H + above + below - dilation * (kh - 1) - 1) // stride + 1``.
    """
    if form not in FORMS:
        raise errors.unknown("form", form, FORMS)
    (above, below), (left, right) = padding
    geometry = _Geometry(_pair(strides), ((above, below), (left, right)), _pair(dilation), groups, form)
    return _xla(x, kernel, geometry) if form == "plain" else _with_gradient(x, kernel, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _with_gradient(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    return _convolve(x, kernel, geometry)


def _forward(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve(x, kernel, geometry), (x, kernel)


def _backward(
    geometry: _Geometry, residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    if not dy.size:
        return jnp.zeros_like(x), jnp.zeros_like(kernel)
    return _input_gradient(x, kernel, dy, geometry), _kernel_gradient(x, kernel, dy, geometry)


_with_gradient.defvjp(_forward, _backward)


def _xla(
    x: jax.Array, kernel: jax.Array, geometry: _Geometry, spread: Pair = (1, 1), batch_groups: int = 1
) -> jax.Array:
    padding = geometry.padding
    if min(map(min, padding)) < 0:
        # XLA on CPU computes wrong numbers for some convolutions with a negative padding: it is cut off before.
        rows, columns = (_edges(*axis) for axis in zip(x.shape[1:3], padding, spread, strict=True))
        cut = [(*edges, hole - 1) for (edges, _), hole in zip((rows, columns), spread, strict=True)]
        x = lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *cut, (0, 0, 0)]))
        padding, spread = (rows[1], columns[1]), (1, 1)
    return lax.conv_general_dilated(
        x,
        kernel,
        geometry.strides,
        padding,
        lhs_dilation=spread,
        rhs_dilation=geometry.dilation,
        dimension_numbers=_LAYOUT,
        feature_group_count=geometry.groups,
        batch_group_count=batch_groups,
    )


def _edges(size: int, padding: Pair, spread: int) -> tuple[Pair, Pair]:
    """Of an axis with a negative padding: what is cut off (or added) before the convolution, and what the convolution adds."""
    (low, high), length = padding, (size - 1) * spread + 1
    if min(low, high) < -length:  # nothing of the array is seen, only zeros of the other side
        return (-length, length + low + high), (0, 0)
    return (min(low, 0), min(high, 0)), (max(low, 0), max(high, 0))


def _convolve(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    """The convolution in its form, without a gradient."""
    arguments = (geometry.strides, geometry.padding, geometry.dilation)
    plain = functools.partial(_xla, geometry=geometry)
    fast = [each for each in (onednn, depthwise) if each.supports(x, kernel, *arguments, geometry.groups)]
    if geometry.form != "onednn" or not fast:
        return plain(x, kernel)
    # By the platform that is compiled for, which need not be the one that compiles.
    return lax.platform_dependent(x, kernel, cpu=lambda x, k: fast[0].convolve(x, k, *arguments), default=plain)


def _sizes(x: jax.Array, kernel: jax.Array, dy: jax.Array, geometry: _Geometry) -> list[tuple[int, ...]]:
    """Per axis: input, kernel and output size, stride, padding before, dilation."""
    before = (low for low, _ in geometry.padding)
    axes = (x.shape[1:3], kernel.shape[:2], dy.shape[1:3], geometry.strides, before, geometry.dilation)
    return list(zip(*axes, strict=True))


def _input_gradient(x: jax.Array, kernel: jax.Array, dy: jax.Array, geometry: _Geometry) -> jax.Array:
    """dy, spread by the stride, against the kernel flipped in space and with its channels swapped."""
    groups, (height, width, fan, features) = geometry.groups, kernel.shape
    flipped = kernel[::-1, ::-1].reshape(height, width, fan, groups, features // groups)
    flipped = flipped.transpose(0, 1, 4, 3, 2).reshape(height, width, features // groups, groups * fan)
    edges = [(d * (k - 1) - low, n - (m - 1) * s - 1 + low) for n, k, m, s, low, d in _sizes(x, kernel, dy, geometry)]
    backward = dataclasses.replace(geometry, strides=(1, 1), padding=(edges[0], edges[1]))
    if geometry.form != "onednn" or 1 < groups < features:
        return _xla(dy, flipped, backward, spread=geometry.strides)
    # The fast forms have no input dilation: the zeros between are written out.
    holes = [(0, 0, 0), *((0, 0, stride - 1) for stride in geometry.strides), (0, 0, 0)]
    return _convolve(lax.pad(dy, jnp.zeros((), dy.dtype), holes), flipped, backward)


def _kernel_gradient(x: jax.Array, kernel: jax.Array, dy: jax.Array, geometry: _Geometry) -> jax.Array:
    """Channels take the place of the batch, the batch that of channels, and dy that of the kernel."""
    edges = [(low, d * (k - 1) + (m - 1) * s + 1 - n - low) for n, k, m, s, low, d in _sizes(x, kernel, dy, geometry)]
    backward = dataclasses.replace(
        geometry, strides=geometry.dilation, padding=(edges[0], edges[1]), dilation=geometry.strides, groups=1
    )
    swapped = functools.partial(_swapped, geometry=backward, groups=geometry.groups)
    if geometry.form != "onednn" or geometry.groups > 1:
        return swapped(x, dy)
    on_cpu = functools.partial(_kernel_gradient_on_cpu, geometry=backward)
    return lax.platform_dependent(x, dy, cpu=on_cpu, default=swapped)


def _swapped(x: jax.Array, dy: jax.Array, geometry: _Geometry, groups: int = 1) -> jax.Array:
    x, dy = x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)
    return _xla(x, dy, geometry, batch_groups=groups).transpose(1, 2, 0, 3)


def _kernel_gradient_on_cpu(x: jax.Array, dy: jax.Array, geometry: _Geometry) -> jax.Array:
    """On one CPU device: a small one by oneDNN, a large one by XLA, piece by piece.

    XLA runs this convolution, whose result is small, on one core: pieces of the batch run side by side, and stay in cache.
    Pieces are of equal size: a batch that no number up to eight divides stays whole.
    """
    # Without the barrier XLA computes what made the operands once more, inside of the transposes, where it is slow.
    x, dy = lax.optimization_barrier((x, dy))
    size = x.size * x.dtype.itemsize
    if size <= _PIECE_BYTES:
        rows, taps, arguments = _flat(x, dy, geometry)
        if geometry.strides == (1, 1) and onednn.supports(rows, taps, *arguments, groups=1):
            product = onednn.convolve(rows, taps, *arguments)
            return product.reshape(product.shape[1], -1, x.shape[3], dy.shape[3])
    wanted = min(size // _PIECE_BYTES, _MOST_PIECES)
    count = max(number for number in range(1, max(wanted, 1) + 1) if x.shape[0] % number == 0)
    pieces = zip(jnp.split(x, count), jnp.split(dy, count), strict=True)
    return functools.reduce(jnp.add, [_swapped(*piece, geometry) for piece in pieces])


def _flat(x: jax.Array, dy: jax.Array, geometry: _Geometry) -> tuple[jax.Array, jax.Array, tuple[Any, Any, Any]]:
    """A kernel gradient as one wide convolution whose result is the gradient as it lies in memory.

    Columns and channels become one axis, ``x [1, H, W·C, N]``, on which a step to the next column is a dilation by C: the
    result ``[1, kh, kw·C, features]`` has rows long enough for a fast kernel.
    """
    n, height, width, channels = x.shape
    rows = x.transpose(1, 2, 3, 0).reshape(1, height, width * channels, n)
    vertical, (left, right) = geometry.padding
    padding = (vertical, (left * channels, right * channels))
    dilation = (geometry.dilation[0], geometry.dilation[1] * channels)
    return rows, dy.transpose(1, 2, 0, 3), ((1, 1), padding, dilation)


def _pair(values: Sequence[int]) -> Pair:
    first, second = values
    return first, second


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
      kernel_init, bias_init: see :mod:`cnnjax.nn.initialisers`.
      form: see :func:`conv2d`.
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
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()
    form: str = "canonical"

    @nn.nowrap
    def edges(self) -> tuple[Pair, Pair]:
        """Its padding, above and below, left and right."""
        height, width = ((k - 1) // 2 for k in self.kernel_size)
        return self.padding or ((height, height), (width, width))

    @nn.nowrap
    def sides(self, sides: Sequence[int]) -> tuple[int, ...]:
        """Height and width of what it makes of a map of such sides."""
        axes = zip(sides, self.kernel_size, self.strides, self.edges(), self.dilation, strict=True)
        return tuple((n + sum(edges) - d * (k - 1) - 1) // s + 1 for n, k, s, edges, d in axes)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        y = conv2d(x, kernel, self.strides, self.edges(), self.dilation, self.groups, self.form)
        y = checkpoint_name(y, CONVOLUTION)
        if self.use_bias:
            y += self.param("bias", self.bias_init, (self.features,), jnp.float32).astype(self.dtype)
        return y
