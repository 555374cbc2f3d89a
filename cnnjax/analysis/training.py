"""What training does to a network: gradients by depth, dead rectifiers, changes of weights, the loss between two networks."""

import collections
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas

from cnnjax import errors
from cnnjax.analysis import program
from cnnjax.analysis.layers import evaluated, forward, layers, picked, trace
from cnnjax.nn import inputs, stacking

Batches = Iterable[tuple[jax.Array, jax.Array | np.ndarray]]


def gradients(model: nn.Module, variables: Mapping[str, Any], images: jax.Array, labels: jax.Array) -> pandas.DataFrame:
    """How strong the loss's gradient is in each layer, in training without dropout.

    He et al. 2015, §4.1: in plain networks with batch normalisation it does not vanish.

    Args:
      model: the network.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``.
      labels: int ``[N]``.

    Returns:
      One row a kernel, in the order in which they are applied: ``layer``, its unstacked name; ``gradient``, the norm of
      the gradient of the mean soft-max cross-entropy; ``weight``, the norm of the kernel; ``ratio`` of the two.

    Raises:
      UserError: these are no images, or no class of the network for each of them.
    """
    found = kernel_gradients(model, variables, images, labels)
    weights = stacking.names(stacking.unstack(variables["params"]))
    rows = []
    for layer, gradient in found.items():
        norms = [float(np.linalg.norm(np.asarray(each, np.float32))) for each in (gradient, weights[f"{layer}/kernel"])]
        rows.append((layer, *norms, norms[0] / norms[1] if norms[1] else float("nan")))
    return pandas.DataFrame(rows, columns=("layer", "gradient", "weight", "ratio"))


def kernel_gradients(
    model: nn.Module, variables: Mapping[str, Any], images: jax.Array, labels: jax.Array
) -> dict[str, np.ndarray]:
    """The gradient of the mean soft-max cross-entropy by each kernel, in training without dropout.

    Args:
      model, variables, images, labels: see :func:`gradients`.

    Returns:
      Unstacked name of a layer → the gradient, of the kernel's shape, in the order in which they are applied.

    Raises:
      UserError: as :func:`gradients`.
    """
    inputs.check_images(images)
    inputs.checked_labels(labels, len(images), model.num_classes)
    changed: dict[str, Any] = {"dropout": 0.0, "auxiliary_dropout": 0.0}
    model = model.clone(**{name: value for name, value in changed.items() if hasattr(model, name)})
    rest = {name: value for name, value in variables.items() if name != "params"}
    found = stacking.names(stacking.unstack(_gradient(model, variables["params"], rest, images, labels)))
    names = [layer.name for layer in layers(model, images.shape) if "kernel" in layer.parameters]
    return {name: np.asarray(found[f"{name}/kernel"]) for name in names}


