"""Where in an image the evidence for a class is, as a map over a layer's places."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.analysis import program
from cnnjax.analysis.layers import forward, picked, unrolled
from cnnjax.nn import inputs


def grad_cam(
    model: nn.Module, variables: Mapping[str, Any], images: jax.Array, classes: jax.Array, name: str
) -> np.ndarray:
    """Selvaraju et al. 2016, "Grad-CAM", equations 1 and 2.

    A feature's weight is the mean over its map of the logit's gradient; the map is the rectified, weighted sum of features.

    Args:
      model: the network, in evaluation.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``.
      classes: of each image, int ``[N]``.
      name: of a tap or module with a map that the logits depend on.

    Returns:
      float32 ``[N, h, w]``, in the unit of logits.

    Raises:
      UserError: no such tap, one without a map, no images, or no class of the network for each of them.
    """
    maps, gradients = _evidence(model, variables, images, classes, name)
    weights = gradients.mean((1, 2), keepdims=True)
    return np.asarray(jnp.maximum((weights * maps).sum(-1), 0))


def class_activation(
    model: nn.Module, variables: Mapping[str, Any], images: jax.Array, classes: jax.Array, name: str
) -> np.ndarray:
    """Zhou et al. 2015, "Learning Deep Features for Discriminative Localization", equation 2: what each place adds to a logit.

    Of networks whose logits are a linear map of averages over ``name``'s map, as Network in Network, GoogLeNet and residual
    networks have them; there the maps' means are the logits up to the bias.

    Args:
      model, variables, images, classes: as in :func:`grad_cam`.
      name: of the last tap or module with a map.

    Returns:
      float32 ``[N, h, w]``; its mean over places is the logit without its bias.

    Raises:
      UserError: as :func:`grad_cam`, or the logits are no linear map of averages over that map.
    """
    maps, gradients = _evidence(model, variables, images, classes, name)
    weights = gradients.mean((1, 2), keepdims=True)
    # Of a linear map of averages the gradient is the same at each place, and whatever the maps are.
    elsewhere = _evidence(model, variables, -images, classes, name)[1]
    if not all(np.allclose(each, weights, rtol=1e-3, atol=1e-8) for each in (gradients, elsewhere)):
        raise errors.UserError(
            f"the logits are no linear map of averages over the map of {name}, which Grad-CAM does not need"
        )
    return np.asarray((weights * maps).sum(-1) * maps.shape[1] * maps.shape[2])


def _evidence(
    model: nn.Module, variables: Mapping[str, Any], images: jax.Array, classes: jax.Array, name: str
) -> tuple[jax.Array, jax.Array]:
    """The maps of a layer, and the gradients of each image's logit in them, both ``[N, h, w, C]``."""
    model, variables = unrolled(model, variables)

    def ask(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits, found = forward(model, variables, images)
        return logits, picked(found, name)[name]

    closed = jax.make_jaxpr(ask)(images)
    logits, tap = closed.jaxpr.outvars
    if len(tap.aval.shape) != 4:
        raise errors.UserError(f"{name} has no map: its shape is {tap.aval.shape[1:]}")
    chosen = inputs.checked_labels(classes, len(images), logits.aval.shape[-1])

    def logit(change: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where the maps are changed before they are looked at further; with the maps."""

        def instead(equation: Any, inputs: Sequence[Any]) -> list[Any]:
            outputs = program.apply(equation, inputs)
            return [each + change if var is tap else each for var, each in zip(equation.outvars, outputs, strict=True)]

        found, maps = program.run(closed.jaxpr, closed.consts, [images], instead)
        return found[jnp.arange(len(images)), chosen].sum(), maps

    gradients, maps = jax.jit(jax.grad(logit, has_aux=True))(jnp.zeros(tap.aval.shape, tap.aval.dtype))
    return maps, gradients
