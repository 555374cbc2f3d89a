"""What is known of the pixels of a training set: their mean and deviation, their colours, how they vary together."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from cnnjax import data, errors
from cnnjax.data.picture import Picture
from cnnjax.ops import contrast

Images = np.ndarray


def statistics(images: Images, kind: str) -> tuple[np.ndarray, float | np.ndarray]:
    """Mean image ``[H, W, C]`` and the standard deviation of all centred pixels, of uint8 ``images [N, H, W, C]``.

    ``kind`` is what is done to their contrast first, see :data:`cnnjax.ops.contrast.KINDS`.
    """
    total = sum(piece.sum(0, dtype=np.float64) for piece in _pieces(images, kind))
    mean = total / len(images)
    squares = sum(float(np.square(piece - mean).sum()) for piece in _pieces(images, kind))
    return mean.astype(np.float32), float(np.sqrt(squares / images.size)) or 1.0


def given(picture: Picture, train: data.Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale with which weights were trained, for images of this set.

    Raises:
      UserError: they are for another number of channels.
    """
    shape, unit = train.images.shape[1:], 1 if picture.contrast else train.white
    if len(picture.std) != shape[-1]:
        raise errors.UserError(
            f"init.weights are for {len(picture.std)} channels, and the images of {train.name} have {shape[-1]}"
        )
    mean = np.asarray(picture.mean, np.float32)
    if mean.ndim > 1 and mean.shape != shape:
        mean = mean.mean((0, 1))
    return np.broadcast_to(mean * unit, shape), np.asarray(picture.std, np.float32) * unit


def channels(mean: np.ndarray) -> np.ndarray:
    """One mean a channel, at every pixel."""
    return np.broadcast_to(mean.mean((0, 1)), mean.shape)


def components(images: Images, white: int) -> np.ndarray:
    """Principal components of the colours of all pixels of ``images [N, H, W, C]``, each times its eigenvalue.

    Krizhevsky et al. 2012, §4.1. An eigenvalue is a square of pixels: it is that of images whose white is one, without which
    the paper's shifts would be beyond all colours; the result is in the images' own unit.
    """
    channels, count = images.shape[-1], images.size // images.shape[-1]
    total, products = np.zeros(channels), np.zeros((channels, channels))
    for piece in np.array_split(images, max(1, len(images) // 1000)):
        pixels = piece.reshape(-1, channels).astype(np.float64)
        total += pixels.sum(0)
        products += pixels.T @ pixels
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    return (vectors * (values / white)).astype(np.float32)


def whitening(
    images: Images, kind: str, mean: np.ndarray, scale: float | np.ndarray, how: str, epsilon: float
) -> np.ndarray | None:
    """The matrix that whitens images of this set, see :func:`cnnjax.ops.contrast.whitening`; ``None`` for no ``how``.

    Args:
      images: uint8 ``[N, H, W, C]``.
      kind: what is done to their contrast first.
      mean, scale: what is subtracted then, and divided by.
      how: of :data:`cnnjax.ops.contrast.WHITENINGS`.
      epsilon: added to the eigenvalues of the covariance.

    Raises:
      UserError: an unknown ``how``, or an epsilon that is not above 0.
    """
    if not how:
        return None
    size = images[0].size
    contrast.whitening(np.eye(1), epsilon, how)  # says what is wrong before minutes are spent
    covariance = np.zeros((size, size))
    for piece in _pieces(images, kind):
        rows = ((piece - mean) / scale).reshape(len(piece), size).astype(np.float32)
        covariance += rows.T @ rows
    return contrast.whitening(covariance / len(images), epsilon, how)


def _pieces(images: Images, kind: str) -> Iterator[np.ndarray]:
    """In pieces: a float copy of the whole set would be eight times its size."""
    change = contrast.kind(kind)
    for piece in np.array_split(images, max(1, len(images) // 5000)):
        yield np.asarray(change(jnp.asarray(piece, jnp.float32)), np.float64) if kind else piece
