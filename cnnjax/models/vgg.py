"""Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan, Zisserman 2014).

Table 1: five stages of 3×3 convolutions with 64, 128, 256, 512 and 512 maps, a 2×2 max pool after each; three fully connected
layers, dropout of one half after the first two. C has 1×1 convolutions as the last of its later stages. The paper draws kernels
from N(0, 0.01²) (§3.1), and starts the deeper networks from a trained A, with the latter's first four convolutions and its
fully connected layers (``--config.init.weights=A --config.init.head='^conv(1_2|2_2|3_[34]|4_|5_)'``: what begins anew); it
found later that Glorot & Bengio's does without (``kernel_init="glorot"``).

Departures: "variance 10⁻²" of §3.1 is read as a standard deviation. Popular ports for CIFAR have a head of 512-512
(``hidden=512``) or of one layer; batch normalisation (``batch_norm``) came after the paper.
"""

from collections.abc import Callable

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, Drop, Flatten, GlobalPool, Lrn, Pool, Row, Rows

STAGES = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3),) * 5,
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
    "B5": ((5,),) * 5,
    "D7": ((3, 3), (3, 3), (7,), (7,), (7,)),
}
"""Configuration → kernel sizes of each stage. Table 1; B5 is the control of §4.1: one 5×5 for each pair of B. D7 has the 7×7
that §2.3 compares three 3×3 with, for each three of D: a map sees as much of the image."""

FEATURES = (64, 128, 256, 512, 512)


class Vgg(Network):
    """A configuration of Table 1.

    Attributes:
      config: of :data:`STAGES`.
      lrn: whether the first convolution is followed by local response normalisation (A-LRN).
      hidden: units of the first two fully connected layers.
      head: of :data:`HEADS`.
    """

    config: str = "D"
    lrn: bool = False
    hidden: int = 4096
    head: str = "connected"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.config not in STAGES:
            raise errors.unknown("config", self.config, STAGES)
        if self.head not in HEADS:
            raise errors.unknown("head", self.head, HEADS)
        super().__post_init__()

    def table(self) -> Rows:
        table: list[Row] = []
        for stage, (features, kernels) in enumerate(zip(FEATURES, STAGES[self.config], strict=True), start=1):
            for number, kernel in enumerate(kernels, start=1):
                table.append(Conv(f"conv{stage}_{number}", features, kernel, std=0.01))
                if self.lrn and stage == number == 1:
                    table.append(Lrn("lrn1"))
            table.append(Pool(f"pool{stage}", "max", 2, 2))
        return [*table, *HEADS[self.head](self)]

    def connected(self) -> list[Row]:
        """Three fully connected layers (Table 1)."""
        return [
            Flatten(),
            Dense("fc6", self.hidden, std=0.01),
            Drop("drop6"),
            Dense("fc7", self.hidden, std=0.01),
            Drop("drop7"),
            Dense("fc8", self.num_classes, "identity", std=0.01),
        ]

    def convolutional(self) -> list[Row]:
        """The same as convolutions (§3.2): images of any size from 224, the average of the class score map (tap ``fc8``)."""
        return [
            Conv("fc6", self.hidden, 7, padding=0, norm=False, std=0.01),
            Drop("drop6"),
            Conv("fc7", self.hidden, 1, norm=False, std=0.01),
            Drop("drop7"),
            Conv("fc8", self.num_classes, 1, norm=False, activation="identity", std=0.01),
            GlobalPool(),
        ]

    def average(self) -> list[Row]:
        """The average of each map and the classifier, in place of the hidden layers; Zhang et al. 2017 (PCM)."""
        return [GlobalPool(), Dense("fc8", self.num_classes, "identity", std=0.01)]


HEADS: dict[str, Callable[[Vgg], list[Row]]] = {
    "connected": Vgg.connected,
    "convolutional": Vgg.convolutional,
    "average": Vgg.average,
}
"""What comes after the last pool → its rows."""


class VggBn(Vgg):
    """With batch normalisation, as torchvision has it: convolutions keep their bias."""

    batch_norm: bool = True
    bn_bias: bool = True


class VggGap(Vgg):
    """Without hidden layers there is nothing to drop."""

    dropout: float = 0.0


for _layers, _config in ((11, "A"), (13, "B"), (16, "D"), (19, "E")):
    registry.register(
        f"vgg{_layers}",
        Vgg,
        f"configuration {_config}; Simonyan & Zisserman 2014, Table 1",
        config=_config,
    )
    registry.register(
        f"vgg{_layers}_bn",
        VggBn,
        f"vgg{_layers} with batch normalisation; Table 1",
        config=_config,
    )
registry.register("vgg16_c", Vgg, "configuration C, with 1×1 convolutions; Table 1", config="C")
registry.register("vgg16_c_bn", VggBn, "vgg16_c with batch normalisation; Table 1", config="C")
registry.register("vgg11_lrn", Vgg, "configuration A-LRN; Table 1", config="A", lrn=True)
registry.register("vgg13_5x5", Vgg, "B with 5×5 convolutions for pairs of 3×3; §4.1", config="B5")
for _layers, _config in ((11, "A"), (16, "D")):
    registry.register(
        f"vgg{_layers}_gap",
        VggGap,
        f"configuration {_config} (Table 1) with global average pooling for its hidden layers; Zhang et al. 2017",
        config=_config,
        head="average",
    )
registry.register("vgg16_7x7", Vgg, "D with 7×7 convolutions for threes of 3×3; §2.3", config="D7")
