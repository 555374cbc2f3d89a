"""The contrast of images, and whitening: what was done to pixels where nothing normalised the layers behind them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.ops.convolution import spatially_separable

_REACH = 4


def _least(images: jax.Array) -> jax.Array:
    """Deviations below it are rounding: that of an image of a single value is not made 1."""
    return 1e-5 * jnp.abs(images).max((1, 2, 3), keepdims=True) + 1e-30


def global_contrast(images: jax.Array) -> jax.Array:
    """Each of ``images [N, H, W, C]`` with mean 0 and deviation 1 over its pixels and channels; one of a single value is 0.

    Goodfellow et al. 2013 (*Maxout Networks*), whose images Lin et al. 2013, §4, take: every image of the same length.
    """
    centred = images - images.mean((1, 2, 3), keepdims=True)
    return centred / jnp.maximum(jnp.sqrt((centred**2).mean((1, 2, 3), keepdims=True)), _least(images))


def local_contrast(images: jax.Array) -> jax.Array:
    """Each pixel minus the mean around it, divided by the deviation around it, both over all channels.

    Jarrett et al. 2009: ``v = x − Σ w x``, ``y = v / max(c, σ)`` with ``σ² = Σ w v²`` and ``c`` the mean of σ over the image;
    w is a Gaussian of 9×9 pixels. Ours: its deviation, 2 pixels, and that at the edges only what is inside of the image counts.

    Args:
      images: ``[N, H, W, C]``.
    """
    offsets = jnp.arange(-_REACH, _REACH + 1)
    window = jnp.exp(-((offsets / (_REACH / 2)) ** 2) / 2)

    def around(values: jax.Array) -> jax.Array:
        of_channels = values.mean(-1, keepdims=True)
        smooth = lambda x: spatially_separable(x, [window, window], _REACH)  # noqa: E731
        return smooth(of_channels) / smooth(jnp.ones_like(of_channels))

    centred = images - around(images)
    deviation = jnp.sqrt(around(centred**2))
    return centred / jnp.maximum(jnp.maximum(deviation, deviation.mean((1, 2, 3), keepdims=True)), _least(images))


KINDS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "": lambda images: images,
    "global": global_contrast,
    "local": local_contrast,
}
"""What can be done to the contrast of images, by name."""
WHITENINGS = ("", "pca", "zca")


def kind(name: str) -> Callable[[jax.Array], jax.Array]:
    """The function of :data:`KINDS`; raises a `UserError` where there is none of the name."""
    if name not in KINDS:
        raise errors.unknown("contrast", name, KINDS)
    return KINDS[name]


def whitening(covariance: np.ndarray, epsilon: float, kind: str) -> np.ndarray:
    """The matrix ``[D, D]`` by which centred rows ``x [N, D]`` become decorrelated: ``x @ matrix``.

    With the eigenvalues λ and eigenvectors V of the covariance: ``pca`` is ``V (λ + ε)^-½``, coordinates along the axes of
    largest variance; ``zca`` turns them back, ``V (λ + ε)^-½ Vᵀ``, and of all such matrices moves pixels least (Bell &
    Sejnowski 1997). The covariance of the result has the eigenvalues ``λ / (λ + ε)``.

    Args:
      covariance: ``[D, D]``.
      epsilon: above 0; directions of less variance are left small.
      kind: of :data:`WHITENINGS`.

    Raises:
      UserError: an unknown kind, or an epsilon that is not above 0.
    """
    if kind not in WHITENINGS[1:]:
        raise errors.unknown("kind of whitening", kind, WHITENINGS[1:])
    if not 0 < epsilon < np.inf:
        raise errors.UserError(f"the epsilon of whitening is above 0, not {epsilon}")
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    scaled = vectors[:, ::-1] / np.sqrt(np.maximum(values[::-1], 0) + epsilon)
    return (scaled @ vectors[:, ::-1].T if kind == "zca" else scaled).astype(np.float32)
