"""Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning (Szegedy, Ioffe, Vanhoucke, Alemi 2016).

§3.1, Inception-v4: the stem of Fig. 3, 4 modules A on 35×35 maps, 7 B on 17×17, 3 C on 8×8, reductions between. §3.2,
Inception-ResNet-v1 (about the cost of v3: a stem of single convolutions, 5 A, 10 B, 5 C) and v2 (about that of v4, its
stem): the branches of a module are projected by a 1×1 convolution without activation, scaled by 0.1 to 0.3 (§3.3) and added
to what came in. The constants of reduction A are Table 1's. Images of 299×299, average pooling, dropout that keeps 0.8.

Departures: figures 17 and 19 print 1154 and 2048 maps where the branches add up to 1152 and 2144; the branches decide.
``inception_resnet_v2`` is the released network (slim, timm: v3's stem and one more module, 10 A, 20 B, 10 C with scales of
0.17, 0.1, 0.2, the last C unscaled and without activation, a 1×1 convolution with 1536 maps at the end);
``inception_resnet_v2_paper`` that of the figures. ``inception_resnet_v1_port`` is the network of a popular face recognition
library, which pytorchcv has: one more module C, the last one as above, and 512 normalised units before the classifier.
Projections have a bias and no normalisation.
"""

import math
from typing import ClassVar

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.models.inception import averaged, both_ways, chain
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Branches, Conv, Dense, Drop, GlobalPool, Pool, Residual, Row, Rows, SqueezeExcite

REDUCTION_A = {"v4": (192, 224, 256, 384), "resnet_v1": (192, 192, 256, 384), "resnet_v2": (256, 256, 384, 384)}
"""Network → k, l, m, n of Table 1."""


COUNTS = {
    "v1": ((5, 10, 5), (256, 896, 1792)),
    "v1 port": ((5, 10, 6), (256, 896, 1792)),
    "v2": ((5, 10, 5), (384, 1152, 2144)),
    "v2 released": ((10, 20, 10), (320, 1088, 2080)),
}
"""Version of Inception-ResNet → how many modules A, B and C, and their maps."""


def _stem_v4() -> list[Row]:
    """Fig. 3."""
    return [
        Conv("conv1a", 32, 3, 2, 0),
        Conv("conv2a", 32, 3, 1, 0),
        Conv("conv2b", 64, 3),
        Branches("mixed_3a", ((Pool("pool"),), chain((96, 3), strides=2))),
        Branches(
            "mixed_4a",
            (
                (Conv("conv1", 64, 1), Conv("conv2", 96, 3, padding=0)),
                (*chain((64, 1), (64, (1, 7)), (64, (7, 1))), Conv("conv4", 96, 3, padding=0)),
            ),
        ),
        Branches("mixed_5a", (chain((192, 3), strides=2), (Pool("pool"),))),
    ]


def _reduction_a(name: str, k: int, l: int, m: int, n: int) -> Branches:  # noqa: E741 - the paper's letters
    """Fig. 7."""
    return Branches(name, (chain((n, 3), strides=2), chain((k, 1), (l, 3), (m, 3), strides=2), (Pool("pool"),)))


class _Inception(Network):
    """What these networks share."""

    se_ratio: int = 0
    batch_norm: bool = True
    bn_epsilon: float = 1e-3
    dropout: float = 0.2
    input_shape: ClassVar[tuple[int, int, int]] = (299, 299, 3)

    def head(self) -> list[Row]:
        """Average pooling, dropout and the classifier."""
        return [GlobalPool(), Drop("drop"), Dense("classifier", self.num_classes, "identity")]

    def excite(self) -> tuple[Row, ...]:
        """Squeeze-and-excitation, where the network has it."""
        return (SqueezeExcite(ratio=self.se_ratio),) if self.se_ratio else ()


class InceptionV4(_Inception):
    """The network of Fig. 9.

    Attributes:
      count_padding: of the modules' average pools, see `cnnjax.models.inception`.
      se_ratio: of squeeze-and-excitation after each module, see `cnnjax.models.senet`; 0: none.
    """

    count_padding: bool = False

    def table(self) -> Rows:
        across, down = (1, 7), (7, 1)
        pooled = self.count_padding
        a = (chain((96, 1)), chain((64, 1), (96, 3)), chain((64, 1), (96, 3), (96, 3)), averaged(96, pooled))
        b = (
            chain((384, 1)),
            chain((192, 1), (224, across), (256, down)),
            chain((192, 1), (192, down), (224, across), (224, down), (256, across)),
            averaged(128, pooled),
        )
        c = (
            chain((256, 1)),
            (*chain((384, 1)), both_ways(256)),
            (*chain((384, 1), (448, down3), (512, across3)), both_ways(256)),
            averaged(256, pooled),
        )
        return [
            *_stem_v4(),
            *(Branches(f"mixed_5{letter}", a, self.excite()) for letter in "bcde"),
            _reduction_a("mixed_6a", *REDUCTION_A["v4"]),
            *(Branches(f"mixed_6{letter}", b, self.excite()) for letter in "bcdefgh"),
            Branches(
                "mixed_7a",
                (
                    chain((192, 1), (192, 3), strides=2),
                    chain((256, 1), (256, across), (320, down), (320, 3), strides=2),
                    (Pool("pool"),),
                ),
            ),
            *(Branches(f"mixed_7{letter}", c, self.excite()) for letter in "bcd"),
            *self.head(),
        ]


