"""The rows of a network's table: its layers, as plain data.

A network of the lineage is a table: a sequence of rows, applied one after the other. A row that holds rows itself (branches
that are concatenated, a residual branch) is a scope of its own: the names of parameters are paths through the table
(``inception_3a/branch2/conv1/kernel``). What all layers of a network share (normalisation, activation, dtype, ...) is not in
the rows: it comes to them as :class:`Settings`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.errors import ScopeParamShapeError
from jax import lax

from cnnjax import errors
from cnnjax.nn import initialisers
from cnnjax.nn.conv import Conv as ConvLayer
from cnnjax.nn.norm import BatchNorm
from cnnjax.ops import lrn, pooling
from cnnjax.ops.activations import FUNCTIONS

Size = int | tuple[int, int]


class TooSmallError(errors.UserError):
    """A map is smaller than what a layer looks at."""


class FanInError(errors.UserError):
    """A dense layer gets another number of values than it has weights for.

    Attributes:
      layer: its path.
      fan: for how many it has.
    """

    def __init__(self, message: str, layer: tuple[str, ...], fan: int):
        super().__init__(message)
        self.layer, self.fan = layer, fan


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the layers of a network share.

    Attributes:
      norm: fields of `cnnjax.nn.norm.BatchNorm`; ``None`` where the network has no batch normalisation.
      norm_bias: whether normalised convolutions have a bias too.
      activation: of :data:`cnnjax.ops.activations.FUNCTIONS`.
      init: of :data:`cnnjax.nn.initialisers.NAMED`, instead of what the rows say; empty for the rows'.
      dropout: the rate of :class:`Drop` rows that name none.
      dtype: of the computations.
      form: of convolutions, see `cnnjax.nn.conv`.
      train: whether dropout acts.
      bn_train: whether batch normalisation takes the batch's statistics.
    """

    norm: Any
    norm_bias: bool
    activation: str
    init: str
    dropout: float
    dtype: str
    form: str
    train: bool
    bn_train: bool

    def activate(self, x: jax.Array, activation: str | None) -> jax.Array:
        """Applies a row's activation, or the network's where the row names none."""
        return FUNCTIONS[self.activation if activation is None else activation](x)

    def initial(self, std: float | None, bias: float) -> dict[str, Any]:
        """Initialisers of a kernel and a bias: what the network's ``init`` names, or the row's."""
        if self.init:
            return {"kernel_init": initialisers.NAMED[self.init], "bias_init": nn.initializers.zeros_init()}
        kernel = initialisers.he_normal if std is None else initialisers.gaussian(std)
        return {"kernel_init": kernel, "bias_init": nn.initializers.constant(bias)}

    def normalise(self, x: jax.Array, name: str, **fields: Any) -> jax.Array:
        """Batch normalisation with the network's settings."""
        return BatchNorm(**{**dict(self.norm or ()), **fields}, dtype=self.dtype, name=name)(x, self.bn_train)


def _check(row: Any, **least: int) -> None:
    """Raises a `UserError` where a row's sizes are below these."""
    for field, limit in least.items():
        value = getattr(row, field)
        sizes = value if isinstance(value, tuple) else (value,)
        if any(isinstance(size, int) and size < limit for size in sizes):
            raise errors.UserError(f"{row.name}: {field} is at least {limit}, not {value}")
    if getattr(row, "std", None) is not None and row.std < 0:
        raise errors.UserError(f"{row.name}: std is at least 0, not {row.std}")


class Row(Protocol):
    """Anything that is applied to ``x [N, ..., C]`` in the scope of the module that calls it."""

    @property
    def name(self) -> str:
        """Of its parameters, and of its tap at the top level of a network."""

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        """Applies it."""


Rows = Sequence[Row]


