"""What in an image a feature saw: its activation, projected back to pixels.

Zeiler & Fergus 2013, §2.1: through each layer the other way, from one activation with all others set to zero. Filters are
transposed; a maximum goes back to the place that it came from (the switches, which the image sets); what comes out of a
rectifier is rectified again; normalisation over channels is skipped. That is the gradient of the activation with another rule
for rectifiers, and its siblings differ in that rule alone:

====================  ====================================================================================
saliency              the gradient: what was not positive on the way up is dropped (Simonyan et al. 2013)
deconvnet             what is not positive on the way down is dropped
guided                both (Springenberg et al. 2014, "guided backpropagation")
====================  ====================================================================================

Rules that the papers do not give: where windows overlap and share a maximum, what comes down both is added; of equal maxima of
a window the first gets it; batch normalisation in evaluation is a scale, which is kept, as are averages over windows, shortcuts
and branches, which are linear; other activations have their gradient. Saliency takes the gradient of normalisation over
channels too, the other two skip it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.analysis import program
from cnnjax.analysis.layers import tapped, unrolled

Rule = Callable[[jax.Array], jax.Array]


@jax.custom_vjp
def _rectify_down(x: jax.Array) -> jax.Array:
    return jnp.maximum(x, 0)


_rectify_down.defvjp(lambda x: (jnp.maximum(x, 0), None), lambda _, down: (jnp.maximum(down, 0),))


@jax.custom_vjp
def _rectify_both(x: jax.Array) -> jax.Array:
    return jnp.maximum(x, 0)


_rectify_both.defvjp(
    lambda x: (jnp.maximum(x, 0), x > 0), lambda positive, down: (jnp.where(positive, jnp.maximum(down, 0), 0),)
)


@jax.custom_vjp
def _skip(up: jax.Array, x: jax.Array) -> jax.Array:
    return up


_skip.defvjp(lambda up, x: (up, None), lambda _, down: (jnp.zeros_like(down), down))

METHODS: dict[str, Rule | None] = {"deconvnet": _rectify_down, "guided": _rectify_both, "saliency": None}
"""Name → what stands for a rectifier; ``None``: the gradient as it is."""
_RECTIFIER, _NORMALISATION = "relu", "local_response_normalisation"
"""What these functions are called in a traced program."""


def project(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: jax.Array,
    name: str,
    channel: int,
    place: tuple[int, int] | None = None,
    method: str = "deconvnet",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Projects one activation of a feature, for each image, back to its pixels.

    Args:
      model: the network, in evaluation.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``.
      name: of a tap or module.
      channel: which feature of it.
      place: row and column; ``None``: where it is strongest, in each image.
      method: of :data:`METHODS`.

    Returns:
      The projections ``[N, H, W, C]``, in the units of the preprocessed images; the activations ``[N]``; their places
      ``[N, 2]``, zero where the layer has no map.

    Raises:
      UserError: no such tap, channel, place or method.
    """
    if method not in METHODS:
        raise errors.unknown("method", method, METHODS)
    model, variables = unrolled(model, variables)
    maps, back = _run(METHODS[method])(model, variables, images, name)
    if not 0 <= channel < maps.shape[-1]:
        raise errors.UserError(f"{name} has no feature {channel}; they are numbered 0 to {maps.shape[-1] - 1}")
    count, extent = len(maps), maps.shape[1:-1]
    if len(extent) not in (0, 2):
        raise errors.UserError(f"{name} has no map and no vector of features: its shape is {maps.shape[1:]}")
    values = np.asarray(maps[..., channel]).reshape(count, -1)
    if place is not None:
        if len(extent) != 2 or not all(0 <= at < size for at, size in zip(place, extent, strict=True)):
            raise errors.UserError(f"{name} has no place {place}: its map is {'×'.join(map(str, extent)) or 'none'}")
        chosen = np.full(count, np.ravel_multi_index(place, extent))
    else:
        chosen = values.argmax(1)
    alone = np.zeros_like(values)
    alone[np.arange(count), chosen] = values[np.arange(count), chosen]
    down = jnp.zeros(maps.shape, maps.dtype).at[..., channel].set(alone.reshape(count, *extent))
    places = np.stack(np.unravel_index(chosen, extent), 1) if extent else np.zeros((count, 2), np.int64)
    return np.asarray(back(down)), alone.sum(1), places


def _run(rule: Rule | None) -> Callable[..., tuple[jax.Array, Callable[[jax.Array], jax.Array]]]:
    """Up to a layer, and what goes down from there."""

    def run(
        model: nn.Module, variables: Mapping[str, Any], images: jax.Array, name: str
    ) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
        def up(images: jax.Array) -> jax.Array:
            return tapped(model, variables, images, name)

        maps, back = jax.vjp(jax.jit(up if rule is None else replaced(up, rule)), images)
        return maps, jax.jit(lambda down: back(down)[0])

    return run


def replaced(function: Callable[[jax.Array], jax.Array], rule: Rule) -> Callable[[jax.Array], jax.Array]:
    """The same function with a rule for its rectifiers, and with what normalises over channels skipped on the way down."""

    def instead(equation: Any, inputs: Sequence[Any]) -> list[Any]:
        name = program.called(equation)
        if name == _RECTIFIER:
            return [rule(inputs[0])]
        outputs = program.apply(equation, inputs)
        return [_skip(outputs[0], inputs[0])] if name == _NORMALISATION else outputs

    def run(x: jax.Array) -> jax.Array:
        closed = jax.make_jaxpr(function)(x)
        found: jax.Array = program.run(closed.jaxpr, closed.consts, [x], instead)[0]
        return found

    return run
