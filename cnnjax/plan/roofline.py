"""How long a step takes, by what the chip can do.

Williams, Waterman & Patterson 2009, Roofline: An Insightful Visual Performance Model: its operations at the chip's peak, its
bytes at the bandwidth of the memory, and what it sends at that of the links. The longest of the three is the estimate.

It errs both ways. It is too short, since the other two are never quite hidden behind the longest, and peaks are not reached.
It is too long where the compiler counts bytes that never leave the chip, and where a better program would move fewer.
"""

import dataclasses
from collections.abc import Sequence

from cnnjax.plan.collectives import Collective
from cnnjax.plan.topology import Chip


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds of a step.

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
        """The estimate."""
        return max(self.compute, self.memory, self.link)

    @property
    def bound(self) -> str:
        """Which one of the three that is."""
        parts = dataclasses.asdict(self)
        return max(parts, key=lambda name: parts[name])


def estimate(chip: Chip, cores: int, flops: float, size: float, collectives: Sequence[Collective]) -> Roofline:
    """The estimate for a step.

    Args:
      chip: what it can do.
      cores: devices that share a chip.
      flops: of one device in a step.
      size: bytes that one device reads and writes.
      collectives: of one device.
    """
    sent = sum(each.sent for each in collectives)
    return Roofline(cores * flops / chip.flops, cores * size / chip.bandwidth, cores * sent / chip.link)
