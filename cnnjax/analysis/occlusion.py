"""What a network says of an image of which parts are hidden. Zeiler & Fergus 2013, §4.2 and Fig. 7; §4.3 and Table 1."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.analysis.layers import tapped, unrolled
from cnnjax.nn import inputs


@dataclasses.dataclass(frozen=True)
class Occlusion:
    """One image under an occluder at each of its places.

    Attributes:
      tops, lefts: first row ``[rows]`` and first column ``[columns]`` of the occluder at each place.
      probability: of the class, ``[rows, columns]``.
      best: the most probable class, ``[rows, columns]``.
      feature: which feature of the layer is the strongest, its values summed over the map, on the whole image.
      activation: the sum of its values, ``[rows, columns]``.
      whole: probability of the class and that sum on the whole image.
    """

    tops: np.ndarray
    lefts: np.ndarray
    probability: np.ndarray
    best: np.ndarray
    feature: int
    activation: np.ndarray
    whole: tuple[float, float]


def occlude(
    model: nn.Module,
    variables: Mapping[str, Any],
    image: jax.Array,
    label: int,
    name: str,
    size: int,
    stride: int = 1,
    value: float | Sequence[float] = 0.0,
    batch: int = 64,
) -> Occlusion:
    """Slides a square over an image, over its edges too, so that each pixel is hidden as often.

    Args:
      model: the network, in evaluation.
      variables: of it.
      image: preprocessed, ``[H, W, C]``.
      label: the class whose probability is asked.
      name: of the tap or module whose strongest feature is followed.
      size: of the square, in pixels.
      stride: from one place to the next, in pixels.
      value: of the square, for each channel or all; 0 is the mean colour where that was subtracted.
      batch: images at a time.

    Raises:
      UserError: no such layer or class, no image, a square or stride of no pixels, a square as large as the image, or of other
        channels.
    """
    inputs.check_images(image[None])
    height, width, channels = image.shape
    colour = _colour(value, channels, image.dtype)
    if not 1 <= size < min(height, width) or stride < 1:
        raise errors.UserError(
            f"a square of {size} pixels every {stride}: it is at least 1 and smaller than the image of {height}×{width}"
        )
    ask = _asker(model, variables, name)
    logits, maps = ask(image[None])
    inputs.checked_labels([label], 1, logits.shape[-1])
    feature = int(maps[0].argmax())
    whole = float(jax.nn.softmax(logits[0])[label]), float(maps[0, feature])
    tops, lefts = (np.arange(1 - size, extent, stride) for extent in (height, width))
    rows, columns = np.arange(height), np.arange(width)
    hidden = [
        ((rows >= top) & (rows < top + size))[:, None] & ((columns >= left) & (columns < left + size))[None]
        for top in tops
        for left in lefts
    ]
    probability, best, activation = [], [], []
    for first in range(0, len(hidden), batch):
        part = hidden[first : first + batch]
        # The last batch is filled up: one program for all of them.
        masks = jnp.asarray(np.stack(part + part[-1:] * (batch - len(part))))[..., None]
        logits, maps = ask(jnp.where(masks, colour, image[None]))
        chances = np.asarray(jax.nn.softmax(logits))[: len(part)]
        probability.append(chances[:, label])
        best.append(chances.argmax(1))
        activation.append(np.asarray(maps)[: len(part), feature])
    grid = len(tops), len(lefts)
    joined = (np.concatenate(each).reshape(grid) for each in (probability, best, activation))
    found = dict(zip(("probability", "best", "activation"), joined, strict=True))
    return Occlusion(tops=tops, lefts=lefts, feature=feature, whole=whole, **found)


def correspondence(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: jax.Array,
    corners: Sequence[tuple[int, int]],
    name: str,
    size: int,
    value: float | Sequence[float] = 0.0,
) -> float:
    """Whether hiding the same part of several images changes a layer's features in the same way: smaller is more alike.

    Zeiler & Fergus 2013, §4.3: with ε the change of an image's feature vector, the mean over pairs of images of the share of
    features in which the signs of ε differ. (The paper sums over pairs; its Table 1 has values of a mean.)

    Args:
      model: the network, in evaluation.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``, at least two.
      corners: first row and column of the part in each image.
      name: of the tap or module.
      size: of the square that hides it, in pixels.
      value: of the square.

    Raises:
      UserError: no such layer, fewer than two images, another number of corners, a corner that is not in the image, or a square
        of other channels.
    """
    inputs.check_images(images)
    count, height, width, channels = images.shape
    if count < 2 or len(corners) != count:
        raise errors.UserError(
            f"at least two images are compared, each with a corner of its own: {count} images, {len(corners)} corners"
        )
    if size < 1 or any(not (0 <= y < height and 0 <= x < width) for y, x in corners):
        raise errors.UserError(f"a square of {size} pixels does not lie in the images at each of {list(corners)}")
    model, variables = unrolled(model, variables)
    rows, columns = np.arange(height), np.arange(width)
    masks = np.stack(
        [((rows >= y) & (rows < y + size))[:, None] & ((columns >= x) & (columns < x + size))[None] for y, x in corners]
    )[..., None]

    @jax.jit
    def features(images: jax.Array, variables: Any) -> jax.Array:
        return tapped(model, variables, images, name).reshape(len(images), -1)

    changed = jnp.where(jnp.asarray(masks), _colour(value, channels, images.dtype), images)
    signs = np.sign(np.asarray(features(images, variables)) - np.asarray(features(changed, variables)))
    pairs = [(signs[i] != signs[j]).mean() for i in range(count) for j in range(i)]
    return float(np.mean(pairs))


def _colour(value: float | Sequence[float], channels: int, dtype: Any) -> jax.Array:
    """What hides a part: a number, or one for each channel."""
    if (given := np.shape(value)) not in ((), (channels,)):
        raise errors.UserError(
            f"the square's value is a number, or one for each of {channels} channels, not of shape {given}"
        )
    return jnp.asarray(value, dtype)


def _asker(model: nn.Module, variables: Mapping[str, Any], name: str) -> Any:
    """Images → logits, and each feature of a layer summed over its map."""
    model, variables = unrolled(model, variables)

    @jax.jit
    def ask(images: jax.Array, variables: Any) -> tuple[jax.Array, jax.Array]:
        logits: Any = model.apply(variables, images)[0]
        maps = tapped(model, variables, images, name)
        return logits, maps.reshape(len(maps), -1, maps.shape[-1]).sum(1)

    return lambda images: ask(images, variables)
