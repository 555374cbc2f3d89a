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
and branches, which are linear; other activations have their gradient, and products too. So where squeeze and excitation
multiplies maps by gates, what comes down goes both ways: to the maps, times the gates, and through the gates to what was
squeezed, with a rectifier between its two layers under the same rule as any. Saliency takes the gradient of normalisation
over channels too, the other two skip it.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pandas

from cnnjax import errors
from cnnjax.analysis import features, program
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
    place: tuple[int, int] | np.ndarray | None = None,
    method: str = "deconvnet",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Projects one activation of a feature, for each image, back to its pixels.

    Args:
      model: the network, in evaluation.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``.
      name: of a tap or module.
      channel: which feature of it.
      place: row and column, in all images or ``[N, 2]``; ``None``: where it is strongest in each. A vector of features is a map
        of one place.
      method: of :data:`METHODS`.

    Returns:
      The projections ``[N, H, W, C]``, in the units of the preprocessed images; the activations ``[N]``; their places
      ``[N, 2]``. What goes down is the activation's size: saliency is the gradient times that.

    Raises:
      UserError: no such tap, channel, place or method, or no images.
    """
    if method not in METHODS:
        raise errors.unknown("method", method, METHODS)
    model, variables = unrolled(model, variables)
    shape = jax.eval_shape(functools.partial(tapped, model, name=name), variables, images).shape
    if len(shape) not in (2, 4):
        raise errors.UserError(f"{name} has no map and no vector of features: its shape is {shape[1:]}")
    if not 0 <= channel < shape[-1]:
        raise errors.UserError(f"{name} has no feature {channel}; they are numbered 0 to {shape[-1] - 1}")
    extent, at = shape[1:-1] or (1, 1), None
    if place is not None:
        asked = np.broadcast_to(place, (len(images), 2))
        if len(odd := asked[((asked < 0) | (asked >= extent)).any(1)]):
            raise errors.UserError(f"{name} has no place {tuple(odd[0].tolist())}: its map is {extent[0]}×{extent[1]}")
        at = np.ravel_multi_index(tuple(asked.T), extent)
    back, activations, chosen = _projected(model, variables, images, name, method, channel, at)
    return np.asarray(back), np.asarray(activations), np.stack(np.unravel_index(chosen, extent), 1)


def reconstructions(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: jax.Array,
    rows: pandas.DataFrame,
    name: str,
    method: str = "deconvnet",
) -> np.ndarray:
    """What goes back to pixels from features where they are strongest. Zeiler & Fergus 2013, Fig. 2.

    Args:
      model: the network, in evaluation.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``.
      rows: of `cnnjax.analysis.features.strongest` on these images.
      name: of the layer.
      method: of :data:`METHODS`.

    Returns:
      A projection of each row, ``[rows, H, W, C]``; `cnnjax.analysis.features.patches` cuts out the windows.
    """
    found = np.zeros((len(rows), *images.shape[1:]), np.float32)
    for channel in rows["channel"].unique():
        chosen = (rows["channel"] == channel).to_numpy()
        each = rows[chosen]
        shown, places = images[each["image"].to_numpy()], each[["y", "x"]].to_numpy()
        found[chosen] = project(model, variables, shown, name, int(channel), places, method)[0]
    return found


def evolution(
    model: nn.Module,
    states: Iterable[tuple[int, Mapping[str, Any]]],
    batches: Sequence[jax.Array],
    name: str,
    channels: Sequence[int],
) -> dict[int, dict[int, np.ndarray]]:
    """A feature's strongest activation among images, projected to pixels, over training. Zeiler & Fergus 2013, §3.2, Fig. 4.

    Args:
      model: the network, in evaluation.
      states: step and variables of one checkpoint after the other.
      batches: preprocessed images ``[N, H, W, C]``; at each checkpoint another one may be the strongest.
      name: of the layer.
      channels: which features.

    Returns:
      Step → feature → projection ``[H, W, C]``.

    Raises:
      UserError: there is no image, or no such layer or feature.
    """
    if not batches:
        raise errors.UserError("there is no image to project a feature to")
    images, found = jnp.concatenate(batches), dict[int, dict[int, np.ndarray]]()
    for step, variables in states:
        best = features.strongest(model, variables, batches, name, channels, 1)
        found[step] = {
            channel: project(model, variables, images[image][None], name, channel)[0][0]
            for channel, image in zip(best["channel"], best["image"], strict=True)
        }
    return found


@functools.partial(jax.jit, static_argnames=("model", "name", "method"))
def _projected(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: jax.Array,
    name: str,
    method: str,
    channel: int,
    place: np.ndarray | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Projections, activations and places, counted row by row; one program for all features and checkpoints."""

    def up(images: jax.Array) -> jax.Array:
        return tapped(model, variables, images, name)

    rule = METHODS[method]
    maps, back = jax.vjp(up if rule is None else replaced(up, rule), images)
    values = maps[..., channel].reshape(len(maps), -1)
    chosen = values.argmax(1) if place is None else jnp.asarray(place)
    alone = jnp.where(jnp.arange(values.shape[1]) == chosen[:, None], values, 0)
    # What raises the feature is asked for, also where it is negative: before an activation, or a logit.
    down = jnp.zeros_like(maps).at[..., channel].set(jnp.abs(alone).reshape(maps.shape[:-1]))
    return back(down)[0], alone.sum(1), chosen


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
