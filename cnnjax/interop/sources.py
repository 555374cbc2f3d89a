"""The packages whose weights can be read and written."""

from cnnjax import errors
from cnnjax.interop import pytorchcv, timm, torchvision
from cnnjax.interop.counterpart import Counterpart

SOURCES: dict[str, list[Counterpart]] = {
    "torchvision": torchvision.COUNTERPARTS,
    "timm": timm.COUNTERPARTS,
    "pytorchcv": pytorchcv.COUNTERPARTS,
}
"""Package → its networks that have a counterpart here."""


def find(source: str, name: str) -> Counterpart:
    """A package's network, by its name there, or by ours.

    Raises:
      UserError: the package is not known, or has no such network.
    """
    if source not in SOURCES:
        raise errors.unknown("source", source, SOURCES)
    found = {each.theirs: each for each in SOURCES[source]}
    ours = {each.model: each for each in SOURCES[source]}
    if name not in {**ours, **found}:
        raise errors.unknown(f"network of {source}:", name, {**ours, **found}, "`cnnjax weights list` shows them")
    return {**ours, **found}[name]
