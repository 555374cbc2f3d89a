"""Darknet's files of weights, and the networks of ours that compute what its networks do.

A file is a header (three int32 of version, and a count of images, int64 from version 0.2 on) and then numbers of float32 in
the order of the layers; of a convolution: biases; where it is normalised scales, means and variances; the kernel ``[out, in,
kh, kw]``. Nothing in it has a name: its size alone tells whether it fits.
"""

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from cnnjax import errors
from cnnjax.data.picture import Picture
from cnnjax.interop.convert import Place
from cnnjax.interop.counterpart import Counterpart
from cnnjax.interop.names import Rule

_FIELDS = {"bn_momentum": 0.99, "bn_epsilon": 2e-6}
# Darknet adds 1e-6 to the standard deviation: at a variance of one this is the same.

_PICTURE = Picture(224, 224, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

_RULES: list[Rule] = [(r"(conv|norm)(\d+)", "{1}.{0}")]
"""Layers have numbers; the rest of the name is ours."""

_ORDER = ("bn.bias", "conv.bias", "bn.weight", "bn.running_mean", "bn.running_var", "conv.weight")

COUNTERPARTS = [Counterpart(name, name, _FIELDS, _RULES, _PICTURE) for name in ("darknet19", "extraction")]


def read(path: pathlib.Path, places: Sequence[Place]) -> dict[str, np.ndarray]:
    """A file's numbers, as what a network expects.

    Raises:
      UserError: the file is too long or too short for the network.
    """
    content = path.read_bytes()
    major, minor = np.frombuffer(content[:8].ljust(8, b"\0"), "<i4").tolist()
    numbers = content[20 if major * 10 + minor >= 2 else 16 :]
    size = sum(math.prod(place.shape) for place in places)
    if len(numbers) != 4 * size:
        raise errors.UserError(
            f"{path} holds {len(numbers) / 4:,.10g} numbers after its header, and the network has {size:,}; give "
            "num_classes=N if it is not 1000"
        )
    values, found, start = np.frombuffer(numbers, "<f4"), {}, 0
    for place in sorted(places, key=_rank):
        end = start + math.prod(place.shape)
        found[place.theirs] = values[start:end].reshape(place.their_shape)
        start = end
    return found


def _rank(place: Place) -> tuple[int, int]:
    layer, _, leaf = place.theirs.partition(".")
    return int(layer), _ORDER.index(leaf)
