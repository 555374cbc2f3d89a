"""What part of the image a layer sees, read from the program that JAX traces.

Every value of the program gets the window of input pixels that its elements depend on, operation by operation; no list of a
network's layers is needed. Along one axis an element at place i depends on the pixels start + i · stride … + size − 1: a
window of k places, dilated by d and moved by s, with padding p in front, turns (size, stride, start) into
(size + (k − 1) · d · stride, s · stride, start − p · stride). Where branches meet, the window is the smallest that holds all.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.extend import core

from cnnjax import errors
from cnnjax.analysis.layers import tapped, trace, unrolled
from cnnjax.nn import inputs


@dataclasses.dataclass(frozen=True)
class Axis:
    """What the places of a map see along one axis of the image.

    Attributes:
      size: pixels of a window, those on padding included; ``None``: the whole image, as a path through the whole map makes it.
      stride: pixels from one place's window to the next one's; 0 where there is one place for the whole map.
      start: the first pixel of the first place's window; negative on padding.
      places: how many.
      aligned: whether all branches that met see the same centre.
      problem: why there is no such window, and from where on; empty otherwise.
      whole: the layer from which on every place sees the whole image; empty where each has a window of its own.
    """

    size: int | None
    stride: int
    start: int
    places: int
    aligned: bool = True
    problem: str = ""
    whole: str = ""

    @property
    def padding(self) -> int:
        """How far the first place's window reaches over the image's edge; negative: how far it is from it."""
        return -self.start

    def window(self, place: int) -> tuple[int, int]:
        """First pixel, and the one after the last, of a place's window; parts of it may be on padding.

        Raises:
          UserError: there is no such place, or no such window.
        """
        if not 0 <= place < self.places:
            raise errors.UserError(f"there is no place {place}; they are numbered 0 to {self.places - 1}")
        if self.problem or self.size is None:
            raise errors.UserError(self.problem or f"every place sees the whole image, from {self.whole} on")
        first = self.start + place * self.stride
        return first, first + self.size

    def center(self, place: int) -> float:
        """The middle of a place's window, in pixels: 0 is the middle of the first one."""
        first, end = self.window(place)
        return (first + end - 1) / 2


