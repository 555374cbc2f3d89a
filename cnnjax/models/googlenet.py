"""Going Deeper with Convolutions (Szegedy et al. 2014): GoogLeNet, the first Inception network.

Table 1: 7×7/2, 1×1 and 3×3 convolutions, max pools of 3×3/2 and local response normalisation; nine Inception modules in
groups of two, five and two, with max pools between; global average pooling, dropout of 40 %, one fully connected layer. Two
auxiliary classifiers hang on modules 4a and 4d (§5): 5×5/3 average pooling, a 1×1 convolution with 128 maps, 1024 units,
dropout of 70 %. Their logits are the taps ``aux1_logits`` and ``aux2_logits``; their losses count 0.3 each in
training (``task.auxiliary_weight``).

Departures, as options: the second branch's 5×5 convolution is 3×3 in slim's and torchvision's networks, which also normalise
instead of having biases and local response normalisation, and pool 2×2 before 5a; ports for CIFAR begin with one 3×3
convolution and take two 3×3 for the 5×5. Table 1 prints sizes that its layers do not have (its first convolution, 4c to
5b): the layers decide here.
"""

import itertools
from typing import ClassVar

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import (
    BinPool,
    Branches,
    Conv,
    Dense,
    Drop,
    Flatten,
    GlobalPool,
    Lrn,
    Pool,
    Row,
    Rows,
    Side,
    SqueezeExcite,
)

MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Module → maps of: 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool projection. Table 1."""

LARGE = {"5x5": (5,), "3x3": (3,), "two 3x3": (3, 3)}
"""What the third branch's large convolution is → kernels."""

AUXILIARY = {"none": (), "first": ("4a",), "second": ("4d",), "both": ("4a", "4d")}
"""Which auxiliary classifiers there are → the modules that they hang on."""


