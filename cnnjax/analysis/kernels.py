"""Kernels that are written by hand: what a convolution can do before anything is learned."""

import jax.numpy as jnp
import numpy as np

from cnnjax.ops.convolution import correlate

_LINE = np.zeros((7, 7))
_LINE[:, 3] = 1

KERNELS = {
    "identity": np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    "vertical lines": _LINE,
    "horizontal lines": _LINE.T,
    "box blur": np.ones((3, 3)) / 9,
    "Gaussian blur": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "edges": np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "Sobel, vertical edges": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "Sobel, horizontal edges": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    "emboss": np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
}
"""Name → ``[h, w]``. The lines are those of Géron 2019, chapter 14: ones down or across the middle of seven pixels."""


def respond(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A grey image ``[H, W]`` under a kernel ``[h, w]``: float32 of the same size, with zeros beyond the edges.

    As in networks the kernel is not turned.
    """
    maps = jnp.asarray(image, jnp.float32)[None, :, :, None]
    return np.asarray(correlate(maps, jnp.asarray(kernel, jnp.float32)[:, :, None, None], padding="same"))[0, :, :, 0]
