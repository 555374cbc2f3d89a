"""A traced program run again, with some of its operations replaced."""

from collections.abc import Callable, Sequence
from typing import Any

from jax.extend import core

Apply = Callable[[Any, Sequence[Any]], list[Any]]


def apply(equation: Any, inputs: Sequence[Any]) -> list[Any]:
    """What an operation gives, as a list."""
    found = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(equation.params))
    return list(found) if equation.primitive.multiple_results else [found]


def run(jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any], instead: Apply = apply) -> list[Any]:
    """Runs a program operation by operation.

    Args:
      jaxpr: the program.
      constants: of it.
      arguments: of it, arrays or tracers.
      instead: takes an operation and its inputs, and gives its outputs; it may call :func:`apply`. Programs that an operation
        holds (bodies of loops, functions that are called) are not looked into.
    """
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

    def value(var: Any) -> Any:
        return var.val if isinstance(var, core.Literal) else known[var]

    for equation in jaxpr.eqns:
        outputs = instead(equation, [value(var) for var in equation.invars])
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return [value(var) for var in jaxpr.outvars]


def called(equation: Any) -> str:
    """What the function is called that an operation calls; empty for none. A custom derivative around it has no name itself."""
    bodies = list(core.jaxprs_in_params(equation.params))
    if "name" not in equation.params and len(bodies) == 1 and len(bodies[0].eqns) == 1:
        return called(bodies[0].eqns[0])
    return str(equation.params.get("name", ""))
