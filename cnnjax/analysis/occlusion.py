"""What a network says of an image of which parts are hidden. Zeiler & Fergus 2013, §4.2 and Fig. 7; §4.3 and Table 1."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pandas

from cnnjax import errors
from cnnjax.analysis.layers import evaluated, forward, picked, tapped
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
    ((chances, sums),) = evaluated(_answers, model, variables, [image[None]], name)
    inputs.checked_labels([label], 1, chances.shape[-1])
    feature = int(sums[0].argmax())
    whole = float(chances[0, label]), float(sums[0, feature])
    tops, lefts = (np.arange(1 - size, extent, stride) for extent in (height, width))
    rows, columns = np.arange(height), np.arange(width)
    hidden = [
        ((rows >= top) & (rows < top + size))[:, None] & ((columns >= left) & (columns < left + size))[None]
        for top in tops
        for left in lefts
    ]
    # The last batch is filled up: one program for all of them.
    parts = (
        [*hidden[at : at + batch], *hidden[-1:] * (at + batch - len(hidden))] for at in range(0, len(hidden), batch)
    )
    changed = (jnp.where(np.stack(part)[..., None], colour, image[None]) for part in parts)
    answers = evaluated(_answers, model, variables, changed, name)
    chances, sums = (np.concatenate(each)[: len(hidden)] for each in zip(*answers, strict=True))
    grid = len(tops), len(lefts)
    probability, best = chances[:, label].reshape(grid), chances.argmax(1).reshape(grid)
    return Occlusion(tops, lefts, probability, best, feature, sums[:, feature].reshape(grid), whole)


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
    rows, columns = np.arange(height), np.arange(width)
    masks = np.stack(
        [((rows >= y) & (rows < y + size))[:, None] & ((columns >= x) & (columns < x + size))[None] for y, x in corners]
    )[..., None]
    changed = jnp.where(masks, _colour(value, channels, images.dtype), images)
    whole, hidden = evaluated(tapped, model, variables, [images, changed], name)
    signs = np.sign(whole - hidden).reshape(count, -1)
    pairs = [(signs[i] != signs[j]).mean() for i in range(count) for j in range(i)]
    return float(np.mean(pairs))


def _colour(value: float | Sequence[float], channels: int, dtype: Any) -> jax.Array:
    """What hides a part: a number, or one for each channel."""
    if (given := np.shape(value)) not in ((), (channels,)):
        raise errors.UserError(
            f"the square's value is a number, or one for each of {channels} channels, not of shape {given}"
        )
    return jnp.asarray(value, dtype)


def correspondences(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: jax.Array,
    parts: Sequence[tuple[str, Sequence[tuple[int, int]]]],
    names: Sequence[str],
    size: int,
    value: float | Sequence[float] = 0.0,
) -> pandas.DataFrame:
    """:func:`correspondence` of several parts in several layers. Zeiler & Fergus 2013, Table 1.

    Args:
      model, variables, images, size, value: as there.
      parts: what each is called, and its corner in each image; names may come again, as that of random parts does.
      names: of taps or modules.

    Returns:
      One row a layer and part: ``layer``, ``part`` and ``difference``.

    Raises:
      UserError: as :func:`correspondence`.
    """
    rows = [
        (name, part, correspondence(model, variables, images, corners, name, size, value))
        for name in names
        for part, corners in parts
    ]
    return pandas.DataFrame(rows, columns=("layer", "part", "difference"))


def _answers(model: nn.Module, variables: Any, images: jax.Array, name: str) -> tuple[jax.Array, jax.Array]:
    """Probabilities, and each feature of a layer summed over its map."""
    logits, found = forward(model, variables, images)
    maps = picked(found, name)[name]
    return jax.nn.softmax(logits), maps.reshape(len(maps), -1, maps.shape[-1]).sum(1)