# Compiled once for all checkpoints of a network.
@functools.partial(jax.jit, static_argnums=0)
@functools.partial(jax.grad, argnums=1)
def _gradient(model: nn.Module, params: Any, rest: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
    output, _ = model.apply({"params": params, **rest}, images, train=True, mutable=["batch_stats"])
    logits: Any = output[0]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def dead(model: nn.Module, variables: Mapping[str, Any], batches: Iterable[jax.Array]) -> pandas.DataFrame:
    """Features that are zero for every image and at every place: rectifiers that nothing gets through.

    Args:
      model: the network, in evaluation.
      variables: of it.
      batches: preprocessed images ``[N, H, W, C]``.

    Returns:
      One row a tap that is what rectifiers put out, as it is or joined or pooled by maxima, in the order in which the network
      puts them out: ``layer``, ``features``, ``dead``, and ``share``. Rectifiers whose outputs are no tap, as inside of blocks,
      are not seen.

    Raises:
      UserError: there is no batch.
    """
    most: dict[str, np.ndarray] = {}
    for found in evaluated(_largest, model, variables, batches):
        most |= {name: np.maximum(most.get(name, -np.inf), each) for name, each in found.items()}
    rows = [(name, len(each), int((each == 0).sum()), float((each == 0).mean())) for name, each in most.items()]
    return pandas.DataFrame(rows, columns=("layer", "features", "dead", "share"))


def _largest(model: nn.Module, variables: Any, images: jax.Array) -> dict[str, jax.Array]:
    """Of each rectified tap the largest value of each feature."""
    inputs.check_images(images)
    taps: Any = model.apply(variables, images)[1]
    # What leaves a compiled function as a plain dictionary is sorted by its keys.
    return collections.OrderedDict(
        (name, taps[name].reshape(-1, taps[name].shape[-1]).max(0).astype(jnp.float32))
        for name in _rectified(model, images.shape)
    )


def _rectified(model: nn.Module, shape: Sequence[int]) -> list[str]:
    """The taps that are what rectifiers put out, as the traced program has it."""
    traced = trace(model, shape)
    made = {variable: equation for equation in traced.jaxpr.eqns for variable in equation.outvars}

    def rectified(variable: Any) -> bool:
        if (equation := made.get(variable)) is None:
            return False
        if equation.primitive.name in ("concatenate", "reduce_window_max"):
            return all(map(rectified, equation.invars))
        return program.called(equation) == "relu"

    return [name for name, variable in traced.taps if rectified(variable)]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> pandas.DataFrame:
    """How far each parameter has moved between two states of a network, e.g. two checkpoints of a run.

    Args:
      before, after: trees of parameters.

    Returns:
      One row a parameter: ``parameter``, its unstacked name; ``norm`` before; ``change``, the norm of the difference; and
      their ``ratio``.

    Raises:
      UserError: they are of different networks.
    """
    old, new = (stacking.names(stacking.unstack(dict(each))) for each in (before, after))
    shapes = [{name: leaf.shape for name, leaf in each.items()} for each in (old, new)]
    if shapes[0] != shapes[1]:
        odd = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[0]
        raise errors.UserError(f"these are parameters of different networks: {odd[0]} of shape {odd[1]} is only in one")
    rows = []
    for name, leaf in old.items():
        start = np.asarray(leaf, np.float64).ravel()
        norm, change = np.linalg.norm(start), np.linalg.norm(np.asarray(new[name], np.float64).ravel() - start)
        rows.append((name, float(norm), float(change), float(change / norm) if norm else float("nan")))
    return pandas.DataFrame(rows, columns=("parameter", "norm", "change", "ratio"))


def along_line(
    model: nn.Module,
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    batches: Callable[[], Batches],
    shares: Sequence[float],
) -> pandas.DataFrame:
    """Loss and error on the straight line between two networks' weights. Goodfellow et al. 2014, arXiv 1412.6544.

    Statistics of batch normalisation are mixed as the weights are.

    Args:
      model: the network, in evaluation.
      one, other: variables of it.
      batches: gives preprocessed images ``[N, H, W, C]`` and labels ``[N]``, anew for each place on the line.
      shares: places; 0 is ``one``, 1 is ``other``.

    Returns:
      Columns ``share``, ``loss`` (mean soft-max cross-entropy) and ``error``.

    Raises:
      UserError: there is no example, one of no class of the network, or the variables are of different networks.
    """
    if jax.tree.map(jnp.shape, dict(one)) != jax.tree.map(jnp.shape, dict(other)):
        raise errors.UserError("these are variables of different networks: between them there is no line")

    @jax.jit
    def sums(variables: Any, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits: Any = model.apply(variables, images)[0]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.sum(), (logits.argmax(-1) != labels).sum()

    rows = []
    for share in shares:
        mixed = jax.tree.map(lambda a, b, s=share: (1 - s) * a + s * b, dict(one), dict(other))
        loss, wrong, count = 0.0, 0, 0
        for images, labels in batches():
            inputs.checked_labels(labels, len(images), model.num_classes)
            found = sums(mixed, images, labels)
            loss, wrong, count = loss + float(found[0]), wrong + int(found[1]), count + len(labels)
        if not count:
            raise errors.UserError("there is no example to take the loss of")
        rows.append((share, loss / count, wrong / count))
    return pandas.DataFrame(rows, columns=("share", "loss", "error"))


def activations(
    model: nn.Module, variables: Mapping[str, Any], batches: Iterable[jax.Array], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """All values of some layers, for histograms of them over training.

    Args:
      model: the network, in evaluation.
      variables: of it.
      batches: preprocessed images ``[N, H, W, C]``.
      names: of taps or modules.

    Returns:
      Name → float32 ``[N, ...]``.

    Raises:
      UserError: no such layer, or no batch.
    """
    seen = [*evaluated(_activations, model, variables, batches, *names)]
    return {name: np.concatenate([each[name] for each in seen]) for name in names}


def _activations(model: nn.Module, variables: Any, images: jax.Array, *names: str) -> dict[str, jax.Array]:
    found = picked(forward(model, variables, images)[1], *names)
    return {name: each.astype(jnp.float32) for name, each in found.items()}
