"""A network without activations is one linear layer; how far another is from one."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax.nn import inputs


def layer(model: nn.Module, variables: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """The linear layer that is nearest to a network around an image of zeros.

    Args:
      model: the network, in evaluation mode.
      variables: of it.
      shape: of an image, ``[H, W, C]``.

    Returns:
      Its kernel ``[H, W, C, K]`` and bias ``[K]``, for K classes: the derivative of the logits, and the logits themselves.
    """

    def logits(image: jax.Array) -> jax.Array:
        found: jax.Array = model.apply(variables, image[None], train=False)[0][0]
        return found

    bias, back = jax.vjp(logits, jnp.zeros(shape))
    # One class after the other: a kernel of oneDNN is not mapped over several.
    kernel = [jax.jit(back)(each)[0] for each in jnp.eye(bias.size)]
    return jnp.stack(kernel, -1), bias


def defect(model: nn.Module, variables: Mapping[str, Any], images: jax.Array) -> float:
    """How far a network is from its :func:`layer`: zero if it has no activations, maxima, or normalisation of responses.

    Args:
      model: the network, in evaluation mode.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``.

    Returns:
      The norm of the difference of both's logits over that of the layer's without its bias.

    Raises:
      UserError: these are no images.
    """
    inputs.check_images(images)
    kernel, bias = layer(model, variables, images.shape[1:])
    logits, _ = model.apply(variables, images, train=False)
    linear = jnp.einsum("nhwc,hwck->nk", images, kernel, precision="highest")
    return float(jnp.linalg.norm(logits - bias - linear) / jnp.linalg.norm(linear))
