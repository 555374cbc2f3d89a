"""What all classification networks are: a table of rows, applied to images."""

import bisect
import contextvars
import math
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax import errors
from cnnjax.nn import inputs
from cnnjax.nn.conv import FORMS
from cnnjax.nn.conv import Conv as ConvLayer
from cnnjax.nn.initialisers import NAMED
from cnnjax.nn.rows import Drop, FanInError, Row, Rows, Settings, Side, TooSmallError, widened
from cnnjax.ops.activations import FUNCTIONS

_DTYPES = ("bfloat16", "float16", "float32", "float64")


_searching: contextvars.ContextVar[bool] = contextvars.ContextVar("searching", default=False)
_LARGEST = 1024
"""Images that sizes are sought up to."""
_WIDEST = 1024
"""Times the paper's width; what is far wider is no number of maps that can be counted."""


class Network(nn.Module):
    """A classification network. A subclass has the fields of its variants and their :meth:`table`.

    Attributes:
      num_classes: size of the output.
      batch_norm: whether every convolution is normalised, before its activation.
      bn_bias: whether normalised convolutions have a bias too, which normalisation removes: popular ports have it.
      activation: of :data:`cnnjax.ops.activations.FUNCTIONS`.
      dropout: what is dropped in training, at the places of the paper; 0 is off.
      dropout_after: names of the table's rows, with commas: dropout acts after these, and nowhere else.
      width_factor: times the paper's maps and units, in every layer but those of logits: a network of the same family, scaled.
      kernel_init: of :data:`cnnjax.nn.initialisers.NAMED`, for all kernels, with biases of zero; empty: as in the paper.
      dtype: of the computations; parameters and statistics are float32.
      conv_form: see :func:`cnnjax.nn.conv.conv2d`.
      bn_group, bn_axis, bn_momentum, bn_epsilon: see :class:`cnnjax.nn.norm.BatchNorm`.
    """

    num_classes: int = 1000
    batch_norm: bool = False
    bn_bias: bool = False
    activation: str = "relu"
    dropout: float = 0.0
    dropout_after: str = ""
    width_factor: float = 1.0
    kernel_init: str = ""
    dtype: str = "float32"
    conv_form: str = "canonical"
    bn_group: int = 0
    bn_axis: str | None = None
    bn_momentum: float = 0.9
    bn_epsilon: float = 1e-5

    input_shape: ClassVar[tuple[int, int, int]] = (224, 224, 3)
    """Height, width and channels that the paper's network takes."""

    def __post_init__(self) -> None:
        choices = {"activation": FUNCTIONS, "kernel_init": {"", *NAMED}, "dtype": _DTYPES, "conv_form": FORMS}
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise errors.unknown(field, getattr(self, field), allowed)
        for field, limit in (("num_classes", 1), ("bn_group", 0)):
            if getattr(self, field) < limit:
                raise errors.UserError(f"{field} is at least {limit}, not {getattr(self, field)}")
        if not 0 <= self.dropout < 1:
            raise errors.UserError(f"dropout is at least 0 and below 1, not {self.dropout}")
        if not 0 < self.width_factor <= _WIDEST:
            raise errors.UserError(f"width_factor is larger than 0 and at most {_WIDEST}, not {self.width_factor}")
        if not 0 <= self.bn_momentum <= 1:
            raise errors.UserError(f"bn_momentum lies in 0 ... 1, not {self.bn_momentum}")
        if not 0 < self.bn_epsilon < math.inf:
            raise errors.UserError(f"bn_epsilon is larger than 0, not {self.bn_epsilon}")
        super().__post_init__()

    def table(self) -> Rows:
        """The network's rows; the last one puts out the logits."""
        raise NotImplementedError

    def line(self) -> str:
        """The network in one line of text, if its paper has such a notation."""
        return ""

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False, freeze_bn: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Logits ``[N, num_classes]`` of ``images [N, H, W, C]``, and the taps: what every row of the table puts out.

        Args:
          images: preprocessed.
          train: training behaviour; writes to ``batch_stats``, and wants ``rngs={"dropout": key}`` where values are dropped.
          freeze_bn: batch normalisation keeps to its running statistics, also in training.

        Raises:
          UserError: these are no images, they are too small, or of another size or number of channels than those that the
            weights are for, and which sizes do; or JAX does not compute in ``dtype``.
        """
        inputs.check_images(images)
        if jax.dtypes.canonicalize_dtype(self.dtype) != self.dtype:
            raise errors.UserError(f"dtype {self.dtype} wants JAX_ENABLE_X64=1; without it JAX computes in float32")
        settings = Settings(
            norm=tuple(
                {
                    "group": self.bn_group,
                    "axis": self.bn_axis,
                    "momentum": self.bn_momentum,
                    "epsilon": self.bn_epsilon,
                }.items()
            )
            if self.batch_norm
            else None,
            norm_bias=self.bn_bias,
            activation=self.activation,
            init=self.kernel_init,
            dropout=self.dropout,
            dtype=self.dtype,
            form=self.conv_form,
            train=train,
            bn_train=train and not freeze_bn,
        )
        x, taps = images.astype(self.dtype), {}
        try:
            for row in self.rows():
                y = row(x, settings)
                if isinstance(row, Side):
                    taps[f"{row.name}_logits"] = y
                else:
                    taps[row.name] = x = y
        except TooSmallError as error:
            if _searching.get() or not (least := _least(self, images.shape[-1])):
                raise
            raise errors.UserError(f"{error}; the network takes images from {least}×{least} on") from None
        except FanInError as error:
            channels = images.shape[-1]
            first, past = (_least(self, channels, error.layer, fan) for fan in (error.fan, error.fan + 1))
            last = past - 1 if past else _LARGEST
            sizes = f"images of {first}×{first}" if first == last else f"images from {first}×{first} to {last}×{last}"
            if not 0 < first <= last:
                sizes = f"no square images of {channels} channel{'s' * (channels != 1)}"
            raise errors.UserError(f"{error}: with these weights the network takes {sizes}") from None
        return x, taps

    def rows(self) -> list[Row]:
        """The table, widened by ``width_factor``, with dropout where ``dropout_after`` wants it."""
        table = list(self.table())
        if self.width_factor != 1:
            table = widened(table, self.width_factor)
        if not self.dropout_after:
            if self.dropout and not any(isinstance(row, Drop) for row in table):
                raise errors.UserError(
                    f"dropout is {self.dropout}, and this network has no place for it: dropout_after names the rows after "
                    "which it acts; dropout=0 is none"
                )
            return table
        names = self.dropout_after.split(",")
        table = [row for row in table if not isinstance(row, Drop)]
        for name in names:
            if name not in (available := [row.name for row in table]):
                raise errors.unknown("row of dropout_after", name, available)
        return [each for row in table for each in ([row, Drop(f"drop_{row.name}")] if row.name in names else [row])]


def _least(model: Network, channels: int, layer: tuple[str, ...] = (), fan: int = 0) -> int:
    """The smallest square image that a network takes and of which a dense layer gets at least so many values; 0 for none."""
    # Sizes alone are asked for: nothing is normalised or convolved, which takes seconds to trace in a deep network.
    model = model.clone(parent=None, batch_norm=False)

    def fits(side: int) -> bool:
        images = jax.ShapeDtypeStruct((1, side, side, channels), "float32")
        try:
            with nn.intercept_methods(_sized):
                node = jax.eval_shape(model.init, jax.random.key(0), images).get("params", {})
        except errors.UserError:
            return False
        for key in layer:
            node = node[key]
        return not layer or node["kernel"].shape[0] >= fan

    token = _searching.set(True)
    try:
        least = bisect.bisect_left(range(1, _LARGEST + 1), True, key=fits) + 1
    finally:
        _searching.reset(token)
    return least if least <= _LARGEST else 0


def _sized(call: Any, arguments: Any, options: Any, context: Any) -> Any:
    """Instead of a convolution, zeros of its size."""
    if not isinstance(context.module, ConvLayer):
        return call(*arguments, **options)
    (x,) = arguments
    return jnp.zeros((len(x), *context.module.sides(x.shape[1:3]), context.module.features), x.dtype)
