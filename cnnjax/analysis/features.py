"""What the features of a layer respond to: the strongest activations in a set, invariance, neighbours, and first filters."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pandas
from scipy import ndimage

from cnnjax import errors
from cnnjax.analysis.layers import evaluated, forward, picked, tapped
from cnnjax.analysis.receptive_field import Field
from cnnjax.nn import inputs


def strongest(
    model: nn.Module,
    variables: Mapping[str, Any],
    batches: Iterable[jax.Array],
    name: str,
    channels: Sequence[int] | None = None,
    count: int = 9,
) -> pandas.DataFrame:
    """The images in which each feature is strongest, each image once. Zeiler & Fergus 2013, §3.1 and Fig. 2.

    Args:
      model: the network, in evaluation.
      variables: of it.
      batches: preprocessed images ``[N, H, W, C]``.
      name: of a tap or module.
      channels: which features; ``None``: all.
      count: images for each feature.

    Returns:
      Columns ``channel``, ``rank`` (from 0), ``image`` (its number in the batches), ``y``, ``x`` (place in the map, 0 where
      there is none) and ``activation``. Of equal activations the earlier image comes first.

    Raises:
      UserError: no such layer or feature, no image, or a number below 1.
    """
    if count < 1:
        raise errors.UserError(f"at least one image is asked for, not {count}")
    found = evaluated(_peaks, model, variables, batches, name)
    peak, above, left = (np.concatenate(each) for each in zip(*found, strict=True))
    chosen = range(peak.shape[1]) if channels is None else channels
    if odd := [each for each in chosen if not 0 <= each < peak.shape[1]]:
        raise errors.UserError(f"{name} has no feature {odd[0]}; they are numbered 0 to {peak.shape[1] - 1}")
    rows = []
    for channel in chosen:
        order = np.argsort(-peak[:, channel], kind="stable")[:count]
        for rank, image in enumerate(order):
            y, x = int(above[image, channel]), int(left[image, channel])
            rows.append((channel, rank, int(image), y, x, float(peak[image, channel])))
    return pandas.DataFrame(rows, columns=("channel", "rank", "image", "y", "x", "activation"))


def _peaks(model: nn.Module, variables: Any, images: jax.Array, name: str) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The largest value of each feature in each image, and its row and column, all ``[N, features]``."""
    maps = tapped(model, variables, images, name)
    maps = maps[:, None, None] if maps.ndim == 2 else maps
    if maps.ndim != 4:
        raise errors.UserError(f"{name} has no map and no vector of features: its shape is {maps.shape[1:]}")
    flat = maps.reshape(len(maps), -1, maps.shape[-1])
    return flat.max(1), *jnp.divmod(flat.argmax(1), maps.shape[2])


def patches(images: np.ndarray, rows: pandas.DataFrame, field: Field | None) -> list[np.ndarray]:
    """The part of an image that each feature sees where it is strongest.

    Args:
      images: one a row, ``[rows, H, W, C]``.
      rows: of :func:`strongest`.
      field: of the layer, see `cnnjax.analysis.receptive_field`; ``None``: there is none.

    Returns:
      Of each row ``[h, w, C]``; what lies beyond the image's edges is NaN. The whole image where the layer has one place
      only, its places have no window, or that is as large as the image.
    """
    if field is None or not is_part(field, images.shape[1:]):
        return list(images)
    return [patch(image, field, y, x, np.nan) for image, y, x in zip(images, rows["y"], rows["x"], strict=True)]


def is_part(field: Field, shape: Sequence[int]) -> bool:
    """Whether a place sees a part only of an image ``[H, W, C]``."""
    axes = ((field.height, shape[0]), (field.width, shape[1]))
    windows = all(axis.size is not None and axis.size < extent for axis, extent in axes)
    return windows and field.height.places * field.width.places > 1


def patch(image: np.ndarray, field: Field, y: int, x: int, fill: float = 0.0) -> np.ndarray:
    """The part of an image that the feature at (y, x) sees; what lies beyond the edges is ``fill``.

    Args:
      image: ``[H, W, C]``.
      field: of the layer, see `cnnjax.analysis.receptive_field`.
      y, x: place in its map.
      fill: value of padding.

    Raises:
      UserError: there is no such place or no window.
    """
    (top, bottom), (left, right) = field.window(y, x)
    height, width = image.shape[:2]
    found = np.full((bottom - top, right - left, image.shape[2]), fill, image.dtype)
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[rows, columns]
    return found


def _shift(image: np.ndarray, amount: float) -> np.ndarray:
    return ndimage.shift(image, (amount, 0, 0), order=1, mode="nearest")


def _scale(image: np.ndarray, amount: float) -> np.ndarray:
    """About the middle, with what comes in repeating the edge."""
    middle = (np.array(image.shape) - 1) / 2
    factors = np.array([1 / amount, 1 / amount, 1.0])
    return ndimage.affine_transform(image, factors, middle - factors * middle, order=1, mode="nearest")


def _rotate(image: np.ndarray, amount: float) -> np.ndarray:
    return ndimage.rotate(image, amount, axes=(0, 1), reshape=False, order=1, mode="nearest")


TRANSFORMS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "translation": _shift,
    "scale": _scale,
    "rotation": _rotate,
}
"""Name → (image ``[H, W, C]``, pixels downwards, a factor, or degrees) → image, between pixels by linear interpolation."""


