"""What a network is given: images and their labels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors


def check_images(images: jax.Array | np.ndarray) -> None:
    """Raises a `UserError` where these are no images ``[N, H, W, C]``, at least one, of floating-point numbers."""
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise errors.UserError(
            f"images are floating-point numbers [N, H, W, C], not {images.dtype} of shape {tuple(images.shape)}"
        )
    if not images.size:
        raise errors.UserError(f"there is no image, or it has no pixels: the shape of images is {tuple(images.shape)}")


def check_finite(name: str, values: np.ndarray) -> None:
    """Raises a `UserError` where one of ``values``, which an error calls ``name``, is infinite or no number."""
    if not np.isfinite(values).all():
        raise errors.UserError(
            f"{name} have values that are not finite: {int((~np.isfinite(values)).sum())} of {values.size}"
        )


def checked_labels(labels: Any, count: int, classes: int) -> np.ndarray:
    """The classes of so many images, int ``[count]``.

    Args:
      labels: of each image its class; what is traced cannot be checked.
      count: of images.
      classes: of the network.

    Raises:
      UserError: there are more or fewer, or one that is no class of the network.
    """
    found = np.asarray(labels)
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise errors.UserError(
            f"labels are whole numbers, one for each of {count} images, not {found.dtype} of shape {found.shape}"
        )
    if len(odd := found[(found < 0) | (found >= classes)]):
        raise errors.UserError(f"there is no class {odd[0]}; they are numbered 0 to {classes - 1}")
    return found
