"""What ties a network of another package to one of ours."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from cnnjax.data.picture import Picture
from cnnjax.interop.names import Rule, torch_parameter


@dataclasses.dataclass(frozen=True)
class Counterpart:
    """A network of another package, and ours that computes the same.

    Attributes:
      theirs: its name there.
      model: the name of ours.
      fields: of ours, that make it the same network where the packages differ.
      rules: names of its parameters.
      picture: how it wants its images.
      pointwise: a regular expression of our dense layers that are 1×1 convolutions there.
      parameter: module and leaf of ours → what stands behind the module's name there.
      layout: of kernels and matrices, ``"torch"`` or ``"keras"``.
      scaled: whether normalisation has a scale there; ours is one where it has none.
      note: what whoever imports its weights must know.
    """

    theirs: str
    model: str
    fields: Mapping[str, Any]
    rules: list[Rule]
    picture: Picture = dataclasses.field(default_factory=Picture)
    pointwise: str = ".*/squeeze_excite/.*"
    parameter: Callable[[str, str], str] = torch_parameter
    layout: str = "torch"
    scaled: bool = True
    note: str = ""