class GoogLeNet(Network):
    """The network of Table 1.

    Attributes:
      modules: which of :data:`MODULES` there are, with commas; a pool stands between groups (3, 4 and 5).
      large: of :data:`LARGE`.
      reduced: whether the modules have their 1×1 reductions and projections, or are the naive ones of Fig. 2a.
      auxiliary: of :data:`AUXILIARY`.
      auxiliary_norm: whether their convolution is normalised where the network is.
      auxiliary_bins: whether their pools have 4×4 bins of maps of any size, or windows of 5×5 at stride 3, as in the paper.
      auxiliary_dropout: what they drop.
      lrn: whether the stem has local response normalisation.
      last_pool: window of the pool before 5a.
      small_stem: one 3×3 convolution instead of the stem, for 32×32 images; pools are padded then.
      se_ratio: of squeeze-and-excitation after each module, see `cnnjax.models.senet`; 0: none.
    """

    modules: str = ",".join(MODULES)
    large: str = "5x5"
    reduced: bool = True
    auxiliary: str = "both"
    auxiliary_bins: bool = False
    auxiliary_norm: bool = True
    auxiliary_dropout: float = 0.7
    lrn: bool = True
    last_pool: int = 3
    small_stem: bool = False
    se_ratio: int = 0
    dropout: float = 0.4

    def __post_init__(self) -> None:
        for field, allowed in (("large", LARGE), ("auxiliary", AUXILIARY)):
            if getattr(self, field) not in allowed:
                raise errors.unknown(field, getattr(self, field), allowed)
        modules = self.modules.split(",")
        for name in modules:
            if name not in MODULES:
                raise errors.unknown("one of modules", name, MODULES)
        for name in AUXILIARY[self.auxiliary]:
            if name not in modules:
                raise errors.UserError(
                    f"an auxiliary classifier hangs on {name}, which is not among modules ({self.modules})"
                )
        if not 0 <= self.auxiliary_dropout < 1:
            raise errors.UserError(f"auxiliary_dropout is at least 0 and below 1, not {self.auxiliary_dropout}")
        super().__post_init__()

    def table(self) -> Rows:
        table = self._stem()
        modules = [name for name in MODULES if name in self.modules.split(",")]
        for before, name in itertools.pairwise([modules[0], *modules]):
            if name[0] != before[0]:
                window = self.last_pool if name[0] == "5" else 3
                table.append(self._pool(f"pool{int(name[0]) - 1}", window))
            table.append(self._module(name, *MODULES[name]))
            if name in AUXILIARY[self.auxiliary]:
                table.append(self._side({"4a": "aux1", "4d": "aux2"}[name]))
        return [*table, GlobalPool(), Drop("drop"), Dense("classifier", self.num_classes, "identity")]

    def _pool(self, name: str, window: int = 3) -> Pool:
        return Pool(name, window=window, padding=1) if self.small_stem else Pool(name, window=window, ceil=True)

    def _stem(self) -> list[Row]:
        if self.small_stem:
            return [Conv("conv1", 192, 3)]
        stem: list[Row] = [
            Conv("conv1", 64, 7, 2),
            self._pool("pool1"),
            Lrn("lrn1"),
            Conv("conv2_reduce", 64, 1),
            Conv("conv2", 192, 3),
            Lrn("lrn2"),
            self._pool("pool2"),
        ]
        return stem if self.lrn else [row for row in stem if not isinstance(row, Lrn)]

    def _module(self, name: str, one: int, reduce3: int, three: int, reduce5: int, five: int, project: int) -> Branches:
        kernels = LARGE[self.large]
        large = tuple(Conv(f"conv{number}", five, kernel) for number, kernel in enumerate(kernels, start=2))
        pool = Pool("pool", "max", 3, 1, padding=1)
        branches: tuple[tuple[Row, ...], ...] = (
            (Conv("conv1", one, 1),),
            (Conv("conv1", reduce3, 1), Conv("conv2", three, 3)),
            (Conv("conv1", reduce5, 1), *large),
            (pool, Conv("conv1", project, 1)),
        )
        if not self.reduced:
            branches = (branches[0], branches[1][1:], large, (pool,))
        return Branches(f"inception_{name}", branches, self._excite())

    def _excite(self) -> tuple[Row, ...]:
        return (SqueezeExcite(ratio=self.se_ratio),) if self.se_ratio else ()

    def _side(self, name: str) -> Side:
        return Side(
            name,
            (
                BinPool("pool", "average", 4) if self.auxiliary_bins else Pool("pool", "average", 5, 3),
                Conv("conv", 128, 1, norm=None if self.auxiliary_norm else False),
                Flatten(),
                Dense("fc", 1024),
                Drop("drop", self.auxiliary_dropout),
                Dense("classifier", self.num_classes, "identity"),
            ),
        )


class GoogLeNetBn(GoogLeNet):
    """With batch normalisation, and without biases and local response normalisation: the "BN-GoogLeNet" of 2015."""

    batch_norm: bool = True
    lrn: bool = False


class GoogLeNet3x3(GoogLeNetBn):
    """As slim and torchvision have it."""

    large: str = "3x3"
    last_pool: int = 2
    dropout: float = 0.2
    bn_epsilon: float = 1e-3


class GoogLeNetCifar(GoogLeNetBn):
    """A port for 32×32 images."""

    large: str = "two 3x3"
    small_stem: bool = True
    bn_bias: bool = True
    auxiliary: str = "none"
    dropout: float = 0.0
    num_classes: int = 10
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)


registry.register(
    "googlenet", GoogLeNet, "5×5, biases, normalisation of 2012, two auxiliary heads; Szegedy et al. 2014, §5"
)
registry.register("googlenet_bn", GoogLeNetBn, "with batch normalisation; after Szegedy et al. 2014, Table 1")
registry.register("googlenet_3x3", GoogLeNet3x3, "as slim and torchvision have it; after Szegedy et al. 2014, Table 1")
registry.register("googlenet_cifar", GoogLeNetCifar, "for 32×32 images; after Szegedy et al. 2014, Table 1")
