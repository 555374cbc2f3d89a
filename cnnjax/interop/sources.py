"""The packages whose weights can be read and written."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnjax import errors, models
from cnnjax.interop import convert, darknet, keras, keras_file, pytorchcv, timm, torch_file, torchvision, weights
from cnnjax.interop.counterpart import Counterpart
from cnnjax.interop.weights import Record
from cnnjax.nn.network import Network

SOURCES: dict[str, list[Counterpart]] = {
    "torchvision": torchvision.COUNTERPARTS,
    "timm": timm.COUNTERPARTS,
    "pytorchcv": pytorchcv.COUNTERPARTS,
    "keras": keras.COUNTERPARTS,
    "darknet": darknet.COUNTERPARTS,
}
"""Package → its networks that have a counterpart here."""

READ_ONLY = {"darknet", "keras"}
"""Packages that do not read safetensors."""

FREE = {
    *(
        "num_classes",
        "auxiliary",
        "dropout",
        "dropout_after",
        "auxiliary_dropout",
        "bn_momentum",
        "bn_group",
        "bn_axis",
    ),
    *("kernel_init", "std", "dtype", "conv_form", "scan", "keep"),
}
"""Fields in which a network may differ from its counterpart and still predict the same from the same weights."""


def find(source: str, name: str) -> Counterpart:
    """A package's network, by its name there, or by ours.

    Raises:
      UserError: the package is not known, or has no such network.
    """
    if source not in SOURCES:
        raise errors.unknown("source", source, SOURCES)
    known = {**{each.model: each for each in SOURCES[source]}, **{each.theirs: each for each in SOURCES[source]}}
    if name not in known:
        raise errors.unknown(f"network of {source}:", name, known, "`cnnjax weights list` shows them")
    return known[name]


def read(
    source: str, path: pathlib.Path, name: str, fields: Mapping[str, Any] | None = None
) -> tuple[Record, dict[str, Any]]:
    """The weights of a package's network, as ours.

    The fields of our network are set so that it computes what theirs does; the number of classes is the file's.

    Args:
      source: of :data:`SOURCES`.
      path: a state dictionary, as ``.safetensors``, as `torch.save` writes it, or as Keras does (``.keras``, ``.h5``).
      name: of the network, there or here.
      fields: of ours, beside or instead of those of the counterpart, e.g. ``{"auxiliary": "none"}``.

    Raises:
      UserError: the file cannot be read, or does not hold exactly the network's parameters.
    """
    counterpart = find(source, name)
    if path.suffix == ".weights" and source != "darknet":
        raise errors.UserError(f"{path}: a file of numbers without names, which is darknet's, not {source}'s")
    fields = {**counterpart.fields, **(fields or {})}
    model = _network(counterpart.model, fields)
    state = _state(path, convert.places(model, counterpart, convert.shapes(model, model.input_shape)))
    if "num_classes" not in fields and (classes := convert.classes(model, state, counterpart)):
        fields = {**fields, "num_classes": classes}
        model = _network(counterpart.model, fields)
    try:
        variables = convert.to_ours(model, state, counterpart, model.input_shape)
    except errors.UserError as error:
        raise errors.UserError(f"{path}: {error}") from None
    origin = f"{source}'s {counterpart.theirs}, {path.name}"
    fields = {**fields, "num_classes": model.num_classes}
    return Record(counterpart.model, fields, model.input_shape, counterpart.picture, (), origin), variables


def write(source: str, path: pathlib.Path, record: Record, variables: Mapping[str, Any]) -> None:
    """Weights as a package's state dictionary, in a safetensors file.

    Raises:
      UserError: the package is only read, or has no network that computes the same.
    """
    if source in READ_ONLY:
        raise errors.UserError(
            f"weights of {source} are read, not written; written are {', '.join(sorted({*SOURCES} - READ_ONLY))}"
        )
    counterpart = find(source, record.model)
    model, same = _network(record.model, record.fields), _network(counterpart.model, counterpart.fields)
    for field in models.entry(record.model).fields:
        value = getattr(same, field)
        if getattr(model, field) != value and field not in FREE:
            raise errors.UserError(
                f"{source}'s {counterpart.theirs} has {field} = {value!r}, and these weights have {getattr(model, field)!r}: "
                "it would compute something else"
            )
    weights.write_safetensors(path, convert.to_theirs(model, variables, counterpart), {"format": "pt"})


def _network(name: str, fields: Mapping[str, Any]) -> Network:
    model = models.create(name, **fields)
    assert isinstance(model, Network)
    return model


def _state(path: pathlib.Path, places: Sequence[convert.Place]) -> dict[str, np.ndarray]:
    """What a file holds; ``places`` are for a format without names."""
    readers: dict[str, Callable[[pathlib.Path], dict[str, np.ndarray]]] = {
        ".safetensors": lambda path: weights.read_safetensors(path)[1],
        ".keras": keras_file.read,
        ".h5": keras_file.read,
        ".weights": lambda path: darknet.read(path, places),
    }
    return readers.get(path.suffix, torch_file.read)(path)
