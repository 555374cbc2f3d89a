"""Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition (He, Zhang, Ren, Sun 2014).

Table 1, the four classifiers: ZF-5, Convnet*-5 (AlexNet with its first pools after the second and third convolution),
Overfeat-5 and -7; 4096, 4096 and a class each on maps of 6×6, or on a spatial pyramid (§2.2) of {6, 3, 2, 1} (50 bins), {4,
3, 2, 1} (30) or {3, 2, 1} (14), which takes images of any size. Images of 224×224; 180×180 too in multi-size training
(§2.3). Dropout of one half on the two fully connected layers (§3.1.1).

Departures: bins are the floor/ceil ones of the appendix for every size. The order of levels and ZF-5's normalisation within
a channel are those of the authors' released definition. Pads are those that give the maps of Table 1 (55, 27, 13 and 36, 18),
as its caption has it.
"""

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, Drop, Flatten, Lrn, LrnWithin, Pool, PyramidPool, Row, Rows

PYRAMIDS = {"none": (), "6321": (6, 3, 2, 1), "4321": (4, 3, 2, 1), "321": (3, 2, 1)}
"""Pyramid → bins along an axis, of each level."""


def _zf5() -> list[Row]:
    return [
        Conv("conv1", 96, 7, 2, padding=1, std=0.01),
        LrnWithin("lrn1"),
        Pool("pool1", ceil=True),
        Conv("conv2", 256, 5, 2, padding=0, std=0.01, start=1.0),
        LrnWithin("lrn2"),
        Pool("pool2", ceil=True),
        Conv("conv3", 384, std=0.01),
        Conv("conv4", 384, std=0.01, start=1.0),
        Conv("conv5", 256, std=0.01, start=1.0),
    ]


def _convnet5() -> list[Row]:
    return [
        Conv("conv1", 96, 11, 4, padding=2, std=0.01),
        Lrn("lrn1"),
        Conv("conv2", 256, 5, std=0.01),
        Lrn("lrn2"),
        Pool("pool2", ceil=True),
        Conv("conv3", 384, std=0.01),
        Pool("pool3", ceil=True),
        Conv("conv4", 384, std=0.01),
        Conv("conv5", 256, std=0.01),
    ]


def _overfeat(layers: int) -> list[Row]:
    return [
        Conv("conv1", 96, 7, 2, padding=1, std=0.01),
        Pool("pool1", window=3, strides=3),
        Lrn("lrn1"),
        Conv("conv2", 256, 5, std=0.01),
        Pool("pool2", window=2, strides=2),
        *(Conv(f"conv{number}", 512, std=0.01) for number in range(3, layers + 1)),
    ]


BASES = {
    "zf5": (_zf5(), 2),
    "convnet5": (_convnet5(), 2),
    "overfeat5": (_overfeat(5), 3),
    "overfeat7": (_overfeat(7), 3),
}
"""Base → its rows, and the stride of its plain last pool, which has 6×6 windows of 3×3."""


class Spp(Network):
    """A classifier of Table 1.

    Attributes:
      base: of :data:`BASES`.
      pyramid: of :data:`PYRAMIDS`; ``"none"`` for the plain last pool.
    """

    base: str = "zf5"
    pyramid: str = "6321"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        for field, allowed in (("base", BASES), ("pyramid", PYRAMIDS)):
            if getattr(self, field) not in allowed:
                raise errors.unknown(field, getattr(self, field), allowed)
        super().__post_init__()

    def table(self) -> Rows:
        rows, strides = BASES[self.base]
        levels = PYRAMIDS[self.pyramid]
        pooled: list[Row] = [PyramidPool("spp", levels)] if levels else [Pool("pool5", strides=strides), Flatten()]
        return [
            *rows,
            *pooled,
            Dense("fc6", 4096, std=0.01, start=1.0),
            Drop("drop6"),
            Dense("fc7", 4096, std=0.01, start=1.0),
            Drop("drop7"),
            Dense("fc8", self.num_classes, "identity", std=0.01),
        ]


for _base in BASES:
    registry.register(
        f"spp_{_base}", Spp, f"{_base}, pyramid or plain last pool; He et al. 2014, §3, Table 1", base=_base
    )