class Scope(nn.Module):
    """Rows, applied one after the other under a name of their own."""

    rows: tuple[Row, ...]
    settings: Settings

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for row in self.rows:
            x = row(x, self.settings)
        return x


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution, batch normalisation where the network has it, and an activation.

    Attributes:
      name: begins with ``conv``; its normalisation is called the same with ``norm``.
      features: output channels.
      kernel: height and width, or one number for both.
      strides: vertical and horizontal.
      padding: zeros on each side, vertical and horizontal; ``None``: as many as keep the size of an odd kernel at stride 1.
      dilation: spacing of the kernel's taps.
      groups: independent convolutions of channels; -1: one a channel (depthwise).
      activation: instead of the network's.
      norm: whether it is normalised; ``None``: as the network is.
      bias: whether it has one; ``None``: where it is not normalised.
      std: of a Gaussian that the paper draws the kernel from; ``None``: He's.
      start: initial value of the bias.
    """

    name: str
    features: int
    kernel: Size = 3
    strides: Size = 1
    padding: Size | None = None
    dilation: Size = 1
    groups: int = 1
    activation: str | None = None
    norm: bool | None = None
    bias: bool | None = None
    std: float | None = None
    start: float = 0.0

    def __post_init__(self) -> None:
        _check(self, features=1, kernel=1, strides=1, padding=0, dilation=1, groups=-1 if self.groups == -1 else 1)

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        norm = settings.norm is not None if self.norm is None else self.norm
        kernel, strides, dilation = pair(self.kernel), pair(self.strides), pair(self.dilation)
        reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        padding = tuple((r - 1) // 2 for r in reach) if self.padding is None else pair(self.padding)
        if any(size + 2 * p < r for size, p, r in zip(x.shape[1:3], padding, reach, strict=True)):
            raise TooSmallError(
                f"{self.name}: a map of {x.shape[1]}×{x.shape[2]} is smaller than its kernel of {reach[0]}×{reach[1]}"
            )
        groups = x.shape[-1] if self.groups == -1 else self.groups
        features = self.features
        if x.shape[-1] % groups or features % groups:
            raise errors.UserError(
                f"{self.name}: {x.shape[-1]} and {features} channels are not divided into {groups} groups"
            )
        layer = ConvLayer(
            features,
            kernel,
            strides,
            tuple((p, p) for p in padding),  # type: ignore[arg-type]
            dilation,
            groups,
            use_bias=not norm or settings.norm_bias if self.bias is None else self.bias,
            dtype=settings.dtype,
            form=settings.form,
            name=self.name,
            **settings.initial(self.std, self.start),
        )
        try:
            x = layer(x)
        except ScopeParamShapeError as error:
            wanted = (*kernel, x.shape[-1] // groups, features)
            there = layer.scope.get_variable("params", "kernel").shape  # type: ignore[union-attr]
            raise errors.UserError(
                f"{self.name} gets {x.shape[-1]} channels, for which its kernel is {'×'.join(map(str, wanted))}, and the "
                f"weights have {'×'.join(map(str, there))}"
            ) from error
        if norm:
            x = settings.normalise(x, self.name.replace("conv", "norm", 1))
        return settings.activate(x, self.activation)


@dataclasses.dataclass(frozen=True)
class Separable:
    """A depthwise and a pointwise convolution, then normalisation and activation. Chollet 2016, §3.

    Attributes:
      name: begins with ``conv``; the two are called ``<name>_depthwise`` and ``<name>_pointwise``.
      features, kernel, strides, padding, activation, norm: as of :class:`Conv`.
      multiplier: maps that the depthwise convolution makes of each channel.
      between: an activation between the two; the paper finds none to be best (§4.7).
    """

    name: str
    features: int
    kernel: Size = 3
    strides: Size = 1
    padding: Size | None = None
    activation: str | None = None
    norm: bool | None = None
    multiplier: int = 1
    between: str = "identity"

    def __post_init__(self) -> None:
        _check(self, features=1, kernel=1, strides=1, padding=0, multiplier=1)

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        depthwise = Conv(
            f"{self.name}_depthwise",
            x.shape[-1] * self.multiplier,
            self.kernel,
            self.strides,
            self.padding,
            groups=-1,
            activation=self.between,
            norm=False,
            bias=False,
        )
        pointwise = Conv(f"{self.name}_pointwise", self.features, 1, activation=self.activation, norm=self.norm)
        return pointwise(depthwise(x, settings), settings)


@dataclasses.dataclass(frozen=True)
class Dense:
    """A fully connected layer on ``[N, F]``, and an activation.

    Attributes:
      name: of its parameters.
      features: outputs.
      activation: instead of the network's; ``"identity"`` for logits.
      norm: whether it is batch-normalised; no by default, as networks with batch normalisation leave these layers out.
      std, start: of the paper's initialisation, see :class:`Conv`.
    """

    name: str
    features: int
    activation: str | None = None
    norm: bool = False
    std: float | None = None
    start: float = 0.0

    def __post_init__(self) -> None:
        _check(self, features=1)

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        layer = nn.Dense(
            self.features,
            use_bias=not self.norm,
            dtype=settings.dtype,
            name=self.name,
            **settings.initial(self.std, self.start),
        )
        try:
            x = layer(x)
        except ScopeParamShapeError as error:
            scope = layer.scope
            fan = scope.get_variable("params", "kernel").shape[0]  # type: ignore[union-attr]
            message = f"{self.name} gets {x.shape[-1]:,} values an image, and has weights for {fan:,}"
            raise FanInError(message, scope.path, fan) from error  # type: ignore[union-attr]
        if self.norm:
            x = settings.normalise(x, f"{self.name}_norm")
        return settings.activate(x, self.activation)


@dataclasses.dataclass(frozen=True)
class Pool:
    """Pooling over windows, see :func:`cnnjax.ops.pooling.pool`.

    Attributes:
      name: of its tap.
      kind: ``"max"``, ``"average"`` or ``"sum"``.
      window, strides: their extent and distance.
      padding: on each side, or ``"same"``, TensorFlow's: as many outputs as strides fit into the map, an odd one of padding at
        the end.
      ceil: whether a last window may reach over the end.
      count_padding: whether an average counts the padding.
    """

    name: str
    kind: str = "max"
    window: Size = 3
    strides: Size = 2
    padding: Size | str = 0
    ceil: bool = False
    count_padding: bool = True

    def __post_init__(self) -> None:
        if self.kind not in pooling.KINDS:
            raise errors.unknown(f"kind of {self.name}:", self.kind, pooling.KINDS)
        _check(self, window=1, strides=1, padding=0)

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        if isinstance(self.padding, str):
            edges = lax.padtype_to_pads(x.shape[1:3], pair(self.window), pair(self.strides), self.padding.upper())
        else:
            edges = [(p, p) for p in pair(self.padding)]
        try:
            return pooling.pool(
                x, self.kind, pair(self.window), pair(self.strides), edges, self.ceil, self.count_padding
            )
        except errors.UserError as error:
            raise TooSmallError(f"{self.name}: {error}") from error


@dataclasses.dataclass(frozen=True)
class GlobalPool:
    """``[N, H, W, C]`` to ``[N, C]``: the average of each map, or its maximum."""

    name: str = "global_pool"
    kind: str = "average"

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return pooling.global_pool(x, self.kind)


@dataclasses.dataclass(frozen=True)
class ChannelPool:
    """The maximum over each ``window`` neighbouring channels, see :func:`cnnjax.ops.pooling.channel_pool`."""

    name: str
    window: int

    def __post_init__(self) -> None:
        _check(self, window=1)

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        try:
            return pooling.channel_pool(x, self.window)
        except errors.UserError as error:
            raise errors.UserError(f"{self.name}: {error}") from error


@dataclasses.dataclass(frozen=True)
class BinPool:
    """``count × count`` bins of a map of any size, see :func:`cnnjax.ops.pooling.bin_pool`."""

    name: str
    kind: str
    count: int

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return pooling.bin_pool(x, self.kind, self.count)


@dataclasses.dataclass(frozen=True)
class PyramidPool:
    """Spatial pyramid pooling, see :func:`cnnjax.ops.pooling.pyramid_pool`."""

    name: str
    levels: tuple[int, ...]

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return pooling.pyramid_pool(x, self.levels)


@dataclasses.dataclass(frozen=True)
class Lrn:
    """Local response normalisation across channels, see :func:`cnnjax.ops.lrn.across_channels`."""

    name: str
    size: int = 5
    k: float = 2.0
    alpha: float = 1e-4
    beta: float = 0.75
    mean: bool = False

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return lrn.across_channels(x, self.size, self.k, self.alpha, self.beta, self.mean)


@dataclasses.dataclass(frozen=True)
class LrnWithin:
    """Local response normalisation within each channel, see :func:`cnnjax.ops.lrn.within_channel`."""

    name: str
    size: int = 3
    alpha: float = 5e-5
    beta: float = 0.75

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return lrn.within_channel(x, self.size, self.alpha, self.beta)


@dataclasses.dataclass(frozen=True)
class Activation:
    """An activation on its own; the network's where it is not named."""

    name: str = "activation"
    activation: str | None = None

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return settings.activate(x, self.activation)