def invariance(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: np.ndarray,
    labels: Sequence[int],
    transform: str,
    amounts: Sequence[float],
    names: Sequence[str],
) -> pandas.DataFrame:
    """How far features move, and what becomes of the class, when an image is moved. Zeiler & Fergus 2013, §4.1 and Fig. 5.

    Args:
      model: the network, in evaluation.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``.
      labels: class of each.
      transform: of :data:`TRANSFORMS`.
      amounts: pixels, factors or degrees.
      names: of taps or modules.

    Returns:
      One row an image and amount: ``image``, ``amount``, ``probability`` of its class, and for each name the Euclidean
      distance of the features from those of the image as it is.

    Raises:
      UserError: no such transform or layer, no image or one that is not finite, no amount, a factor that is not positive, or
        no class of the network for each image.
    """
    inputs.check_images(images)
    inputs.check_finite("images", np.asarray(images))
    if transform not in TRANSFORMS:
        raise errors.unknown("transform", transform, TRANSFORMS)
    if not len(amounts):
        raise errors.UserError(f"there is no amount of {transform}")
    if transform == "scale" and min(amounts) <= 0:
        raise errors.UserError(f"a factor of scale is positive, not {min(amounts)}")
    moved = (
        jnp.asarray(np.stack([image, *(TRANSFORMS[transform](image, amount) for amount in amounts)]), image.dtype)
        for image in np.asarray(images)
    )
    answers = [*evaluated(_answers, model, variables, moved, *names)]
    wanted = inputs.checked_labels(labels, len(images), answers[0][0].shape[1])
    rows = []
    for number, ((chances, found), label) in enumerate(zip(answers, wanted, strict=True)):
        distances = {name: np.linalg.norm(each[1:] - each[:1], axis=1) for name, each in found.items()}
        for place, amount in enumerate(amounts):
            row = {"image": number, "amount": amount, "probability": float(chances[1 + place, label])}
            rows.append(row | {name: float(each[place]) for name, each in distances.items()})
    return pandas.DataFrame(rows)


def _answers(
    model: nn.Module, variables: Any, images: jax.Array, *names: str
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Probabilities ``[N, classes]``, and what some layers put out, ``[N, features]``."""
    logits, found = forward(model, variables, images)
    return jax.nn.softmax(logits), {name: each.reshape(len(each), -1) for name, each in picked(found, *names).items()}


def neighbours(features: np.ndarray, queries: np.ndarray, count: int = 5) -> np.ndarray:
    """The nearest in feature space, by Euclidean distance. Krizhevsky et al. 2012, §6.1, Fig. 4.

    Args:
      features: ``[N, ...]``, of the images that are looked among.
      queries: ``[M, ...]``.
      count: neighbours of each query.

    Returns:
      int ``[M, count]``, the nearest first.

    Raises:
      UserError: there are not so many, or the shapes differ.
    """
    if not 1 <= count <= len(features) or features.shape[1:] != queries.shape[1:]:
        raise errors.UserError(
            f"{count} neighbours among {len(features)} of shape {features.shape[1:]} for one of {queries.shape[1:]}"
        )
    flat, asked = (each.reshape(len(each), -1).astype(np.float64) for each in (features, queries))
    distances = (asked**2).sum(1)[:, None] - 2 * asked @ flat.T + (flat**2).sum(1)
    return np.argsort(distances, axis=1, kind="stable")[:, :count]


@dataclasses.dataclass(frozen=True)
class Filters:
    """The filters of a first layer.

    Attributes:
      energy: root mean square of each, ``[maps]``.
      frequency: where the energy of each lies on average, in cycles a pixel, ``[maps]``: 0.5 of stripes a pixel wide, √½ of a
        chessboard, which has that frequency along both axes.
      dead: those with at most a hundredth of the largest energy; all, where no filter has any.
      aliased: those, not dead, whose mean frequency along an axis is above what the stride can carry, 1 / (2 · stride). At a
        stride of one pixel there is none.
    """

    energy: np.ndarray
    frequency: np.ndarray
    dead: np.ndarray
    aliased: np.ndarray


def filters(kernel: np.ndarray, stride: int) -> Filters:
    """Dead filters, and filters of frequencies that a stride folds. Zeiler & Fergus 2013, §4.1: both in AlexNet's first layer.

    Args:
      kernel: ``[h, w, channels, maps]``.
      stride: of the layer.

    Raises:
      UserError: this is no kernel of a convolution, or one that is not finite.
    """
    kernel = np.asarray(kernel, np.float64)
    if kernel.ndim != 4 or not kernel.size:
        raise errors.UserError(f"filters are a kernel [h, w, channels, maps], not of shape {kernel.shape}")
    inputs.check_finite("filters", kernel)
    energy = np.sqrt((kernel**2).mean((0, 1, 2)))
    power = (np.abs(np.fft.fft2(kernel, axes=(0, 1))) ** 2).sum(2)
    along = np.abs(np.stack(np.meshgrid(*map(np.fft.fftfreq, kernel.shape[:2]), indexing="ij")))
    total = power.sum((0, 1))
    share = power / np.where(total > 0, total, 1)
    vertical, horizontal, frequency = (np.tensordot(each, share) for each in (*along, np.hypot(*along)))
    dead = energy <= energy.max() / 100
    # What a stride just carries is off by rounding.
    folded = np.maximum(vertical, horizontal) > (1 + 1e-9) / (2 * stride)
    return Filters(energy, frequency, dead, folded & ~dead)