@dataclasses.dataclass(frozen=True)
class Field:
    """What a layer sees.

    Attributes:
      height, width: along each axis.
    """

    height: Axis
    width: Axis

    def window(self, y: int, x: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns, first and the one after the last, of the window of the feature at (y, x)."""
        return self.height.window(y), self.width.window(x)

    def center(self, y: int, x: int) -> tuple[float, float]:
        """Row and column of the middle of that window."""
        return self.height.center(y), self.width.center(x)


def fields(model: nn.Module, input_shape: Sequence[int]) -> dict[str, Field]:
    """What every tap and every module of a network sees. Nothing is computed.

    Args:
      model: the network, in evaluation; it returns its output and taps by name.
      input_shape: ``[N, H, W, C]``. Windows do not depend on it, but what follows a flattened map does.

    Returns:
      Name of a tap (``conv5``, ``pool5``) or unstacked name of a module (``stage2/block7/conv1``) → what it sees, in the
      order of the computation. What does not depend on the image is not there.
    """
    traced = trace(model, input_shape)
    jaxpr, outputs = traced.jaxpr, {**dict(traced.modules), **dict(traced.taps)}
    inputs: list[_Value] = [_image() if var is traced.images else None for var in jaxpr.invars]
    seen = dict(zip(map(id, jaxpr.outvars), _Reader().read(jaxpr, inputs, ""), strict=True))
    order = {id(var): place for place, equation in enumerate(jaxpr.eqns) for var in equation.outvars}
    ranked = sorted(outputs.items(), key=lambda each: order.get(id(each[1]), -1))
    return {
        name: Field(*(_axis(each, var.aval.shape) for each in value))
        for name, var in ranked
        if (value := seen[id(var)]) is not None
    }


def gradient(
    model: nn.Module, variables: Mapping[str, Any], images: jax.Array, name: str, place: tuple[int, int] | None = None
) -> np.ndarray:
    """How strongly each pixel moves the feature at one place: the empirical receptive field.

    Luo et al. 2016, "Understanding the Effective Receptive Field", §3: the gradient of a unit, whose size is averaged.

    Args:
      model: the network, in evaluation.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``.
      name: of a tap or a module with a map.
      place: row and column of the feature; ``None``: the middle one.

    Returns:
      float64 ``[H, W]``: the mean over images of the absolute gradient of the sum over maps, summed over channels.

    Raises:
      UserError: no images, no such tap or module, or it has no such place.
    """
    inputs.check_images(images)
    model, variables = unrolled(model, variables)

    @jax.jit
    @jax.grad
    def influence(images: jax.Array, variables: Any) -> jax.Array:
        maps = tapped(model, variables, images, name)
        if maps.ndim != 4:
            raise errors.UserError(f"{name} has no map: its shape is {maps.shape[1:]}")
        y, x = (size // 2 for size in maps.shape[1:3]) if place is None else place
        if not (0 <= y < maps.shape[1] and 0 <= x < maps.shape[2]):
            raise errors.UserError(f"{name} has no place ({y}, {x}): its map is {maps.shape[1]}×{maps.shape[2]}")
        return maps[:, y, x].sum()

    found = np.abs(np.asarray(influence(images, variables), np.float64))
    return found.sum(-1).mean(0)


def spread(influence: np.ndarray) -> tuple[float, float]:
    """Two standard deviations on either side of the middle, in pixels, of an influence ``[H, W]`` along each axis.

    For a Gaussian, as Luo et al. 2016 find it, 95 % of the influence; a uniform window of n pixels has 1.15 n.

    Raises:
      UserError: there is no influence.
    """
    if not influence.sum() > 0:
        raise errors.UserError("no pixel has an influence: the feature is constant here")
    deviations = []
    for axis in (0, 1):
        weights = influence.sum(1 - axis) / influence.sum()
        places = np.arange(len(weights))
        mean = (weights * places).sum()
        deviations.append(4 * float(np.sqrt((weights * (places - mean) ** 2).sum())))
    return deviations[0], deviations[1]


@dataclasses.dataclass(frozen=True)
class _Seen:
    """Along one axis of the image: which axis of a value its windows move along, if any, and the windows."""

    dim: int | None
    size: int | None
    stride: int
    start: int
    aligned: bool = True
    problem: str = ""
    whole: str = ""


_Value = tuple[_Seen, _Seen] | None
"""Along height and width; ``None`` of what does not depend on the image."""


def _image() -> _Value:
    return _Seen(1, 1, 1, 0), _Seen(2, 1, 1, 0)


def _axis(seen: _Seen, shape: Sequence[int]) -> Axis:
    places = 1 if seen.dim is None else shape[seen.dim]
    return Axis(seen.size, seen.stride, seen.start, places, seen.aligned, seen.problem, seen.whole)


def _moved(seen: _Seen, dim: int | None, extent: int = 1) -> _Seen:
    """The same along another axis; along none, a window that holds those of all ``extent`` places."""
    if dim is not None or seen.dim is None:
        return dataclasses.replace(seen, dim=dim if seen.dim is not None else None)
    size = None if seen.size is None else seen.size + (extent - 1) * seen.stride
    return dataclasses.replace(seen, dim=None, size=size, stride=0)


def _met(one: _Seen, other: _Seen, where: str) -> _Seen:
    """The window where two branches meet."""
    if one.problem or other.problem:
        return one if one.problem else other
    dim = one.dim if one.dim is not None else other.dim
    if one.size is None or other.size is None or (one.dim is None) != (other.dim is None):
        moving = one if one.dim is not None else other
        return dataclasses.replace(moving, size=None, whole=one.whole or other.whole or _layer(where))
    if one.dim != other.dim or one.stride != other.stride:
        what = f"strides of {one.stride} and {other.stride} pixels meet" if one.dim == other.dim else "axes are mixed"
        return _Seen(dim, None, one.stride, one.start, False, f"there is no window from {_layer(where)} on: {what}")
    start = min(one.start, other.start)
    size = max(one.start + one.size, other.start + other.size) - start
    aligned = one.aligned and other.aligned and 2 * one.start + one.size == 2 * other.start + other.size
    return _Seen(dim, size, one.stride, start, aligned)


def _layer(scope: str) -> str:
    """The module of a scope, whose first part is the network's class."""
    return "/".join(part for part in scope.strip("/").split("/")[1:] if "." not in part) or "its end"


class _Reader:
    """Goes through a traced program."""

    def read(self, jaxpr: Any, values: Sequence[_Value], place: str) -> list[_Value]:
        """What the outputs see, where the inputs see ``values``."""
        known: dict[Any, _Value] = dict(zip(jaxpr.invars, values, strict=True))

        def of(var: Any) -> _Value:
            return None if isinstance(var, core.Literal) else known.get(var)

        for equation in jaxpr.eqns:
            operands = [of(var) for var in equation.invars]
            where = f"{place}/{equation.source_info.name_stack}"
            if all(operand is None for operand in operands):
                continue
            known |= dict(zip(equation.outvars, self._apply(equation, operands, where), strict=True))
        return [of(var) for var in jaxpr.outvars]

    def _apply(self, equation: Any, operands: Sequence[_Value], where: str) -> Sequence[_Value]:
        name = equation.primitive.name
        if name in _RULES:
            results = [
                tuple(_RULES[name](equation, index, seen) for seen in operand)
                for index, operand in enumerate(operands)
                if operand is not None
            ]
            return [_all_met(results, where)]
        if name == "scan":
            return self._scan(equation, operands, where)
        bodies = list(core.jaxprs_in_params(equation.params))
        if len(bodies) == 1 and len(bodies[0].invars) == len(operands):
            return self.read(bodies[0], operands, where)
        if name == "optimization_barrier":  # the one operation here whose results do not depend on all of its operands
            return operands
        problem = f"there is no window from {_layer(where)} on: nothing is known of {name!r}"
        return [(_Seen(None, None, 0, 0, False, problem),) * 2] * len(equation.outvars)

    def _scan(self, equation: Any, operands: Sequence[_Value], where: str) -> Sequence[_Value]:
        """The body as often as it runs; what it puts out each time is seen as where all of that meets."""
        params = equation.params
        constants, carried = params["num_consts"], params["num_carry"]
        carry = list(operands[constants : constants + carried])
        slices = [_shifted(operand, -1) for operand in operands[constants + carried :]]
        stacked: list[list[_Value]] = []
        for _ in range(params["length"]):
            outputs = self.read(params["jaxpr"].jaxpr, [*operands[:constants], *carry, *slices], where)
            carry, rest = outputs[:carried], outputs[carried:]
            stacked.append(rest)
        together = [
            _shifted(_all_met([value for value in each if value is not None], where), 1) if any(each) else None
            for each in zip(*stacked, strict=True)
        ]
        return [*carry, *together]


def _shifted(value: _Value, by: int) -> _Value:
    """With an axis less, or one more, in front. Nothing runs over the rows of an image here."""
    if value is None:
        return None
    height, width = (_moved(seen, None if seen.dim is None else seen.dim + by) for seen in value)
    return height, width


def _all_met(values: Sequence[Any], where: str) -> _Value:
    met = values[0]
    for other in values[1:]:
        met = tuple(_met(a, b, where) for a, b in zip(met, other, strict=True))
    return met


def _windowed(seen: _Seen, dim: int, extent: int, stride: int, padding: int, dilation: int) -> _Seen:
    size = None if seen.size is None else seen.size + (extent - 1) * dilation * seen.stride
    return dataclasses.replace(
        seen, dim=dim, size=size, stride=seen.stride * stride, start=seen.start - padding * seen.stride
    )


def _unknown(seen: _Seen, what: str) -> _Seen:
    return dataclasses.replace(seen, size=None, aligned=False, problem=seen.problem or f"there is no window: {what}")


def _convolution(equation: Any, index: int, seen: _Seen) -> _Seen:
    if index or seen.dim is None:
        return _moved(seen, None)
    numbers, params = equation.params["dimension_numbers"], equation.params
    if seen.dim not in numbers.lhs_spec[2:]:
        return _moved(seen, None, equation.invars[0].aval.shape[seen.dim])
    axis = numbers.lhs_spec[2:].index(seen.dim)
    if params["lhs_dilation"][axis] != 1:
        return _unknown(seen, "a convolution puts zeros between the places of its map")
    extent = equation.invars[1].aval.shape[numbers.rhs_spec[2 + axis]]
    strides, padding, dilation = params["window_strides"], params["padding"], params["rhs_dilation"]
    return _windowed(seen, numbers.out_spec[2 + axis], extent, strides[axis], padding[axis][0], dilation[axis])


def _pooling(equation: Any, index: int, seen: _Seen) -> _Seen:
    dim, params = seen.dim, equation.params
    if dim is None:
        return seen
    if params["base_dilation"][dim] != 1:
        return _unknown(seen, "a pool puts holes between the places of its map")
    extents, strides = params["window_dimensions"], params["window_strides"]
    return _windowed(seen, dim, extents[dim], strides[dim], params["padding"][dim][0], params["window_dilation"][dim])


def _padding(equation: Any, index: int, seen: _Seen) -> _Seen:
    if index or seen.dim is None:
        return seen
    low, _, between = equation.params["padding_config"][seen.dim]
    if between:
        return _unknown(seen, "zeros are put between the places of a map")
    return dataclasses.replace(seen, start=seen.start - low * seen.stride)


def _slice(equation: Any, index: int, seen: _Seen) -> _Seen:
    if seen.dim is None:
        return seen
    first = equation.params["start_indices"][seen.dim]
    every = (equation.params["strides"] or (1,) * (seen.dim + 1))[seen.dim]
    return dataclasses.replace(seen, start=seen.start + first * seen.stride, stride=seen.stride * every)


def _reduction(equation: Any, index: int, seen: _Seen) -> _Seen:
    axes = equation.params["axes"]
    if seen.dim is None:
        return seen
    if seen.dim in axes:
        return _moved(seen, None, equation.invars[index].aval.shape[seen.dim])
    return _moved(seen, seen.dim - sum(axis < seen.dim for axis in axes))


def _transposition(equation: Any, index: int, seen: _Seen) -> _Seen:
    return seen if seen.dim is None else _moved(seen, equation.params["permutation"].index(seen.dim))


def _broadcast(equation: Any, index: int, seen: _Seen) -> _Seen:
    if index or seen.dim is None:
        return seen
    dim = equation.params["broadcast_dimensions"][seen.dim]
    grows = equation.outvars[0].aval.shape[dim] != equation.invars[0].aval.shape[seen.dim]
    return _moved(seen, None if grows else dim)


def _reshape(equation: Any, index: int, seen: _Seen) -> _Seen:
    if index or seen.dim is None:
        return seen
    old, new = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    if old[seen.dim] == 1:
        return _moved(seen, None)
    for before, after in _groups(old, new):
        if seen.dim in before:
            kept = [dim for dim in after if new[dim] != 1]
            if [dim for dim in before if old[dim] != 1] == [seen.dim] and len(kept) == 1:
                return _moved(seen, kept[0])
    return _moved(seen, None, old[seen.dim])


def _groups(old: Sequence[int], new: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """The smallest runs of axes, old and new, that hold the same elements."""
    i = j = 0
    while i < len(old) or j < len(new):
        before, after = [i] if i < len(old) else [], [j] if j < len(new) else []
        i, j = i + 1, j + 1
        while (here := math.prod(old[d] for d in before)) != (there := math.prod(new[d] for d in after)):
            if here < there:
                before.append(i)
                i += 1
            else:
                after.append(j)
                j += 1
        yield before, after


def _squeeze(equation: Any, index: int, seen: _Seen) -> _Seen:
    gone = equation.params["dimensions"]
    if seen.dim is None:
        return seen
    return _moved(seen, None if seen.dim in gone else seen.dim - sum(dim < seen.dim for dim in gone))


def _product(equation: Any, index: int, seen: _Seen) -> _Seen:
    if seen.dim is None:
        return seen
    contracted, batch = equation.params["dimension_numbers"]
    if seen.dim in contracted[index]:
        return _moved(seen, None, equation.invars[index].aval.shape[seen.dim])
    if seen.dim in batch[index]:
        return _moved(seen, batch[index].index(seen.dim))
    ranks = [len(var.aval.shape) for var in equation.invars]
    free = [[dim for dim in range(ranks[side]) if dim not in (*contracted[side], *batch[side])] for side in (0, 1)]
    return _moved(seen, len(batch[0]) + (len(free[0]) if index else 0) + free[index].index(seen.dim))


def _concatenation(equation: Any, index: int, seen: _Seen) -> _Seen:
    if seen.dim is None or seen.dim != equation.params["dimension"]:
        return seen
    return _unknown(seen, "maps are put beside each other")


def _elementwise(equation: Any, index: int, seen: _Seen) -> _Seen:
    if seen.dim is None:
        return seen
    here, there = equation.invars[index].aval.shape, equation.outvars[0].aval.shape
    return _moved(seen, seen.dim if here[seen.dim] == there[seen.dim] else None)


_ELEMENTWISE = (
    *("add", "sub", "mul", "div", "rem", "pow", "integer_pow", "neg", "abs", "sign", "square", "max", "min", "clamp"),
    *("exp", "exp2", "expm1", "log", "log1p", "sqrt", "rsqrt", "cbrt", "tanh", "logistic", "erf", "sin", "cos", "tan"),
    *("floor", "ceil", "round", "is_finite", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "xor", "select_n"),
    *("convert_element_type", "name", "reduce_precision", "stop_gradient", "copy", "add_any"),
)
_RULES: dict[str, Callable[[Any, int, _Seen], _Seen]] = {
    "conv_general_dilated": _convolution,
    "pad": _padding,
    "slice": _slice,
    "transpose": _transposition,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "dot_general": _product,
    "concatenate": _concatenation,
    **dict.fromkeys(("reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum"), _pooling),
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin"), _reduction),
}
"""Operation → (its equation, which operand, what that sees along one axis) → what the result sees of it."""
