"""Bounds on what a benchmark measures, as ratios within one run."""

import dataclasses
from collections.abc import Sequence

from rich import box
from rich.table import Table


@dataclasses.dataclass(frozen=True)
class Bound:
    """A ratio of two measured times that must not be exceeded.

    Attributes:
      text: what it is.
      ratio: as measured.
      most: the largest that is accepted.
    """

    text: str
    ratio: float
    most: float

    @property
    def kept(self) -> bool:
        """Whether it is not."""
        return self.ratio <= self.most


def lost(bounds: Sequence[Bound]) -> list[str]:
    """What is to be said of those that are exceeded."""
    return [f"{bound.text}: {bound.ratio:.3g}, at most {bound.most:.3g}" for bound in bounds if not bound.kept]


def table(bounds: Sequence[Bound]) -> Table:
    """The bounds, and whether they are kept."""
    view = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("time of", "measured", "at most", ""):
        view.add_column(name, justify="left" if name == "time of" else "right")
    for bound in bounds:
        view.add_row(bound.text, f"{bound.ratio:.3g}", f"{bound.most:.3g}", "kept" if bound.kept else "exceeded")
    return view
