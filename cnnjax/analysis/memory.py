"""How much memory a network takes: by the textbooks' formulas, and by what the compiler sets aside.

By formula a network in training takes

    parameters × copies + 2 × stored values × images     (times the bytes of a number)

with two copies for plain gradient descent (weights, gradients), three with momentum, four for Adam; every stored value has a
gradient. Nothing else is in it: neither what one operation needs while it runs, nor what a compiler saves by computing some
of it twice, or in place, or not at all. What it sets aside in truth is :func:`compiled`.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend import core

from cnnjax import errors
from cnnjax.analysis.cost import pools
from cnnjax.analysis.layers import trace

COPIES = {"sgd": 2, "sgd-momentum": 3, "adam": 4}
"""Optimiser → how many numbers it keeps for a parameter, the parameter and its gradient among them."""
BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
MIB = 2**20


def written(size: int) -> str:
    """So many bytes in MiB, or as they are where that is less than one."""
    return f"{size / MIB:,.1f} MiB" if size >= MIB else f"{size:,} bytes"


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The formula, in bytes.

    Attributes:
      model: all copies of the parameters.
      image: what one image adds.
    """

    model: int
    image: int

    def total(self, batch: int) -> int:
        """With so many images in a step."""
        return self.model + batch * self.image

    def largest(self, memory: int) -> int:
        """How many images fit into so many bytes.

        Raises:
          UserError: not even the parameters do, or none.
        """
        if (count := (memory - self.model) // self.image) < 1:
            raise errors.UserError(
                f"not even one image fits into {written(memory)}: the parameters and their copies take {written(self.model)}, "
                f"and an image {written(self.image)}"
            )
        return count


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What the compiler says of a training step on this machine.

    Attributes:
      arguments: bytes of weights, statistics, the optimiser's state, images and labels.
      temporary: bytes for what is in between.
      flops: floating-point operations of the step, as it counts them; a loop's body counts once.
    """

    arguments: int
    temporary: int
    flops: float

    @property
    def total(self) -> int:
        """Bytes. The results take the arguments' place."""
        return self.arguments + self.temporary


def training(
    parameters: int, values: int, optimizer: str = "sgd-momentum", dtype: str = "float32", held: str = ""
) -> Estimate:
    """The formula for training.

    Args:
      parameters: of the network.
      values: stored for one image, see :func:`stored`.
      optimizer: of :data:`COPIES`.
      dtype: of the values, of :data:`BYTES`.
      held: of the parameters and their copies; empty: the same. Networks that compute in bfloat16 hold them in float32.

    Raises:
      UserError: an unknown optimiser or type.
    """
    if optimizer not in COPIES:
        raise errors.unknown("optimiser", optimizer, COPIES)
    return Estimate(parameters * COPIES[optimizer] * _bytes(held or dtype), 2 * values * _bytes(dtype))


def inference(parameters: int, values: int, dtype: str = "float32", held: str = "") -> Estimate:
    """The formula without training: the parameters, and the two layers in a row that have most values.

    Args:
      parameters: that the logits depend on.
      values: of one image in these two.
      dtype, held: see :func:`training`.

    Raises:
      UserError: an unknown type.
    """
    return Estimate(parameters * _bytes(held or dtype), values * _bytes(dtype))


def _bytes(dtype: str) -> int:
    if dtype not in BYTES:
        raise errors.unknown("type of numbers", dtype, BYTES)
    return BYTES[dtype]


def check_fitted(batches: Collection[int]) -> None:
    """Raises a `UserError` where a line cannot be fitted to steps of so many images each: through two it always goes."""
    if (count := len(set(batches))) < 3:
        raise errors.UserError(f"a line is fitted to three different numbers of images or more, not {count}")


def fit(measured: Mapping[int, int]) -> tuple[Estimate, float]:
    """The line bytes = model + images × image that is nearest to what steps of several sizes take, by least squares.

    Args:
      measured: images in a step → bytes, e.g. :attr:`Compiled.total`.

    Returns:
      The line, and the root of the mean square of what is left, in bytes.

    Raises:
      UserError: there are fewer than three sizes: through two a line always goes.
    """
    check_fitted(measured)
    images, found = (np.array(each, np.float64) for each in zip(*measured.items(), strict=True))
    image, model = np.polyfit(images, found, 1)
    left = found - (model + image * images)
    return Estimate(round(model), round(image)), float(np.sqrt((left**2).mean()))


def stored(model: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """How many values of each layer stay until the gradients are computed, as the sources count them. Nothing is computed.

    Layers are convolutions, matrix products, normalisations, local ones too, pools, and what joins branches. What an
    activation, a bias, dropout in evaluation or a reshape makes of a value takes its place. The images are not among them.

    Args:
      model: the network, in evaluation.
      input_shape: ``[N, H, W, C]``.

    Returns:
      Unstacked name of a module, a tap, or the module that a pool without a name belongs to → values, in the order of the
      computation.
    """
    traced = trace(model, input_shape)
    # What a normalisation puts out is a value of its own: its gradient needs what it has taken in.
    kept = {id(var) for name, var in traced.modules if name in traced.normalised}
    made = {id(var): equation for equation in traced.jaxpr.eqns for var in equation.outvars}
    dependent = {id(traced.images)}
    named: list[tuple[str, Any]] = [*traced.modules, *traced.taps]

    def origin(var: Any) -> Any:
        """The value whose place it takes."""
        while id(var) not in kept and (equation := made.get(id(var))):
            operands = [each for each in equation.invars if id(each) in dependent]
            if len(operands) != 1 or operands[0].aval.size != var.aval.size or _weighs(equation):
                break
            var = operands[0]
        return var

    for equation in traced.jaxpr.eqns:
        if any(id(each) in dependent for each in equation.invars):
            dependent.update(map(id, equation.outvars))
            if pools(equation):
                named.append((str(equation.source_info.name_stack).partition("/")[2], equation.outvars[0]))
    order = {id(var): place for place, equation in enumerate(traced.jaxpr.eqns) for var in equation.outvars}
    sources: dict[int, tuple[str, Any]] = {}
    for name, var in named:
        if id(var) in dependent and (source := origin(var)) is not traced.images:
            sources.setdefault(id(source), (name, source))
    totals: dict[str, int] = {}
    for name, source in sorted(sources.values(), key=lambda each: order[id(each[1])]):
        totals[name] = totals.get(name, 0) + source.aval.size
    return totals


def _weighs(equation: Any) -> bool:
    """Whether an operation is, or holds, a convolution, a matrix product or a window."""
    name = equation.primitive.name
    return (
        name in ("conv_general_dilated", "dot_general")
        or name.startswith("reduce_window")
        or any(_weighs(each) for body in core.jaxprs_in_params(equation.params) for each in body.eqns)
    )


def compiled(model: nn.Module, input_shape: Sequence[int], optimizer: str = "sgd-momentum") -> Compiled:
    """Compiles a training step for this machine, and reads what that takes.

    The step: soft-max cross-entropy of the output, its gradients, new statistics, one step of the optimiser. Its memory is
    below the formula's where a compiler makes operations one, frees what is not needed any more, or computes it twice; above it
    where an operation needs room while it runs (a convolution's rearranged images), or holds numbers that the formula
    leaves out: batch statistics, masks of dropout, images and labels, and auxiliary classifiers.

    Args:
      model: the network. Its ``dtype`` is that of the computations: images and parameters, with their copies, are float32.
      input_shape: ``[N, H, W, C]``.
      optimizer: of :data:`COPIES`.
    """
    if optimizer not in COPIES:
        raise errors.unknown("optimiser", optimizer, COPIES)
    update = {"sgd": optax.sgd(0.1), "sgd-momentum": optax.sgd(0.1, 0.9), "adam": optax.adam(0.1)}[optimizer]

    def initial(images: jax.Array) -> tuple[Any, Any, Any]:
        variables = model.init(jax.random.key(0), images)
        params = variables["params"]
        return params, {name: each for name, each in variables.items() if name != "params"}, update.init(params)

    def step(params: Any, rest: Any, state: Any, images: jax.Array, labels: jax.Array, key: jax.Array) -> Any:
        def loss(params: Any) -> Any:
            variables, rngs = {"params": params, **rest}, {"dropout": key}
            (logits, _), new = model.apply(variables, images, train=True, mutable=list(rest), rngs=rngs)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new

        gradients, new = jax.grad(loss, has_aux=True)(params)
        change, state = update.update(gradients, state, params)
        return optax.apply_updates(params, change), new, state

    images = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
    labels, key = jax.ShapeDtypeStruct(tuple(input_shape[:1]), jnp.int32), jax.eval_shape(lambda: jax.random.key(0))
    shapes = (*jax.eval_shape(initial, images), images, labels, key)
    # The code is not run: to make it fast would take twice as long, and changes nothing of this.
    quick: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}
    made = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*shapes).compile(quick)
    memory, costs = made.memory_analysis(), made.cost_analysis()
    if memory is None:
        raise errors.UserError("the compiler of this machine does not say how much memory it sets aside")
    return Compiled(memory.argument_size_in_bytes, memory.temp_size_in_bytes, float((costs or {}).get("flops", 0.0)))