@dataclasses.dataclass(frozen=True)
class Flatten:
    """``[N, H, W, C]`` to ``[N, H·W·C]``."""

    name: str = "flatten"

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return x.reshape(x.shape[0], -1)


@dataclasses.dataclass(frozen=True)
class Drop:
    """Inverted dropout in training; ``rate`` is what is dropped, the network's where it is not given."""

    name: str
    rate: float | None = None

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        rate = settings.dropout if self.rate is None else self.rate
        return nn.Dropout(rate, deterministic=not settings.train, name=self.name)(x)


@dataclasses.dataclass(frozen=True)
class Branches:
    """Chains of rows on the same input, concatenated along channels.

    Attributes:
      name: of the scope; the branches are called ``branch1``, ``branch2``, ... in it.
      branches: of each, its rows; none for the input itself.
      after: rows on the concatenation, in the same scope.
    """

    name: str
    branches: tuple[tuple[Row, ...], ...]
    after: tuple[Row, ...] = ()

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return _Branches(self.branches, self.after, settings, name=self.name)(x)


class _Branches(nn.Module):
    branches: tuple[tuple[Row, ...], ...]
    after: tuple[Row, ...]
    settings: Settings

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        each = [
            Scope(rows, self.settings, name=f"branch{number}")(x) for number, rows in enumerate(self.branches, start=1)
        ]
        shapes = {y.shape[1:3] for y in each}
        if len(shapes) > 1:
            raise errors.UserError(f"{self.name}: branches end in maps of different size: {sorted(shapes)}")
        y = jnp.concatenate(each, -1)
        for row in self.after:
            y = row(y, self.settings)
        return y


