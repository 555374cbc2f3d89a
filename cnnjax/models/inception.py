"""Rethinking the Inception Architecture for Computer Vision (Szegedy et al. 2015): Inception-v2 and v3.

§6, Table 1 as the authors released it (slim): images of 299×299; a stem of 3×3 convolutions; three modules on 35×35 maps
(Fig. 5), five on 17×17 with 7×7 convolutions as 1×7 and 7×1 (Fig. 6), two on 8×8 with expanded filter banks (Fig. 7); grids
are reduced by convolutions and a pool side by side (§5, Fig. 10); one auxiliary classifier on the last 17×17 maps (§4). The
tap ``aux_logits`` is its output; its loss counts ``task.auxiliary_weight`` in training.

The ladder of Table 3, each step a field: ``factorised_7x7`` off (3×3 pairs in place of 1×7 and 7×1) and ``auxiliary_bn``
off give the paper's "Inception-v2" (``inception_v2_rethinking``). Stems for 151×151 and 79×79 images (§6.1, Table 2): the
first layer at stride 1, and no pool after it. ``linear_factors`` is the control of §3.1: no ReLU between two factors.

Departures: rows 5 to 7 of Table 1 cannot be built as printed; the released network decides. Its 35×35 modules keep a 5×5
branch: ``factorised_5x5`` puts two 3×3 there, as Fig. 5 does.
"""

import dataclasses
from typing import ClassVar

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Branches, Conv, Dense, Drop, Flatten, GlobalPool, Pool, Row, Rows, Side, Size, SqueezeExcite

STEMS = {"299": (2, True), "151": (1, True), "79": (1, False)}
"""Size of the images that a stem is for → stride of its first convolution, whether its first pool is there. Table 2."""

REDUCTIONS = ("parallel", "pool first", "convolution first")
"""How a grid is reduced: side by side (Fig. 10), or one after the other (Fig. 9)."""


Layer = tuple[int, Size] | tuple[int, Size, str | None]
"""Maps and kernel of a convolution, and its activation where it is not the network's."""


def chain(*convs: Layer, strides: int = 1) -> tuple[Row, ...]:
    """Convolutions ``conv1``, ``conv2``, ...; the last one at a stride, which is not padded."""
    rows = []
    for number, (maps, kernel, *activation) in enumerate(convs, start=1):
        last = number == len(convs) and strides > 1
        row = Conv(f"conv{number}", maps, kernel, activation=activation[0] if activation else None)
        rows.append(dataclasses.replace(row, strides=strides, padding=0) if last else row)
    return tuple(rows)


def averaged(maps: int, count_padding: bool = True) -> tuple[Row, ...]:
    """3×3 average pooling and its projection."""
    pool = Pool("pool", "average", 3, 1, padding=1, count_padding=count_padding)
    return (pool, Conv("conv1", maps, 1))


def both_ways(maps: int) -> Branches:
    """1×3 beside 3×1 (Fig. 7)."""
    return Branches("split", (chain((maps, (1, 3))), chain((maps, (3, 1)))))


