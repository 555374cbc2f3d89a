"""Reads the weights that Keras has saved: ``.keras``, ``.weights.h5``, and the older ``.h5``, without Keras."""

import io
import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnjax import errors

_WEIGHTS = "model.weights.h5"

_MOST_BYTES = 2**32
"""Of what is unpacked: a small file can stand for endless zeros."""

_VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
"""Kind of layer → its variables, in the order in which the newer files number them."""


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The variables of a model's layers, as ``"layer/variable"``. Nothing else in the file is looked at.

    Raises:
      UserError: h5py is not installed, or the file is none of Keras, damaged, or cut short.
    """
    try:
        import h5py
    except ImportError:
        raise errors.UserError("Keras's files are read with h5py: pip install 'cnnjax[keras]'") from None
    content = path.read_bytes()
    try:
        if content.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if archive.getinfo(_WEIGHTS).file_size > _MOST_BYTES:
                    raise ValueError("its weights are larger than any network's here")
                content = archive.read(_WEIGHTS)
        with h5py.File(io.BytesIO(content), "r") as file:
            found = dict(_newer(file) if "layers" in file else _older(file.get("model_weights", file)))
    except (
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise errors.UserError(f"{path} is no file of Keras, damaged, or cut short: {error}") from None
    if not found:
        raise errors.UserError(f"{path} holds no weights of layers")
    for word in _NUMBERED:
        found = _from_zero(found, word)
    return found


_NUMBERED = ("conv2d", "batch_normalization")
"""Layers without a name of their own: Keras numbers all of a session, so that a second model's do not begin at zero."""


def _from_zero(found: dict[str, np.ndarray], word: str) -> dict[str, np.ndarray]:
    """With the layers of a word numbered from zero on (whose number is not written), if they are numbered without a gap."""
    pattern = re.compile(rf"{word}(?:_(\d+))?/")
    numbers = {name: int(match[1] or 0) for name in found if (match := pattern.match(name))}
    distinct = set(numbers.values())
    least = min(distinct, default=0)
    if not least or distinct != set(range(least, least + len(distinct))):
        return found

    def renamed(name: str) -> str:
        number = numbers[name] - least
        return f"{word}{f'_{number}' if number else ''}/{name.partition('/')[2]}"

    return {renamed(name) if name in numbers else name: array for name, array in found.items()}


def _newer(file: Any) -> Iterator[tuple[str, np.ndarray]]:
    for group in file["layers"].values():
        variables = group.get("vars")
        if variables is None or not len(variables):
            continue
        kind = re.sub(r"_\d+$", "", group.name.rpartition("/")[2])
        if kind not in _VARIABLES:
            raise ValueError(f"it has a layer of a kind that no network here has, {kind}")
        # Layers without a bias, or normalisation without a scale, have fewer: biases are last, scales first.
        names = _VARIABLES[kind]
        if len(variables) > len(names):
            raise ValueError(f"{group.name} has {len(variables)} variables; a layer of its kind has {', '.join(names)}")
        names = names[-len(variables) :] if kind == "batch_normalization" else names[: len(variables)]
        for number, name in enumerate(names):
            yield f"{variables.attrs['name']}/{name}", _array(variables[str(number)])


def _array(dataset: Any) -> np.ndarray:
    """The numbers of a dataset, which lie in this file: HDF5 can name other files, which would be read too."""
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies in another file")
    if dataset.dtype.kind not in "fiub" or dataset.nbytes > _MOST_BYTES:
        raise ValueError(f"{dataset.name} holds no numbers, or more than any layer here")
    return np.asarray(dataset)


def _older(file: Any) -> Iterator[tuple[str, np.ndarray]]:
    for layer, group in file.items():
        if not hasattr(group, "visititems"):
            continue
        places: list[tuple[str, Any]] = []
        group.visititems(lambda name, node, places=places: places.append((name, node)))
        arrays = [(name.rpartition("/")[2].partition(":")[0], node) for name, node in places if hasattr(node, "shape")]
        if twice := {name for name, _ in arrays if [each for each, _ in arrays].count(name) > 1}:
            raise ValueError(f"its layer {layer} has more than one {min(twice)}")
        for name, node in arrays:
            yield f"{layer}/{name}", _array(node)
