"""Deep Residual Learning for Image Recognition (He, Zhang, Ren, Sun 2015).

§4.1, the ImageNet networks (Table 1): a 7×7 convolution at stride 2 and a 3×3 max pool; four stages of blocks with 64, 128,
256 and 512 maps, two 3×3 convolutions each (18 and 34 layers) or a bottleneck of 1×1, 3×3 and four times as many 1×1 (50,
101, 152); global average pooling; one fully connected layer. Shortcut A in the networks of 18 and 34 layers (Table 2, Fig. 4),
B in those of 50 and more.

§4.2, the CIFAR-10 family of depth 6n + 2: a 3×3 convolution with 16 maps; three stages of n blocks of two 3×3
convolutions with 16, 32 and 64 maps; the same head. Shortcut A.

In both the first block of a later stage is at stride 2; batch normalisation after every convolution and before the activation
(§3.4), no dropout. The plain twins have the same layers and no shortcuts; with shortcut A, which adds nothing to learn, the two
have the same parameters.

Departures: the running variance is a moving average of the biased one, as at training; Caffe's, which the authors used, and
PyTorch's is of the unbiased one. The momentum and the epsilon of batch normalisation are ours: the paper gives neither.
Popular ports differ: B in the networks of 18 and 34 layers too; the stride of a bottleneck on its 3×3 convolution
(``stride_on="3x3"``, called v1.5) instead of its first 1×1; on CIFAR, projections (B) instead of A, also of 3×3 (B3); new
channels padded on both sides instead of at the end; ResNets of 11 M parameters that are called "ResNet-18 for CIFAR" and are
another network.
"""

import dataclasses
from typing import ClassVar

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, GlobalPool, Pool, Row, Rows, SqueezeExcite
from cnnjax.nn.shortcut import KINDS, Block
from cnnjax.nn.stacking import KEPT, Stage

PLACES = {
    "standard": "at the end of the residual branch",
    "pre": "at its beginning",
    "post": "after the sum and its activation",
    "identity": "on the shortcut",
    "inside": "after its first 3×3 convolution",
}
"""Of squeeze-and-excitation in a block. Hu et al. 2017, §6.5 and Fig. 5."""


class _Residual(Network):
    """What both families share.

    Attributes:
      shortcut: see :data:`cnnjax.nn.shortcut.KINDS`; ``"none"`` is the plain network.
      width: maps of the first stage.
      growth: times as many maps as the stage before each later one has: 2 in the paper, so that a layer costs as much on maps
        of half the side (§3.3); 1: as many in all.
      scan: whether the identical blocks of a stage are one scanned block, see `cnnjax.nn.stacking`.
      keep: what is kept for the backward pass, see :data:`cnnjax.nn.stacking.KEPT`.
      se_ratio: of squeeze-and-excitation, see `cnnjax.models.senet`; 0: none.
      se_place: of :data:`PLACES`.
      se_stages: numbers of the stages that have it; none named: all. Hu et al. 2017, §6.4, count the layers before the stages
        as the first one: their number is one more.
      se_squeeze: of :data:`cnnjax.nn.rows.SQUEEZES`; §6.2.
      se_gate: of :data:`cnnjax.nn.rows.GATES`; §6.3.
    """

    shortcut: str = "A"
    width: int = 16
    growth: int = 2
    scan: bool = False
    keep: str = "all"
    se_ratio: int = 0
    se_place: str = "standard"
    se_stages: tuple[int, ...] = ()
    se_squeeze: str = "average"
    se_gate: str = "sigmoid"
    batch_norm: bool = True

    def __post_init__(self) -> None:
        if self.shortcut not in KINDS:
            raise errors.unknown("shortcut", self.shortcut, KINDS)
        if self.keep not in KEPT:
            raise errors.unknown("keep", self.keep, KEPT)
        if self.width < 1 or self.num_classes < 1:
            raise errors.UserError(f"width and num_classes are at least 1, not {self.width} and {self.num_classes}")
        if self.growth < 1:
            raise errors.UserError(f"growth is at least 1, not {self.growth}")
        if self.se_place not in PLACES:
            raise errors.unknown("se_place", self.se_place, PLACES)
        if self.se_ratio < 0:
            raise errors.UserError(f"se_ratio is at least 1, or 0 for none, not {self.se_ratio}")
        super().__post_init__()

    def block(self, features: int, strides: tuple[int, int]) -> Block:
        """Two 3×3 convolutions (Fig. 2 and Fig. 5 left)."""
        body = (Conv("conv1", features, 3, strides), Conv("conv2", features, 3, activation="identity"))
        return Block(body, self.shortcut, features, strides)

    def excited(self, block: Block) -> Block:
        """The block with squeeze-and-excitation at its place."""
        gate = SqueezeExcite(ratio=self.se_ratio, kind=self.se_squeeze, gate=self.se_gate)
        rows = {place: (gate,) if place == self.se_place else () for place in PLACES}
        first = next(place for place, row in enumerate(block.body, start=1) if getattr(row, "kernel", 0) == 3)
        body = (*rows["pre"], *block.body[:first], *rows["inside"], *block.body[first:], *rows["standard"])
        return dataclasses.replace(block, body=body, carry=rows["identity"], after=rows["post"])

    def stages(self, blocks: tuple[int, ...]) -> list[Row]:
        """Stages of so many blocks."""
        every = range(1, len(blocks) + 1)
        for number in self.se_stages:
            if number not in every:
                raise errors.unknown("stage of se_stages", str(number), map(str, every))
        found: list[Row] = []
        for number, count in enumerate(blocks, start=1):
            features, strides = self.width * self.growth ** (number - 1), (2, 2) if number > 1 else (1, 1)
            first, rest = self.block(features, strides), self.block(features, (1, 1))
            if self.se_ratio and number in (self.se_stages or every):
                first, rest = self.excited(first), self.excited(rest)
            found.append(Stage(f"stage{number}", first, rest, count, self.scan, self.keep))
        return found

    def head(self) -> list[Row]:
        """Global average pooling and the classifier."""
        return [GlobalPool(), Dense("classifier", self.num_classes, "identity")]


