"""How fast a step can be at most.

Williams, Waterman & Patterson 2009, Roofline: An Insightful Visual Performance Model. A step takes at least as long as its
operations at the chip's peak, as its bytes at the bandwidth of the memory, and as what it sends at that of the links. The
longest of the three is the bound: everything else is taken to be hidden behind it, which no program reaches.
"""

import dataclasses
from collections.abc import Sequence

from cnnjax.plan.collectives import Collective
from cnnjax.plan.topology import Chip


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds that a step takes at least.

    Attributes:
      compute: for its floating-point operations.
      memory: for its reads and writes of the chip's memory.
      link: for what it sends to other chips.
    """

    compute: float
    memory: float
    link: float

    @property
    def seconds(self) -> float:
        """The bound."""
        return max(self.compute, self.memory, self.link)

    @property
    def bound(self) -> str:
        """Which one it is."""
        parts = dataclasses.asdict(self)
        return max(parts, key=lambda name: parts[name])


def roofline(chip: Chip, cores: int, flops: float, size: float, collectives: Sequence[Collective]) -> Roofline:
    """The bounds of a step.

    Args:
      chip: what it can do.
      cores: devices that share a chip.
      flops: of one device in a step.
      size: bytes that one device reads and writes.
      collectives: of one device.
    """
    sent = sum(each.sent for each in collectives)
    return Roofline(cores * flops / chip.flops, cores * size / chip.bandwidth, cores * sent / chip.link)
