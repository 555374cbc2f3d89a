"""What ties a network of another package to one of ours."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cnnjax.data.picture import Picture
from cnnjax.interop.names import Rule


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
    """

    theirs: str
    model: str
    fields: Mapping[str, Any]
    rules: list[Rule]
    picture: Picture = dataclasses.field(default_factory=Picture)
    pointwise: str = ".*/squeeze_excite/.*"
