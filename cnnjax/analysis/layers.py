"""The layers of a network: names, output shapes, parameters."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.nn import stacking


@dataclasses.dataclass(frozen=True)
class Layer:
    """A module that holds parameters itself.

    Attributes:
      name: its unstacked path, e.g. ``stage2/block7/conv1``.
      output: shape of what it puts out, ``[N, H, W, C]`` or ``[N, C]``.
      parameters: shape of each.
    """

    name: str
    output: tuple[int, ...]
    parameters: dict[str, tuple[int, ...]]

    @property
    def count(self) -> int:
        """How many parameters it holds."""
        return sum(math.prod(shape) for shape in self.parameters.values())


def layers(model: nn.Module, input_shape: Sequence[int]) -> list[Layer]:
    """The layers in the order in which they are applied. Nothing is computed.

    Args:
      model: the network.
      input_shape: ``[N, H, W, C]``.
    """
    outputs: list[tuple[str, tuple[int, ...]]] = []
    model, _ = unrolled(model, {})

    def trace(images: jax.Array) -> Any:
        variables = model.init(jax.random.key(0), images)
        outputs.extend((name, output.shape) for name, output in captured(model, variables, images))
        return variables["params"]

    params = jax.eval_shape(trace, jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32))
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, leaf in stacking.names(params).items():
        module, _, parameter = name.rpartition("/")
        shapes.setdefault(module, {})[parameter] = leaf.shape
    return [Layer(name, output, shapes[name]) for name, output in outputs if name in shapes]


def unrolled(model: nn.Module, variables: Mapping[str, Any]) -> tuple[nn.Module, Mapping[str, Any]]:
    """The same network without scans and rematerialisation, and with convolutions that are only that in its program.

    Only then its layers are in order, since what leaves a scan is sorted by name, and can be read from the program: a run's
    network may call a library instead.
    """
    changed: dict[str, Any] = {"scan": False, "keep": "all", "conv_form": "canonical"}
    model = model.clone(**{name: value for name, value in changed.items() if hasattr(model, name)})
    return model, stacking.unstack(dict(variables)) if hasattr(model, "scan") else variables


def captured(model: nn.Module, variables: Mapping[str, Any], images: jax.Array) -> Iterator[tuple[str, jax.Array]]:
    """Name and output of every module, in the order in which they return, in evaluation. The network is :func:`unrolled`."""
    _, found = model.apply(variables, images, capture_intermediates=True, mutable=["intermediates"])
    yield from _outputs(found["intermediates"])


def forward(model: nn.Module, variables: Mapping[str, Any], images: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
    """The network's output in evaluation, and by name what every module puts out and every tap; of one name the tap.

    The network is :func:`unrolled`.
    """
    (output, taps), found = model.apply(variables, images, capture_intermediates=True, mutable=["intermediates"])
    return output, {**dict(_outputs(found["intermediates"])), **taps}


def tapped(model: nn.Module, variables: Mapping[str, Any], images: jax.Array, name: str) -> jax.Array:
    """What one module or tap of :func:`forward` puts out.

    Raises:
      UserError: there is none of this name.
    """
    return picked(forward(model, variables, images)[1], name)[name]


def picked(found: Mapping[str, jax.Array], *names: str) -> dict[str, jax.Array]:
    """Some of what :func:`forward` has found.

    Raises:
      UserError: there is none of a name.
    """
    if odd := [name for name in names if name not in found]:
        raise errors.unknown("tap", odd[0], found)
    return {name: found[name] for name in names}


def evaluated(
    measure: Callable[..., Any],
    model: nn.Module,
    variables: Mapping[str, Any],
    batches: Iterable[jax.Array],
    *names: str,
) -> Iterator[Any]:
    """What a function of a network in evaluation gives, batch by batch; compiled once for all states of the network.

    Args:
      measure: ``measure(model, variables, images, *names)`` → a tree of arrays. It is given the network :func:`unrolled`, and
        is a function of a module: what is made anew at each call is compiled anew.
      model: the network.
      variables: of it.
      batches: preprocessed images ``[N, H, W, C]``.
      names: of taps or modules.

    Yields:
      The tree of each batch, as NumPy arrays.

    Raises:
      UserError: there is no batch, or what ``measure`` raises.
    """
    model, variables = unrolled(model, variables)
    none = True
    for images in batches:
        none = False
        yield jax.tree.map(np.asarray, _measured(measure, model, names, variables, images))
    if none:
        raise errors.UserError("there is no batch of images")


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _measured(
    measure: Callable[..., Any], model: nn.Module, names: tuple[str, ...], variables: Any, images: Any
) -> Any:
    return measure(model, variables, images, *names)


@dataclasses.dataclass(frozen=True)
class Trace:
    """A network in evaluation as the program that JAX traces.

    Attributes:
      jaxpr: the program.
      images: its variable for the images.
      modules: unstacked name and variable of what each module puts out, in the order in which they return.
      taps: name and variable of each tap.
      normalised: names of the modules that normalise over a batch.
    """

    jaxpr: Any
    images: Any
    modules: tuple[tuple[str, Any], ...]
    taps: tuple[tuple[str, Any], ...]
    normalised: frozenset[str]


def trace(model: nn.Module, input_shape: Sequence[int]) -> Trace:
    """Traces a network, scanned stages block by block. Nothing is computed, and the last few are kept.

    Args:
      model: the network; it returns its output and taps by name.
      input_shape: ``[N, H, W, C]``.
    """
    return _trace(model, tuple(input_shape))


@functools.lru_cache(maxsize=4)
def _trace(model: nn.Module, input_shape: tuple[int, ...]) -> Trace:
    model, _ = unrolled(model, {})
    images = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    modules: list[str] = []
    taps: list[str] = []

    def outputs(variables: Any, images: jax.Array) -> list[jax.Array]:
        (_, tapped), found = model.apply(variables, images, capture_intermediates=True, mutable=["intermediates"])
        captured = [*_outputs(found["intermediates"])]
        modules[:], taps[:] = (name for name, _ in captured), tapped
        return [*(value for _, value in captured), *tapped.values()]

    jaxpr = jax.make_jaxpr(outputs)(variables, images).jaxpr
    outvars = jaxpr.outvars
    return Trace(
        jaxpr,
        jaxpr.invars[-1],
        tuple(zip(modules, outvars, strict=False)),
        tuple(zip(taps, outvars[len(modules) :], strict=True)),
        frozenset(name.rpartition("/")[0] for name in stacking.names(variables.get("batch_stats", {}))),
    )


def _outputs(found: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, jax.Array]]:
    for key, node in found.items():
        if key != "__call__":
            yield from _outputs(node, f"{path}{key}/")
        elif hasattr(node[0], "shape"):
            yield path.removesuffix("/"), node[0]
