"""Reads the weights that Keras has saved: ``.keras``, ``.weights.h5``, and the older ``.h5``, without Keras."""

import io
import pathlib
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnjax import errors

_WEIGHTS = "model.weights.h5"

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
            content = zipfile.ZipFile(io.BytesIO(content)).read(_WEIGHTS)
        with h5py.File(io.BytesIO(content), "r") as file:
            found = dict(_newer(file) if "layers" in file else _older(file.get("model_weights", file)))
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise errors.UserError(f"{path} is no file of Keras, damaged, or cut short: {error}") from None
    if not found:
        raise errors.UserError(f"{path} holds no weights of layers")
    return found


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
        names = names[-len(variables) :] if kind == "batch_normalization" else names[: len(variables)]
        for number, name in enumerate(names):
            yield f"{variables.attrs['name']}/{name}", np.asarray(variables[str(number)])


def _older(file: Any) -> Iterator[tuple[str, np.ndarray]]:
    for layer, group in file.items():
        if not hasattr(group, "visititems"):
            continue
        found: dict[str, np.ndarray] = {}
        group.visititems(
            lambda name, node, found=found: (
                found.update({name.rpartition("/")[2].partition(":")[0]: np.asarray(node)})
                if hasattr(node, "shape")
                else None
            )
        )
        for name, array in found.items():
            yield f"{layer}/{name}", array
