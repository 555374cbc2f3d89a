"""What a computation costs, read from the program that JAX traces."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import partial_eval


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


def _macs(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = equation.params["dimension_numbers"].rhs_spec[0]
            total += equation.outvars[0].aval.size * math.prod(kernel) // kernel[features]
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
        else:
            times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
            total += times * sum(_macs(body) for body in core.jaxprs_in_params(equation.params))
    return total
