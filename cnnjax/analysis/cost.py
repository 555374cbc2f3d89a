"""What a computation costs, read from the program that JAX traces."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import partial_eval

from cnnjax.analysis.layers import unrolled


def macs(function: Callable[..., Any], *arguments: Any) -> int:
    """Multiply-accumulates of the convolutions and matrix products of ``function(*arguments)``.

    One MAC is two FLOPs. Everything else (normalisation, activations, additions) is not counted, as in the papers. Bodies
    of scans count as often as they run.

    Args:
      function: anything JAX can trace.
      *arguments: arrays or shapes; nothing is computed.
    """
    return _macs(jax.make_jaxpr(function)(*arguments).jaxpr)


def forward(model: nn.Module, input_shape: Sequence[int]) -> int:
    """MACs that the logits of images ``[N, H, W, C]`` take; auxiliary classifiers are not among them."""
    return size(model, input_shape)[1]


def size(model: nn.Module, input_shape: Sequence[int]) -> tuple[int, int]:
    """Parameters of a network, auxiliary classifiers included, and MACs of :func:`forward`."""
    images = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    traced = jax.make_jaxpr(lambda *arguments: model.apply(*arguments)[0])(variables, images).jaxpr
    needed, _ = partial_eval.dce_jaxpr(traced, [True])
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"])), _macs(needed)


def by_layer(model: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """MACs of every convolution and matrix product of a network in evaluation, auxiliary classifiers included.

    Args:
      model: the network.
      input_shape: ``[N, H, W, C]``.

    Returns:
      Unstacked name of a layer, e.g. ``stage2/block7/conv1`` → MACs, in the order in which they are applied. What a layer
      does several times is added.
    """
    model, _ = unrolled(model, {})
    images = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    found: dict[str, int] = {}
    for place, count in _counted(jax.make_jaxpr(model.apply)(variables, images).jaxpr, ""):
        # The first part is the network's class.
        name = place.strip("/").partition("/")[2]
        found[name] = found.get(name, 0) + count
    return found


def flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Floating-point operations of ``function(*arguments)``.

    A MAC is two. An arithmetic operation on an element (a sum, a product, a maximum, an exponential …) is one, and so is each
    value that a window or a sum takes in; comparisons, selections, conversions and copies are none. A normalisation in
    evaluation is 3 an element (the sources count 4 to 6), a pool of k × k windows k² a value, a ReLU 1.

    Args:
      function: anything JAX can trace.
      *arguments: arrays or shapes; nothing is computed.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def _macs(jaxpr: Any) -> int:
    return sum(count for _, count in _counted(jaxpr, ""))


def _flops(jaxpr: Any) -> int:
    return sum(count for _, count in _counted(jaxpr, "", operations))


def products(equation: Any) -> int:
    """The MACs of an operation of a traced program, those of programs in it not included."""
    size = equation.outvars[0].aval.size if equation.outvars else 0
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = equation.params["dimension_numbers"].rhs_spec[0]
        return size * math.prod(kernel) // kernel[features]
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return size * math.prod(shape[axis] for axis in contracted)
    return 0


def operations(equation: Any) -> int:
    """The FLOPs of an operation of a traced program, see :func:`flops`, those of programs in it not included."""
    name = equation.primitive.name
    if name in _ARITHMETIC:
        return equation.outvars[0].aval.size
    if name.startswith("reduce_window"):
        return equation.outvars[0].aval.size * math.prod(equation.params["window_dimensions"])
    if name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"):
        return equation.invars[0].aval.size
    return 2 * products(equation)


_ARITHMETIC = (
    *(
        "add",
        "add_any",
        "sub",
        "mul",
        "div",
        "rem",
        "pow",
        "integer_pow",
        "square",
        "neg",
        "abs",
        "max",
        "min",
        "clamp",
    ),
    *("exp", "exp2", "expm1", "log", "log1p", "sqrt", "rsqrt", "cbrt", "tanh", "logistic", "erf", "sin", "cos", "tan"),
)


def _counted(jaxpr: Any, place: str, count: Callable[[Any], int] = products) -> Iterator[tuple[str, int]]:
    """The scope of every operation that costs something, with what it costs."""
    for equation in jaxpr.eqns:
        scope = f"{place}/{equation.source_info.name_stack}"
        if here := count(equation):
            yield scope, here
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        # What a windowed reduction does with two values is a program too, and counted with the window.
        bodies = () if equation.primitive.name.startswith("reduce") else core.jaxprs_in_params(equation.params)
        for body in bodies:
            yield from ((inner, times * each) for inner, each in _counted(body, scope, count))