class CifarResNet(_Residual):
    """The network of §4.2.

    Attributes:
      depth: 6n + 2 weighted layers, projections not counted.
    """

    depth: int = 20
    num_classes: int = 10
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)

    def __post_init__(self) -> None:
        if self.depth < 8 or (self.depth - 2) % 6:
            below = max(8, self.depth - (self.depth - 2) % 6)
            raise errors.UserError(
                f"the depth of a CIFAR ResNet is 6n + 2 (8, 14, 20, ...), not {self.depth}; "
                f"the nearest are {below} and {below + 6}"
            )
        super().__post_init__()

    def table(self) -> Rows:
        return [Conv("conv1", self.width, 3), *self.stages(((self.depth - 2) // 6,) * 3), *self.head()]


BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Depth → blocks of each stage. He et al. 2015, Table 1."""

STRIDES_ON = ("1x1", "3x3")


class ResNet(_Residual):
    """The network of §4.1.

    Attributes:
      depth: of :data:`BLOCKS`.
      bottleneck: whether blocks are bottlenecks.
      padded_pool: whether the first pool is padded (the maps of the paper do not tell), or lets its last window reach over the
        end, as Caffe does.
      stride_on: which convolution of a bottleneck has the stride: ``"1x1"``, its first (the paper), or ``"3x3"`` (v1.5).
    """

    depth: int = 50
    shortcut: str = "B"
    width: int = 64
    bottleneck: bool = True
    stride_on: str = "1x1"
    padded_pool: bool = True

    def __post_init__(self) -> None:
        if self.depth not in BLOCKS:
            raise errors.unknown("depth", str(self.depth), map(str, BLOCKS))
        if self.stride_on not in STRIDES_ON:
            raise errors.unknown("stride_on", self.stride_on, STRIDES_ON)
        super().__post_init__()

    def block(self, features: int, strides: tuple[int, int]) -> Block:
        """Two 3×3 convolutions, or a bottleneck (Fig. 5 right)."""
        if not self.bottleneck:
            return super().block(features, strides)
        first, second = (strides, (1, 1)) if self.stride_on == "1x1" else ((1, 1), strides)
        body = (
            Conv("conv1", features, 1, first),
            Conv("conv2", features, 3, second),
            Conv("conv3", 4 * features, 1, activation="identity"),
        )
        return Block(body, self.shortcut, 4 * features, strides)

    def table(self) -> Rows:
        return [
            Conv("conv1", self.width, 7, 2),
            Pool("pool1", padding=1) if self.padded_pool else Pool("pool1", ceil=True),
            *self.stages(BLOCKS[self.depth]),
            *self.head(),
        ]


class ShallowResNet(ResNet):
    """Those of 18 and 34 layers, which have as many parameters as their plain twins."""

    depth: int = 34
    shortcut: str = "A"
    bottleneck: bool = False


registry.register(
    "resnet_cifar", CifarResNet, "residual network of depth 6n + 2 for 32×32 images; He et al. 2015, §4.2"
)
registry.register("plain_cifar", CifarResNet, "its twin without shortcuts; He et al. 2015, §4.2", shortcut="none")
for _depth in (20, 32, 44, 56, 110, 1202):
    registry.register(f"resnet{_depth}", CifarResNet, f"resnet_cifar of depth {_depth}; Table 6", depth=_depth)
    registry.register(
        f"plain{_depth}", CifarResNet, f"plain_cifar of depth {_depth}; §4.2", depth=_depth, shortcut="none"
    )
for _depth in BLOCKS:
    registry.register(
        f"resnet{_depth}",
        ResNet if _depth >= 50 else ShallowResNet,
        f"residual network of {_depth} layers; He et al. 2015, §4.1, Table 1",
        depth=_depth,
    )
for _depth in (18, 34):
    registry.register(
        f"plain{_depth}",
        ShallowResNet,
        f"plain network of {_depth} layers; He et al. 2015, §4.1",
        depth=_depth,
        shortcut="none",
    )
