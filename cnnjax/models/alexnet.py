"""ImageNet Classification with Deep Convolutional Neural Networks (Krizhevsky, Sutskever, Hinton 2012).

§3.5: five convolutions and three fully connected layers, overlapping 3×3 max pools at stride 2 after the first, second and
fifth (§3.4), local response normalisation before the first two pools (§3.3), dropout of one half in the first two fully
connected layers (§4.2). On two GPUs the second, fourth and fifth convolution see the maps of their own GPU: two groups. §5:
kernels from N(0, 0.01²), biases of 1 in the second, fourth and fifth convolution and in the hidden fully connected layers.

Departures: images are 227×227 (the paper's 224 does not give its maps of 55×55). Popular ports differ: no groups; pooling
before normalisation (CaffeNet; ``lrn="after"``); the one-GPU network of *One weird trick for parallelizing convolutional neural
networks* (Krizhevsky 2014) as PyTorch has it: other widths, images of 224×224, no normalisation, dropout before its layers.

Also the four-layer network for CIFAR-10 of §3.1 (Fig. 1) and §3.3; its layers are those of the authors' released 18 % and 11 %
networks in outline, which the paper does not print.
"""

from typing import ClassVar

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, Drop, Flatten, Lrn, Pool, Row, Rows

LRN_PLACES = ("before", "after", "none")
"""Of local response normalisation, in regard to pooling."""


def reduced(pool: Pool, lrn: Lrn, place: str) -> list[Row]:
    """A pool, and local response normalisation at its place."""
    rows: dict[str, list[Row]] = {"before": [lrn, pool], "after": [pool, lrn], "none": [pool]}
    return rows[place]


class AlexNet(Network):
    """The network of 2012.

    Attributes:
      groups: of the second, fourth and fifth convolution.
      lrn: of :data:`LRN_PLACES`.
      lrn_mean: whether its alpha is of the mean of squares, as in PyTorch, or of their sum.
      overlapping: whether pools are 3×3 at stride 2, or 2×2.
      features: maps of the third to fifth convolution; 512, 1024, 512 are Zeiler & Fergus 2013, Table 3.
      hidden: units of the sixth and seventh layer.
      without: layers that are left out, with commas, e.g. ``"conv3,conv4"`` (§7; Zeiler & Fergus 2013, Table 3).
    """

    groups: int = 2
    lrn: str = "before"
    lrn_mean: bool = False
    overlapping: bool = True
    features: tuple[int, int, int] = (384, 384, 256)
    hidden: int = 4096
    without: str = ""
    dropout: float = 0.5
    input_shape: ClassVar[tuple[int, int, int]] = (227, 227, 3)

    def __post_init__(self) -> None:
        if self.lrn not in LRN_PLACES:
            raise errors.unknown("lrn", self.lrn, LRN_PLACES)
        removable = ("conv3", "conv4", "conv5", "fc6", "fc7")
        for name in self.removed():
            if name not in removable:
                raise errors.unknown("layer to be left out", name, removable)
        super().__post_init__()

    def removed(self) -> list[str]:
        """The layers that :attr:`without` names."""
        return [name.strip() for name in self.without.split(",") if name.strip()]

    def table(self) -> Rows:
        window = 3 if self.overlapping else 2
        third, fourth, fifth = self.features
        table: list[Row] = [
            Conv("conv1", 96, 11, 4, padding=0, std=0.01),
            *reduced(Pool("pool1", window=window), Lrn("lrn1", mean=self.lrn_mean), self.lrn),
            Conv("conv2", 256, 5, groups=self.groups, std=0.01, start=1.0),
            *reduced(Pool("pool2", window=window), Lrn("lrn2", mean=self.lrn_mean), self.lrn),
            Conv("conv3", third, 3, std=0.01),
            Conv("conv4", fourth, 3, groups=self.groups, std=0.01, start=1.0),
            Conv("conv5", fifth, 3, groups=self.groups, std=0.01, start=1.0),
            Pool("pool5", window=window),
            Flatten(),
            Dense("fc6", self.hidden, std=0.01, start=1.0),
            Drop("drop6"),
            Dense("fc7", self.hidden, std=0.01, start=1.0),
            Drop("drop7"),
            Dense("fc8", self.num_classes, "identity", std=0.01),
        ]
        gone = self.removed()
        return [row for row in table if row.name not in {*gone, *(name.replace("fc", "drop") for name in gone)}]


class AlexNetOwt(Network):
    """Krizhevsky 2014, §5 (footnote), as torchvision has it."""

    dropout: float = 0.5

    def table(self) -> Rows:
        return [
            Conv("conv1", 64, 11, 4, padding=2),
            Pool("pool1"),
            Conv("conv2", 192, 5),
            Pool("pool2"),
            Conv("conv3", 384),
            Conv("conv4", 256),
            Conv("conv5", 256),
            Pool("pool5"),
            Flatten(),
            Drop("drop5"),
            Dense("fc6", 4096),
            Drop("drop6"),
            Dense("fc7", 4096),
            Dense("fc8", self.num_classes, "identity"),
        ]


class AlexNetCifar(Network):
    """A popular adaptation to 32×32 images."""

    num_classes: int = 10
    dropout: float = 0.5
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)

    def table(self) -> Rows:
        return [
            Conv("conv1", 64, 3, 2),
            Pool("pool1", window=2),
            Conv("conv2", 192),
            Pool("pool2", window=2),
            Conv("conv3", 384),
            Conv("conv4", 256),
            Conv("conv5", 256),
            Pool("pool5", window=2),
            Flatten(),
            Drop("drop5"),
            Dense("fc6", 4096),
            Drop("drop6"),
            Dense("fc7", 4096),
            Dense("fc8", self.num_classes, "identity"),
        ]


class CifarNet(Network):
    """Four layers for CIFAR-10: three 5×5 convolutions with 32, 32 and 64 maps, each pooled, and one fully connected layer.

    Attributes:
      lrn: whether the first two pools are followed by local response normalisation.
      first_pool: kind of the pool after the first layer; the others average.
    """

    num_classes: int = 10
    lrn: bool = True
    first_pool: str = "max"
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)

    def table(self) -> Rows:
        table: list[Row] = [
            Conv("conv1", 32, 5, std=1e-4),
            Pool("pool1", self.first_pool, ceil=True),
            Lrn("lrn1", size=3, k=1.0, alpha=5e-5),
            Conv("conv2", 32, 5, std=0.01),
            Pool("pool2", "average", ceil=True),
            Lrn("lrn2", size=3, k=1.0, alpha=5e-5),
            Conv("conv3", 64, 5, std=0.01),
            Pool("pool3", "average", ceil=True),
            Flatten(),
            Dense("fc4", self.num_classes, "identity", std=0.01),
        ]
        return table if self.lrn else [row for row in table if not isinstance(row, Lrn)]


registry.register("alexnet", AlexNet, "two groups, as on two GPUs; Krizhevsky et al. 2012, §3.5")
registry.register("alexnet_ungrouped", AlexNet, "without groups; Krizhevsky et al. 2012, §3.5", groups=1)
registry.register("alexnet_owt", AlexNetOwt, "one weird trick, one tower; Krizhevsky 2014, §5")
registry.register("alexnet_cifar", AlexNetCifar, "adaptation to 32×32; after Krizhevsky et al. 2012, §3.5")
registry.register("cifarnet", CifarNet, "four layers for CIFAR-10; Krizhevsky et al. 2012, §3.1 and §3.3")
