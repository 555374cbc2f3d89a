"""A network's weights in a file: safetensors in our names, with what they are the weights of beside them.

Nothing in such a file is executed. Scanned stages are stored block by block, so that it does not matter how they are computed.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
import safetensors
import safetensors.numpy

from cnnjax import errors, files, models
from cnnjax.data.picture import Picture
from cnnjax.interop import convert
from cnnjax.interop.names import listed
from cnnjax.nn import stacking
from cnnjax.nn.network import Network

NAME = "weights.safetensors"
"""Of the file in a run's folder."""

_FORMAT = "cnnjax"
_WHITENING = "picture/whitening"
_LARGEST = 16_384
"""Pixels, or channels."""


@dataclasses.dataclass(frozen=True)
class Record:
    """What weights are of.

    Attributes:
      model: a registered network's name.
      fields: of it, ``num_classes`` among them.
      input_shape: ``[H, W, C]`` of the images that it was made for.
      picture: how it wants pictures.
      classes: their names; empty where they are not known.
      origin: where the weights come from, for a reader.
      averaged: decay of the running average over training that they are; 0: they are those of the last step.
    """

    model: str
    fields: Mapping[str, Any]
    input_shape: tuple[int, int, int]
    picture: Picture
    classes: tuple[str, ...] = ()
    origin: str = ""
    averaged: float = 0.0

    def create(self) -> nn.Module:
        """The network."""
        return models.create(self.model, **self.fields)

    def check(self) -> None:
        """Raises a `UserError` where this is the record of no network."""
        model = self.create()
        if isinstance(model, Network):
            model.table()
        shape, classes = self.input_shape, self.classes
        if len(shape) != 3 or not all(type(each) is int and 0 < each <= _LARGEST for each in shape):
            raise errors.UserError(f"images are height × width × channels, not {shape!r}")
        if len(self.picture.std) != shape[-1]:
            raise errors.UserError(
                f"pictures have {len(self.picture.std)} channels by their mean and std, and the network takes {shape[-1]}"
            )
        if classes and (len(classes) != model.num_classes or not all(type(each) is str for each in classes)):
            raise errors.UserError(f"it names {len(classes)} classes, and the network has {model.num_classes}")


class Loaded(NamedTuple):
    """A network and its variables."""

    model: nn.Module
    variables: dict[str, Any]


def load(path: pathlib.Path | str) -> Loaded:
    """The network and the variables of a file of weights, or of a run that is finished.

    ``model, variables = load("resnet50.safetensors")``; `read` gives what else the file knows.

    Raises:
      UserError: see :func:`read`.
    """
    record, variables = read(path)
    return Loaded(record.create(), variables)


def read(path: pathlib.Path | str) -> tuple[Record, dict[str, Any]]:
    """What weights are of, and the variables, as arrays of NumPy.

    Args:
      path: a file that :func:`save` has written, or the folder of a run, which has one once it is finished.

    Raises:
      UserError: there is none, it is damaged or of another kind, does not hold exactly the network's parameters, or not finite
        ones.
    """
    path = pathlib.Path(path)
    file = path / NAME if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise errors.UserError(f"{path} has no {NAME}: it is no run, or one that is not finished")
    try:
        metadata, leaves = read_safetensors(file)
    except errors.UserError as error:
        hint = "; other packages' files are for `cnnjax weights import`" if file.exists() else ""
        raise errors.UserError(f"{error}{hint}") from None
    if metadata.get("format") != _FORMAT:
        raise errors.UserError(
            f"{file} does not say what network it is of; `cnnjax weights import` reads other packages' files"
        )
    record = _record(file, metadata, leaves.pop(_WHITENING, None))
    like = convert.shapes(record.create(), record.input_shape)
    wanted = {name: leaf.shape for name, leaf in stacking.names(like).items()}
    odd = [name for name in {**wanted, **leaves} if name not in leaves or wanted.get(name) != leaves[name].shape]
    odd += [name for name, leaf in leaves.items() if name not in odd and leaf.dtype.kind != "f"]
    if odd:
        raise errors.UserError(f"{file} is damaged: not the parameters of {record.model}, they differ in {listed(odd)}")
    if odd := [name for name, leaf in leaves.items() if not np.isfinite(leaf).all()]:
        raise errors.UserError(f"{file} is damaged: no finite numbers in {listed(odd)}")
    return record, convert.unflatten(like, leaves)


def save(path: pathlib.Path, record: Record, variables: Mapping[str, Any]) -> None:
    """Writes variables, with what they are of, in one step."""
    described = dataclasses.asdict(record)
    whitening = described["picture"].pop("whitening")
    arrays = {name: np.asarray(leaf) for name, leaf in stacking.names(variables).items()}
    if whitening is not None:
        arrays[_WHITENING] = whitening
    write_safetensors(path, arrays, {"format": _FORMAT, "record": json.dumps(described)})


def read_safetensors(path: pathlib.Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and arrays of a safetensors file.

    Raises:
      UserError: there is none, or it is damaged, cut short, or something else.
    """
    try:
        with safetensors.safe_open(path, "numpy") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise errors.UserError(f"there is no file {path}") from None
    except safetensors.SafetensorError as error:
        raise errors.UserError(f"{path} is no safetensors file, damaged, or cut short ({error})") from None


def write_safetensors(path: pathlib.Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes a safetensors file in one step."""
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = safetensors.numpy.save(whole, metadata)
    # The library writes metadata in any order, and equal weights are to be equal files. Offsets count from the header's end.
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    named = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **header}
    ordered = json.dumps(named, separators=(",", ":")).encode()
    ordered += b" " * (-len(ordered) % 8)
    files.write(path, len(ordered).to_bytes(8, "little") + ordered + content[end:])


def _record(path: pathlib.Path, metadata: Mapping[str, str], whitening: np.ndarray | None) -> Record:
    try:
        found = json.loads(metadata["record"])
        described = {key: _tuples(value) for key, value in found.pop("picture").items()}
        picture = Picture(**described, whitening=whitening)
        record = Record(**{key: _tuples(value) for key, value in found.items()}, picture=picture)
        record.check()
    except (errors.UserError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise errors.UserError(f"{path} is damaged: what it says of its network cannot be read ({error})") from None
    return record


def _tuples(value: Any) -> Any:
    """A JSON value with lists as tuples."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return {key: _tuples(each) for key, each in value.items()} if isinstance(value, dict) else value