@dataclasses.dataclass(frozen=True)
class Residual:
    """``activation(shortcut(x) + scale · body(x))``.

    Attributes:
      name: of the scope, with ``body``'s rows in it and the shortcut's under ``shortcut``.
      body: the residual branch.
      shortcut: rows; none for the identity.
      scale: of the body. Szegedy et al. 2016, §3.3.
      activation: after the sum, instead of the network's.
      fitted: whether the body's last layer puts out as many maps as come in, whatever its row says: where widths were rounded.
    """

    name: str
    body: tuple[Row, ...]
    shortcut: tuple[Row, ...] = ()
    scale: float = 1.0
    activation: str | None = None
    fitted: bool = False

    def module(self, settings: Settings) -> nn.Module:
        """What :meth:`__call__` applies."""
        return _Residual(self.body, self.shortcut, self.scale, self.activation, self.fitted, settings, name=self.name)

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return self.module(settings)(x)


class _Residual(nn.Module):
    body: tuple[Row, ...]
    shortcut: tuple[Row, ...]
    scale: float
    activation: str | None
    fitted: bool
    settings: Settings

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        body = list(self.body)
        if self.fitted:
            last = _last(body)
            body[last] = dataclasses.replace(body[last], features=x.shape[-1])  # type: ignore[type-var]
        y = x
        for row in body:
            y = row(y, self.settings)
        if self.shortcut:
            x = Scope(self.shortcut, self.settings, name="shortcut")(x)
        return self.settings.activate(x + self.scale * y, self.activation)


