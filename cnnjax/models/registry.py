"""The table of networks that can be created by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

import flax.linen as nn

from cnnjax import errors


@dataclasses.dataclass(frozen=True)
class Entry:
    """A network by name.

    Attributes:
      module: the linen module.
      fixed: fields that the name fixes.
      doc: what it is, with paper and section.
    """

    module: type[nn.Module]
    fixed: Mapping[str, Any]
    doc: str

    @property
    def fields(self) -> dict[str, Any]:
        """Fields that :func:`create` takes, with their defaults."""
        return {
            field.name: field.default
            for field in dataclasses.fields(self.module)
            if field.name not in ("parent", "name", *self.fixed)
        }


_ENTRIES: dict[str, Entry] = {}


def register(name: str, module: type[nn.Module], doc: str, **fixed: Any) -> None:
    """Adds a network to the table; ``fixed`` are the fields that the name stands for."""
    if name in _ENTRIES:
        raise ValueError(f"the model {name!r} is registered already")
    _ENTRIES[name] = Entry(module, fixed, doc)


def entries() -> dict[str, Entry]:
    """Every registered network, by name."""
    return dict(_ENTRIES)


def entry(name: str) -> Entry:
    """The named network's entry."""
    if name not in _ENTRIES:
        raise errors.unknown("model", name, _ENTRIES, "`cnnjax models` lists them")
    return _ENTRIES[name]


def create(name: str, **fields: Any) -> nn.Module:
    """A network's module: a description without parameters. Two equal calls return equal modules.

    Args:
      name: see :func:`entries`.
      **fields: the module's fields, plain data, e.g. ``num_classes=10, shortcut="B"``.

    Raises:
      UserError: no such model or field, a value of the wrong type, or one that the network does not allow.
    """
    found = entry(name)
    hints = get_type_hints(found.module)
    for key, value in fields.items():
        if key in found.fixed:
            raise errors.UserError(f"the model {name!r} fixes {key} = {found.fixed[key]!r}; it cannot be set")
        if key not in found.fields:
            raise errors.unknown(f"field of the model {name!r}:", key, found.fields)
        if not _fits(value, hints[key]):
            expected = getattr(hints[key], "__name__", "") if not get_args(hints[key]) else str(hints[key])
            expected = expected.replace(" | ", " or ")
            raise errors.UserError(f"the field {key} of the model {name!r} is of type {expected}, not {value!r}")
    return found.module(**found.fixed, **fields)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a field's type; a whole number is a number too."""
    inner = get_args(hint)
    if get_origin(hint) is not tuple:
        return (
            any(_fits(value, each) for each in inner)
            if inner
            else type(value) in (hint, int if hint is float else hint)
        )
    if type(value) is not tuple:
        return False
    each_of = inner[:1] * len(value) if inner[-1] is ... else inner
    return len(each_of) == len(value) and all(map(_fits, value, each_of))