down3, across3 = (3, 1), (1, 3)


class InceptionResNet(_Inception):
    """The networks of Fig. 15.

    Attributes:
      version: ``"v1"``, ``"v2"`` (the figures), or ``"v1 port"``, ``"v2 released"``, see :data:`COUNTS`.
      scales: what the residual branches of modules A, B and C are multiplied by, before they are added (§3.3); the default is
        the released network's.
      se_ratio: of squeeze-and-excitation on each residual branch, see `cnnjax.models.senet`; 0: none.
    """

    version: str = "v2"
    scales: tuple[float, float, float] = (0.17, 0.1, 0.2)

    def __post_init__(self) -> None:
        if self.version not in COUNTS:
            raise errors.unknown("version", self.version, COUNTS)
        if not all(0 < scale < math.inf for scale in self.scales):
            raise errors.UserError(f"scales are larger than 0, and finite, not {self.scales}")
        super().__post_init__()

    def table(self) -> Rows:
        across, down = (1, 7), (7, 1)
        first = self.version.startswith("v1")
        a = (
            chain((32, 1)),
            chain((32, 1), (32, 3)),
            chain((32, 1), *(((32, 3), (32, 3)) if first else ((48, 3), (64, 3)))),
        )
        b = (
            (chain((128, 1)), chain((128, 1), (128, across), (128, down)))
            if first
            else (chain((192, 1)), chain((128, 1), (160, across), (192, down)))
        )
        c = (
            (chain((192, 1)), chain((192, 1), (192, across3), (192, down3)))
            if first
            else (chain((192, 1)), chain((192, 1), (224, across3), (256, down3)))
        )
        counts, (wide, middle, narrow) = COUNTS[self.version]
        scale_a, scale_b, scale_c = self.scales
        last = ((256, 3), (256, 3)) if first else ((288, 3), (320, 3))
        released = self.version == "v2 released"
        return [
            *(_stem_v4() if self.version == "v2" else self._stem(first)),
            *self._blocks("block35", counts[0], a, wide, scale_a),
            _reduction_a("mixed_6a", *REDUCTION_A["resnet_v1" if first else "resnet_v2"]),
            *self._blocks("block17", counts[1], b, middle, scale_b),
            Branches(
                "mixed_7a",
                (
                    chain((256, 1), (384, 3), strides=2),
                    chain((256, 1), (256 if first else 288, 3), strides=2),
                    chain((256, 1), *last, strides=2),
                    (Pool("pool"),),
                ),
            ),
            *self._blocks("block8", counts[2], c, narrow, scale_c, unscaled_last=self.version not in ("v1", "v2")),
            *([Conv("conv_7b", 1536, 1)] if released else []),
            *self.head(),
        ]

    def head(self) -> list[Row]:
        """As of the others; that of the port has 512 units before the classifier."""
        pool, drop, classifier = super().head()
        return [
            pool,
            drop,
            *([Dense("fc", 512, "identity", norm=self.batch_norm)] if self.version == "v1 port" else []),
            classifier,
        ]

    def _stem(self, first: bool) -> list[Row]:
        stem: list[Row] = [
            Conv("conv1a", 32, 3, 2, 0),
            Conv("conv2a", 32, 3, 1, 0),
            Conv("conv2b", 64, 3),
            Pool("pool3a"),
            Conv("conv3b", 80, 1),
            Conv("conv4a", 192, 3, 1, 0),
        ]
        if first:
            return [*stem, Conv("conv4b", 256, 3, 2, 0)]
        mixed = (chain((96, 1)), chain((48, 1), (64, 5)), chain((64, 1), (96, 3), (96, 3)), averaged(64, False))
        return [*stem, Pool("pool5a"), Branches("mixed_5b", mixed)]

    def _blocks(
        self,
        name: str,
        count: int,
        branches: tuple[tuple[Row, ...], ...],
        maps: int,
        scale: float,
        unscaled_last: bool = False,
    ) -> list[Row]:
        body: tuple[Row, ...] = (
            Branches("branches", branches),
            Conv("conv_project", maps, 1, norm=False, activation="identity"),
            *self.excite(),
        )
        blocks: list[Row] = [Residual(f"{name}_{number}", body, scale=scale) for number in range(1, count + 1)]
        if unscaled_last:
            blocks[-1] = Residual(f"{name}_{count}", body, activation="identity")
        return blocks


registry.register("inception_v4", InceptionV4, "Szegedy et al. 2016, §3.1, Fig. 9")
registry.register("inception_resnet_v1", InceptionResNet, "Szegedy et al. 2016, §3.2, Fig. 15", version="v1")
registry.register(
    "inception_resnet_v1_port", InceptionResNet, "as in ports; after Szegedy et al. 2016, §3.2", version="v1 port"
)
registry.register(
    "inception_resnet_v2", InceptionResNet, "as released; after Szegedy et al. 2016, §3.2", version="v2 released"
)
registry.register(
    "inception_resnet_v2_paper", InceptionResNet, "as printed; Szegedy et al. 2016, §3.2, Fig. 15", version="v2"
)