SQUEEZES = ("average", "max")
"""What becomes of each map: the paper's, and its ablation's. Hu et al. 2017, §6.2."""

GATES = ("sigmoid", "tanh", "relu")
"""Activations of the excitation: the paper's, and its ablation's. Hu et al. 2017, §6.3."""


@dataclasses.dataclass(frozen=True)
class SqueezeExcite:
    """Channels weighted by what all of them say: ``x · σ(W₂ δ(W₁ z))``, z their means. Hu et al. 2017, §3.

    Attributes:
      name: of the scope: ``reduce`` and ``expand``.
      ratio: channels to those in between.
      kind: of the squeeze, of :data:`SQUEEZES`.
      gate: of :data:`GATES`.
    """

    name: str = "squeeze_excite"
    ratio: int = 16
    kind: str = "average"
    gate: str = "sigmoid"

    def __post_init__(self) -> None:
        _check(self, ratio=1)
        for field, allowed in (("kind", SQUEEZES), ("gate", GATES)):
            if getattr(self, field) not in allowed:
                raise errors.unknown(f"{field} of {self.name}:", getattr(self, field), allowed)

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        if x.shape[-1] < self.ratio:
            raise errors.UserError(f"{x.shape[-1]} channels are not squeezed by a ratio of {self.ratio}")
        rows = (
            GlobalPool(kind=self.kind),
            Dense("reduce", x.shape[-1] // self.ratio, "relu"),
            Dense("expand", x.shape[-1], self.gate),
        )
        weights = Scope(rows, settings, name=self.name)(x)
        return x * weights[:, None, None]


@dataclasses.dataclass(frozen=True)
class Scoped:
    """Rows under a name of their own."""

    name: str
    rows: tuple[Row, ...]

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return Scope(self.rows, settings, name=self.name)(x)


@dataclasses.dataclass(frozen=True)
class Side:
    """Rows beside the network: their result is a tap, ``<name>_logits``, and the network goes on with what came in."""

    name: str
    rows: tuple[Row, ...]

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return Scope(self.rows, settings, name=self.name)(x)


def widened(rows: Rows, factor: float) -> list[Row]:
    """The same rows with so many times the features, but for the logits: those of the last row that has features.

    Features are rounded, to a multiple of the groups of the convolution itself, and of one or of a pool over channels that
    follows, and are at least one a group.
    """
    last = _last(rows)
    return _divisible([row if place == last else _widened(row, factor) for place, row in enumerate(rows)])


def _last(rows: Rows) -> int:
    """The place of the last row that has features."""
    return max(place for place, row in enumerate(rows) if hasattr(row, "features"))


def _divisible(rows: list[Any]) -> list[Any]:
    """Rows, each of which has as many features as the groups of the next convolution, or a pool over channels, want."""
    for place, row in enumerate(rows):
        groups = row.window if isinstance(row, ChannelPool) else getattr(row, "groups", 1)
        before = [earlier for earlier, other in enumerate(rows[:place]) if hasattr(other, "features")]
        if groups > 1 and before:
            source = rows[before[-1]]
            features = groups * max(1, round(source.features / groups))
            rows[before[-1]] = dataclasses.replace(source, features=features)
    return rows


def _widened(value: Any, factor: float) -> Any:
    if isinstance(value, tuple):
        return tuple(_divisible([_widened(each, factor) for each in value]))
    if not dataclasses.is_dataclass(value):
        return value
    if isinstance(value, Side):
        return dataclasses.replace(value, rows=tuple(widened(value.rows, factor)))
    changes = {field.name: _widened(getattr(value, field.name), factor) for field in dataclasses.fields(value)}
    if "features" in changes:
        groups = changes.get("groups", 1)
        changes["features"] = groups * max(1, round(changes["features"] * factor / groups))
    if isinstance(value, Residual) and not value.shortcut:
        changes["fitted"] = True
    return dataclasses.replace(value, **changes)


def pair(size: Size) -> tuple[int, int]:
    """Vertical and horizontal extent."""
    return size if isinstance(size, tuple) else (size, size)
