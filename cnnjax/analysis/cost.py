"""What a computation costs, read from the program that JAX traces."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import partial_eval

from cnnjax.analysis.layers import layers, trace


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
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"])), _macs(_logits(model, variables, images)[0])


def used(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Parameters that the logits depend on: those of auxiliary classifiers are not among them."""
    images = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    # Each leaf as a program's input, in the order of the tree.
    marked = jax.tree_util.tree_map_with_path(lambda path, leaf: leaf.size * (path[0].key == "params"), variables)
    inputs = _logits(model, variables, images)[1]
    return sum(size for size, needed in zip(jax.tree.leaves(marked), inputs, strict=False) if needed)


def _logits(model: nn.Module, variables: Any, images: Any) -> tuple[Any, list[bool]]:
    """The program without what the logits do not need, and which inputs they do."""
    traced = jax.make_jaxpr(lambda *arguments: model.apply(*arguments)[0])(variables, images).jaxpr
    return partial_eval.dce_jaxpr(traced, [True])


def by_layer(model: nn.Module, input_shape: Sequence[int], count: Callable[[Any], int] | None = None) -> dict[str, int]:
    """What every layer of a network costs in evaluation, auxiliary classifiers included.

    Args:
      model: the network.
      input_shape: ``[N, H, W, C]``.
      count: of an operation of the traced program: :func:`products`, which is the default, :func:`operations` or
        :func:`outputs`.

    Returns:
      Unstacked name of a module, e.g. ``stage2/block7/conv1`` → MACs, FLOPs or values, in the order in which they are
      applied; what is done outside of all modules belongs to the tap that it leads to. What a layer does several times is
      added, and what costs nothing is not there.
    """
    traced = trace(model, input_shape)
    taps = {id(var): name for name, var in reversed(traced.taps)}  # of dropout, which is nothing here, the one before
    found: dict[str, int] = {}
    loose = 0
    for equation in traced.jaxpr.eqns:
        for place, each in _counted([equation], "", count or products):
            # The first part is the network's class; parts with a dot are methods of the module before.
            if name := "/".join(part for part in place.strip("/").split("/")[1:] if "." not in part):
                found[name] = found.get(name, 0) + each
            else:
                loose += each
        for var in equation.outvars:
            if loose and (name := taps.get(id(var), "")):
                found[name], loose = found.get(name, 0) + loose, 0
    return found


def by_rules(model: nn.Module, input_shape: Sequence[int]) -> dict[str, tuple[int, int]]:
    """What a network costs by the rules that textbooks give, which round where :func:`flops` counts.

    Batch normalisation is 4 to 6 operations a value, by what is kept from training; a pool of k × k windows k² a value, a
    global one as many as it takes in; a ReLU 1 and a sigmoid 4. A convolution or a matrix product of n inputs is 2 n - 1
    operations a value, and 2 n with a bias. For other activations, normalisations and sums there is no rule.

    Args:
      model: the network, in evaluation.
      input_shape: ``[N, H, W, C]``.

    Returns:
      ``convolutions``, ``matrix products``, ``batch normalisation``, ``pooling``, ``ReLU``, ``sigmoid`` → fewest and most
      operations.
    """
    traced = trace(model, input_shape)
    rules: dict[str, Callable[[Any], int]] = {
        "convolutions": lambda equation: _weighted(equation, "conv_general_dilated"),
        "matrix products": lambda equation: _weighted(equation, "dot_general"),
        "pooling": lambda equation: operations(equation) if pools(equation) else 0,
        "ReLU": lambda equation: equation.outvars[0].aval.size if equation.params.get("name") == "relu" else 0,
        "sigmoid": lambda equation: 4 * equation.outvars[0].aval.size if equation.primitive.name == "logistic" else 0,
    }
    counts = {kind: sum(each for _, each in _counted(traced.jaxpr.eqns, "", rule)) for kind, rule in rules.items()}
    for layer in layers(model, input_shape):
        if {"kernel", "bias"} <= layer.parameters.keys():
            kind = "convolutions" if len(layer.output) == 4 else "matrix products"
            counts[kind] += math.prod(layer.output)
    normalised = sum(var.aval.size for name, var in traced.modules if name in traced.normalised)
    return {kind: (count, count) for kind, count in counts.items()} | {
        "batch normalisation": (4 * normalised, 6 * normalised)
    }


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
    return sum(count for _, count in _counted(jaxpr.eqns, "", products))


def _flops(jaxpr: Any) -> int:
    return sum(count for _, count in _counted(jaxpr.eqns, "", operations))


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


def pools(equation: Any) -> bool:
    """Whether it is a window over the places of maps, and not over channels."""
    windowed = equation.primitive.name.startswith("reduce_window")
    return windowed and equation.params["window_dimensions"][-1] == 1


def _weighted(equation: Any, name: str) -> int:
    """Products, and the sums of them."""
    return 2 * products(equation) - outputs(equation) if equation.primitive.name == name else 0


def outputs(equation: Any) -> int:
    """The values that a convolution or a matrix product puts out: what timm and fvcore call a network's activations."""
    return equation.outvars[0].aval.size if products(equation) else 0


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


def _counted(equations: Sequence[Any], place: str, count: Callable[[Any], int]) -> Iterator[tuple[str, int]]:
    """The scope of every operation that costs something, with what it costs."""
    for equation in equations:
        scope = f"{place}/{equation.source_info.name_stack}"
        if here := count(equation):
            yield scope, here
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        # What a windowed reduction does with two values is a program too, and counted with the window.
        bodies = () if equation.primitive.name.startswith("reduce") else core.jaxprs_in_params(equation.params)
        for body in bodies:
            yield from ((inner, times * each) for inner, each in _counted(body.eqns, scope, count))
