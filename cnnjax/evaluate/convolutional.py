"""Networks for images of any size: a head of fully connected layers as convolutions (Simonyan & Zisserman 2014, §3.2).

The first layer becomes a convolution with a kernel as large as the map that it was trained on, the others 1×1 convolutions, and
the class score map is averaged. A network whose one layer after global average pooling is its classifier is the same already:
the average of the map of its logits is the logits of the average.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.interop import convert
from cnnjax.nn import stacking
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, Drop, Flatten, GlobalPool, Row, Rows, Side

Pair = tuple[Network, Mapping[str, Any]]
"""A network and its variables."""


class _Layers(Network):
    """A network with these layers.

    Attributes:
      layers: as :meth:`table` has them.
    """

    layers: tuple[Row, ...] = ()

    def table(self) -> Rows:
        return self.layers


def without_sides(model: Network, variables: Mapping[str, Any], shape: tuple[int, int, int]) -> Pair:
    """A network without the classifiers beside it, which only training needs and which fix the size of images.

    See :func:`convolutional`.
    """
    rows = model.rows()
    if not any(isinstance(row, Side) for row in rows):
        return model, variables
    return _of_layers(model, variables, shape, [row for row in rows if not isinstance(row, Side)])


def convolutional(model: Network, variables: Mapping[str, Any], shape: tuple[int, int, int]) -> Pair:
    """A network that takes larger images than those that it was trained on, with its variables.

    Args:
      model: the network.
      variables: its.
      shape: ``[H, W, C]`` of the images that it was trained on.

    Raises:
      UserError: its head is of another kind.
    """
    rows = [row for row in model.rows() if not isinstance(row, Drop | Side)]
    flat = next((place for place, row in enumerate(rows) if isinstance(row, Flatten)), None)
    if flat is None:
        if _averages(rows):
            return without_sides(model, variables, shape)
        raise _refused(f"it ends in {rows[-1].name}, after no flattened maps and no average over maps")
    head = rows[flat + 1 :]
    odd = [row.name for row in head if not isinstance(row, Dense) or row.norm]
    if odd or not head:
        raise _refused(
            f"after the flattened maps comes {odd[0] if odd else 'nothing'}, and not fully connected layers only"
        )
    kernel: tuple[int, int] = shape[:2]
    if flat:
        images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        taps = jax.eval_shape(lambda weights, x: model.apply(weights, x)[1], variables, images)
        kernel = taps[rows[flat - 1].name].shape[1:3]
    new: list[Row] = rows[:flat]
    for row in head:
        assert isinstance(row, Dense)
        new.append(Conv(row.name, row.features, kernel, padding=0, activation=row.activation, norm=False, bias=True))
        kernel = (1, 1)
    return _of_layers(model, variables, shape, [*new, GlobalPool()])


def _of_layers(model: Network, variables: Mapping[str, Any], shape: tuple[int, int, int], rows: list[Row]) -> Pair:
    """A network of these layers, with a model's settings, and its variables in their shapes."""
    fields = [field.name for field in dataclasses.fields(Network)]
    shared = {name: getattr(model, name) for name in fields if name not in ("parent", "name")}
    changed = {"width_factor": 1.0, "dropout": 0.0, "dropout_after": "", "layers": tuple(rows)}
    made = _Layers(**{**shared, **changed})
    like, leaves = convert.shapes(made, shape), stacking.names(variables)
    reshaped = {name: np.asarray(leaves[name]).reshape(leaf.shape) for name, leaf in stacking.names(like).items()}
    return made, convert.unflatten(like, reshaped)


def _averages(rows: list[Row]) -> bool:
    """Whether global average pooling is the last thing that a network does, or the last before its classifier."""
    *_, last = rows
    if isinstance(last, Dense):
        return len(rows) > 1 and _is_average(rows[-2]) and last.activation == "identity" and not last.norm
    return _is_average(last)


def _is_average(row: Row) -> bool:
    return isinstance(row, GlobalPool) and row.kind == "average"


def _refused(reason: str) -> errors.UserError:
    return errors.UserError(
        f"the network's head does not become convolutions: {reason}; crops and `whole` are for all networks"
    )
