"""Darknet's files of weights, and the networks of ours that compute what its networks do.

A file is a header (three int32 of version, and a count of images, int64 from version 0.2 on) and then numbers of float32 in
the order of the layers; of a convolution: biases; where it is normalised scales, means and variances; the kernel ``[out, in,
kh, kw]``. Nothing in it has a name: its size alone tells whether it fits.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnjax import errors
from cnnjax.data.picture import Picture
from cnnjax.interop.counterpart import Counterpart

_FIELDS = {"bn_momentum": 0.99, "bn_epsilon": 2e-6}
# Darknet adds 1e-6 to the standard deviation: at a variance of one this is the same.

_PICTURE = Picture(224, 224, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

COUNTERPARTS = [Counterpart(name, name, _FIELDS, [], _PICTURE) for name in ("darknet19", "extraction")]


def read(path: pathlib.Path, shapes: dict[str, tuple[int, ...]], order: list[str]) -> dict[str, np.ndarray]:
    """A network's leaves by our paths.

    Args:
      path: the file.
      shapes: of all leaves, by path.
      order: convolutions, in the order of the layers.

    Raises:
      UserError: the file is too long or too short for the network.
    """
    content = path.read_bytes()
    major, minor = np.frombuffer(content[:8].ljust(8, b"\0"), "<i4").tolist()
    numbers = content[20 if major * 10 + minor >= 2 else 16 :]
    wanted = [(leaf, shapes[leaf]) for conv in order for leaf in _leaves(conv, shapes)]
    size = sum(int(np.prod(shape)) for _, shape in wanted)
    if len(numbers) != 4 * size:
        raise errors.UserError(
            f"{path} holds {len(numbers) / 4:,.10g} numbers after its header, and the network has {size:,}; give "
            "num_classes=N if it is not 1000"
        )
    values, found, start = np.frombuffer(numbers, "<f4"), {}, 0
    for leaf, shape in wanted:
        piece = values[start : start + int(np.prod(shape))]
        start += len(piece)
        # Ours are [kh, kw, in, out].
        found[leaf] = piece.reshape(shape[3], shape[2], *shape[:2]).transpose(2, 3, 1, 0) if len(shape) == 4 else piece
    return found


def _leaves(conv: str, shapes: dict[str, Any]) -> Iterator[str]:
    norm = conv.replace("conv", "norm", 1)
    if f"params/{norm}/bias" in shapes:
        yield from (
            f"params/{norm}/bias",
            f"params/{norm}/scale",
            f"batch_stats/{norm}/mean",
            f"batch_stats/{norm}/var",
        )
    else:
        yield f"params/{conv}/bias"
    yield f"params/{conv}/kernel"