class InceptionV3(Network):
    """The network of §6.

    Attributes:
      stem: of :data:`STEMS`.
      factorised_5x5: whether the 35×35 modules have two 3×3 convolutions instead of a 5×5.
      factorised_7x7: whether the 17×17 modules have 1×7 and 7×1 convolutions, or pairs of 3×3.
      linear_factors: whether the first of two factors, of a 5×5 or a 7×7, has no activation.
      reduction: of :data:`REDUCTIONS`.
      auxiliary: whether there is an auxiliary classifier.
      auxiliary_bn: whether it is normalised.
      count_padding: of the modules' average pools: PyTorch's ports count it, TensorFlow's does not.
      se_ratio: of squeeze-and-excitation after each module, see `cnnjax.models.senet`; 0: none.
    """

    stem: str = "299"
    factorised_5x5: bool = False
    factorised_7x7: bool = True
    linear_factors: bool = False
    reduction: str = "parallel"
    auxiliary: bool = True
    auxiliary_bn: bool = True
    count_padding: bool = False
    se_ratio: int = 0
    batch_norm: bool = True
    bn_epsilon: float = 1e-3
    dropout: float = 0.2
    input_shape: ClassVar[tuple[int, int, int]] = (299, 299, 3)

    def __post_init__(self) -> None:
        for field, allowed in (("stem", STEMS), ("reduction", REDUCTIONS)):
            if getattr(self, field) not in allowed:
                raise errors.unknown(field, getattr(self, field), allowed)
        super().__post_init__()

    def table(self) -> Rows:
        table = [
            *self._stem(),
            *(self._wide(f"mixed_5{letter}", pooled) for letter, pooled in (("b", 32), ("c", 64), ("d", 64))),
            self._reduce("mixed_6a", 288, (chain((384, 3), strides=2), chain((64, 1), (96, 3), (96, 3), strides=2))),
            *(
                self._middle(f"mixed_6{letter}", maps)
                for letter, maps in (("b", 128), ("c", 160), ("d", 160), ("e", 192))
            ),
        ]
        if self.auxiliary:
            table.append(self._side())
        seven: tuple[Layer, ...] = ((192, (1, 7), self._between), (192, (7, 1)))
        if not self.factorised_7x7:
            seven = ((192, 3),)
        return [
            *table,
            self._reduce(
                "mixed_7a", 768, (chain((192, 1), (320, 3), strides=2), chain((192, 1), *seven, (192, 3), strides=2))
            ),
            self._narrow("mixed_7b"),
            self._narrow("mixed_7c"),
            GlobalPool(),
            Drop("drop"),
            Dense("classifier", self.num_classes, "identity"),
        ]

    @property
    def _between(self) -> str | None:
        """The activation between two factors."""
        return "identity" if self.linear_factors else None

    def _stem(self) -> list[Row]:
        strides, pooled = STEMS[self.stem]
        return [
            Conv("conv1a", 32, 3, strides, 0),
            Conv("conv2a", 32, 3, 1, 0),
            Conv("conv2b", 64, 3, padding=None if pooled else 0),  # so that 79×79 images end in maps of 35×35 too
            *([Pool("pool3a")] if pooled else []),
            Conv("conv3b", 80, 1),
            Conv("conv4a", 192, 3, 1, 0),
            Pool("pool5a"),
        ]

    def _branches(self, name: str, *branches: tuple[Row, ...]) -> Branches:
        return Branches(name, branches, (SqueezeExcite(ratio=self.se_ratio),) if self.se_ratio else ())

    def _wide(self, name: str, pooled: int) -> Branches:
        five = chain((48, 1), *(((64, 3, self._between), (64, 3)) if self.factorised_5x5 else ((64, 5),)))
        return self._branches(
            name, chain((64, 1)), five, chain((64, 1), (96, 3), (96, 3)), averaged(pooled, self.count_padding)
        )

    def _middle(self, name: str, maps: int) -> Branches:
        across, down, between = (1, 7), (7, 1), self._between
        if self.factorised_7x7:
            single = chain((maps, 1), (maps, across, between), (192, down))
            double = chain((maps, 1), (maps, down, between), (maps, across), (maps, down, between), (192, across))
        else:
            single, double = chain((maps, 1), (192, 3)), chain((maps, 1), (maps, 3), (192, 3))
        return self._branches(name, chain((192, 1)), single, double, averaged(192, self.count_padding))

    def _narrow(self, name: str) -> Branches:
        return self._branches(
            name,
            chain((320, 1)),
            (*chain((384, 1)), both_ways(384)),
            (*chain((448, 1), (384, 3)), both_ways(384)),
            averaged(192, self.count_padding),
        )

    def _reduce(self, name: str, maps: int, branches: tuple[tuple[Row, ...], ...]) -> Row:
        if self.reduction == "parallel":
            return self._branches(name, *branches, (Pool("pool"),))
        features = {288: 768, 768: 1280}[maps]
        convolution = Conv("conv1", features, 1)
        rows = (Pool("pool"), convolution) if self.reduction == "pool first" else (convolution, Pool("pool"))
        return self._branches(name, rows)

    def _side(self) -> Side:
        norm = None if self.auxiliary_bn else False
        return Side(
            "aux",
            (
                Pool("pool", "average", 5, 3),
                Conv("conv1", 128, 1, norm=norm),
                Conv("conv2", 768, 5, padding=0, norm=norm),
                GlobalPool(),
                Flatten(),
                Dense("classifier", self.num_classes, "identity"),
            ),
        )


class InceptionV2(InceptionV3):
    """The first row of the paper's own networks in Table 3: 5×5 and 7×7 convolutions as 3×3."""

    factorised_5x5: bool = True
    factorised_7x7: bool = False
    auxiliary_bn: bool = False


registry.register("inception_v3", InceptionV3, "Szegedy et al. 2015 (Rethinking), §6 and Table 3, last row")
registry.register("inception_v2_rethinking", InceptionV2, "Szegedy et al. 2015 (Rethinking), Table 3, Inception-v2")
