"""State dictionaries of other packages to our variables, and back. Every parameter of both sides is accounted for."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from cnnjax import errors
from cnnjax.interop import names
from cnnjax.interop.counterpart import Counterpart
from cnnjax.nn import stacking
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, Flatten, Rows, Side

State = Mapping[str, np.ndarray]
"""A package's parameters and statistics, by its names."""

_IGNORED = ".num_batches_tracked"
"""PyTorch's count of updates of running statistics: not used at a fixed momentum."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A parameter or statistic on both sides.

    Attributes:
      ours: collection and unstacked path, e.g. ``params/stage1/block1/conv1/kernel``.
      shape: ours.
      theirs: the other package's name.
      channels: of the maps that were flattened before a dense layer; 0 where none were. Ours are flattened as ``[H, W, C]``,
        PyTorch's as ``[C, H, W]``.
      pointwise: whether a dense layer of ours is a 1×1 convolution there.
      layout: of kernels and matrices, ``"torch"`` or ``"keras"``.
      connected: whether a convolution of ours is a fully connected layer on flattened maps there (VGG, §3.2).
    """

    ours: str
    shape: tuple[int, ...]
    theirs: str
    channels: int = 0
    pointwise: bool = False
    layout: str = "torch"
    connected: bool = False

    def to_theirs(self, ours: np.ndarray) -> np.ndarray:
        """Kernels ``[kh, kw, in, out]`` to ``[out, in, kh, kw]``, matrices ``[in, out]`` to ``[out, in]``.

        Keras has them as we do, but for depthwise ones: ``[kh, kw, 1, channels]`` is ``[kh, kw, channels, 1]`` there.
        """
        if self.layout == "keras":
            if self.connected:
                return ours.reshape(-1, ours.shape[-1])
            return ours.swapaxes(2, 3) if self.theirs.endswith("depthwise_kernel") else ours
        if self.connected:
            return ours.transpose(3, 2, 0, 1).reshape(ours.shape[-1], -1)
        if ours.ndim == 4:
            return ours.transpose(3, 2, 0, 1)
        if ours.ndim == 1:
            return ours
        if self.channels:
            ours = ours.reshape(-1, self.channels, ours.shape[-1]).swapaxes(0, 1).reshape(ours.shape)
        return ours.T[..., None, None] if self.pointwise else ours.T

    def to_ours(self, theirs: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_theirs`."""
        if self.connected and self.layout == "keras":
            return theirs.reshape(self.shape)
        if self.connected:
            height, width, fan, features = self.shape
            return theirs.reshape(features, fan, height, width).transpose(2, 3, 1, 0)
        if self.layout == "keras":
            return self.to_theirs(theirs)
        if theirs.ndim == 1:
            return theirs
        if theirs.ndim == 4 and not self.pointwise:
            return theirs.transpose(2, 3, 1, 0)
        matrix = theirs.reshape(theirs.shape[0], -1).T
        if self.channels:
            matrix = matrix.reshape(self.channels, -1, matrix.shape[-1]).swapaxes(0, 1).reshape(matrix.shape)
        return matrix

    @property
    def their_shape(self) -> tuple[int, ...]:
        """Of what :meth:`to_theirs` gives."""
        if self.connected:
            fan, features = math.prod(self.shape[:-1]), self.shape[-1]
            return (fan, features) if self.layout == "keras" else (features, fan)
        if self.layout == "keras":
            depthwise = self.theirs.endswith("depthwise_kernel")
            return (*self.shape[:2], self.shape[3], self.shape[2]) if depthwise else self.shape
        match self.shape:
            case (height, width, fan, features):
                return (features, fan, height, width)
            case (fan, features) if self.pointwise:
                return (features, fan, 1, 1)
        return self.shape[::-1]


def shapes(model: nn.Module, input_shape: Sequence[int]) -> Any:
    """The variables of a network for images ``[H, W, C]``, as shapes; nothing is computed."""
    return jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *input_shape), jnp.float32))


def places(model: Network, counterpart: Counterpart, variables: Any) -> list[Place]:
    """Every parameter and statistic of a network, on both sides.

    Args:
      model: the network.
      counterpart: its rules.
      variables: ours, arrays or shapes.
    """
    flattened = dict(_flattened(model.rows()))
    found = []
    for path, leaf in stacking.names(variables).items():
        module, _, name = path.partition("/")[2].rpartition("/")
        theirs = names.theirs(module, counterpart.rules) + counterpart.parameter(module, name)
        pointwise = bool(re.fullmatch(counterpart.pointwise, module))
        shape = tuple(leaf.shape)
        connected = len(shape) == 4 and module.startswith("fc")
        found.append(Place(path, shape, theirs, flattened.get(module, 0), pointwise, counterpart.layout, connected))
    return found


def to_theirs(model: Network, variables: Any, counterpart: Counterpart) -> dict[str, np.ndarray]:
    """A network's variables as another package's state dictionary."""
    leaves = stacking.names(variables)
    return {
        place.theirs: np.ascontiguousarray(place.to_theirs(np.asarray(leaves[place.ours])))
        for place in places(model, counterpart, variables)
    }


def to_ours(
    model: Network, state: State, counterpart: Counterpart, input_shape: Sequence[int], dtype: str = "float32"
) -> dict[str, Any]:
    """A network's variables from another package's state dictionary.

    Args:
      model: the network, with the fields of the counterpart.
      state: the other package's arrays.
      counterpart: its rules.
      input_shape: ``[H, W, C]`` of the images; layers on flattened maps depend on it.
      dtype: of the variables.

    Raises:
      UserError: the network has parameters that the state lacks, or the other way round, or of another shape.
    """
    like = shapes(model, input_shape)
    wanted = {place.theirs: place for place in places(model, counterpart, like)}
    state = {name: array for name, array in state.items() if not name.endswith(_IGNORED)}
    if not counterpart.scaled:
        scales = [place for place in wanted.values() if place.ours.endswith("/scale")]
        state = {**{place.theirs: np.ones(place.shape, np.float32) for place in scales}, **state}
    missing = [f"{name} {_written(place.their_shape)}" for name, place in wanted.items() if name not in state]
    surplus = [f"{name} {_written(array.shape)}" for name, array in state.items() if name not in wanted]
    differ = [
        f"{name} is {_written(state[name].shape)}, not {_written(place.their_shape)}"
        for name, place in wanted.items()
        if name in state and state[name].shape != place.their_shape
    ]
    problems = [
        f"{what} {names.listed(each)}"
        for what, each in (
            ("these are missing:", missing),
            ("these are too many:", surplus),
            ("of another shape:", differ),
        )
        if each
    ]
    if not problems:
        odd = [name for name in wanted if state[name].dtype.kind != "f" and state[name].dtype != ml_dtypes.bfloat16]
        with np.errstate(over="ignore"):  # float64 holds numbers that are infinite in float32
            odd += [name for name in wanted if name not in odd and not np.isfinite(state[name].astype(dtype)).all()]
        variances = [name for name, place in wanted.items() if place.ours.endswith("/var") and name not in odd]
        negative = [name for name in variances if (state[name] < 0).any()]
        problems = [f"no finite numbers in {dtype}: {names.listed(odd)}"] if odd else []
        problems += [f"negative variances: {names.listed(negative)}"] if negative else []
    if problems:
        raise errors.UserError(f"not the weights of {counterpart.theirs}: {'; '.join(problems)}")
    leaves = {place.ours: place.to_ours(state[name]).astype(dtype) for name, place in wanted.items()}
    return unflatten(like, leaves)


def unflatten(like: Any, leaves: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Variables in the form that a model's ``init`` gives them, from leaves by their unstacked path."""
    unstacked = stacking.unstack(like)
    tree = jax.tree.unflatten(jax.tree.structure(unstacked), [leaves[name] for name in stacking.names(like)])
    return stacking.stack(tree, like=like)


def classes(model: nn.Module, state: State, counterpart: Counterpart) -> int | None:
    """How many classes a state dictionary has: the size of its last layer's bias. ``None`` where it has no such layer."""
    assert isinstance(model, Network)
    last = [row.name for row in model.rows() if isinstance(row, Conv | Dense)][-1]
    bias = state.get(names.theirs(last, counterpart.rules) + counterpart.parameter(last, "bias"))
    return None if bias is None or bias.ndim != 1 else bias.shape[0]


def _flattened(rows: Rows, scope: str = "") -> Iterator[tuple[str, int]]:
    """Dense layers on flattened maps, by their path, with the channels of these maps."""
    channels, flat = 0, False
    for row in rows:
        if isinstance(row, Side):
            yield from _flattened(row.rows, f"{scope}{row.name}/")
        elif isinstance(row, Conv):
            channels = row.features
        elif isinstance(row, Flatten):
            flat = True
        elif isinstance(row, Dense):
            if flat:
                yield f"{scope}{row.name}", channels
            flat = False


def _written(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"
