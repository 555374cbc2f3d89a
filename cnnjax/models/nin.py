"""Network in Network (Lin, Chen, Yan 2013).

§3.1, equation 2: three mlpconv layers (four for ImageNet), each a convolution and two 1×1 convolutions, with a ReLU after
each, the last included; 3×3 max pools at stride 2 between them, followed by dropout of one half; §3.2: global average pooling
of one map a class, and nothing to learn after it.
Widths are those of the authors' released definitions; the paper prints none. 32×32 images become maps of 16 and 8: the last
window reaches over the end (``ceil``).

Departures, as options: no ReLU on the class maps (``final_relu=False``), whose averages it keeps from being negative; ports
pool by the average after the second layer (``second_pool``), with padding instead of ``ceil`` (``pool_padding``).
"""

from typing import ClassVar

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, Drop, Flatten, GlobalPool, Pool, Row, Rows

HEADS = ("average", "connected")


class Nin(Network):
    """A network of mlpconv layers.

    Attributes:
      widths: of each mlpconv layer, its kernel and the maps of its three convolutions; the last one's last is a map a class.
      head: ``"average"``, or ``"connected"``: the control of §4.6, a fully connected layer on the last maps.
      head_dropout: what is dropped of the last maps before the fully connected layer; 0: nothing.
      mlpconv: whether each layer has its two 1×1 convolutions, or is a linear filter and a ReLU.
      second_pool: kind of the pool after the second layer.
      pool_padding: of the pools, instead of windows that reach over the end.
      final_relu: whether the class maps have one.
      std: of the Gaussian that kernels are drawn from.
    """

    widths: tuple[tuple[int, int, int, int], ...] = ((5, 192, 160, 96), (5, 192, 192, 192), (3, 192, 192, 0))
    head: str = "average"
    head_dropout: float = 0.0
    mlpconv: bool = True
    second_pool: str = "max"
    pool_padding: int = 0
    final_relu: bool = True
    std: float = 0.05
    num_classes: int = 10
    dropout: float = 0.5
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise errors.unknown("head", self.head, HEADS)
        if not self.widths:
            raise errors.UserError("widths names at least one mlpconv layer")
        super().__post_init__()

    def table(self) -> Rows:
        table: list[Row] = []
        for number, (kernel, *maps) in enumerate(self.widths, start=1):
            table += self._layer(number, kernel, maps)
            if number < len(self.widths):
                kind = self.second_pool if number == 2 else "max"
                table += [
                    Pool(f"pool{number}", kind, padding=self.pool_padding, ceil=not self.pool_padding),
                    Drop(f"drop{number}"),
                ]
        if self.head == "average":
            return [*table, GlobalPool()]
        drop = [Drop("drop_head", self.head_dropout)] if self.head_dropout else []
        return [*table, Flatten(), *drop, Dense("classifier", self.num_classes, "identity", std=self.std)]

    def _layer(self, number: int, kernel: int, maps: list[int]) -> list[Row]:
        last = number == len(self.widths)
        kernels = [kernel, 1, 1]
        if not self.mlpconv:
            kernels, maps = [kernel], maps[-1:]
        rows: list[Row] = []
        for place, (size, count) in enumerate(zip(kernels, maps, strict=True), start=1):
            final = last and place == len(kernels)
            activation = "identity" if final and self.head == "average" and not self.final_relu else None
            strides, padding = self.stem() if number == place == 1 else (1, None)
            rows.append(
                Conv(f"conv{number}_{place}", count or self.num_classes, size, strides, padding, 1, 1, activation,
                     norm=False if final else None, std=self.std)
            )  # fmt: skip
        return rows

    def stem(self) -> tuple[int, int | None]:
        """Stride and padding of the first convolution."""
        return 1, None


class NinImageNet(Nin):
    """Four layers for 224×224 images (the authors' model in Caffe's zoo)."""

    widths: tuple[tuple[int, int, int, int], ...] = (
        (11, 96, 96, 96),
        (5, 256, 256, 256),
        (3, 384, 384, 384),
        (3, 1024, 1024, 0),
    )
    num_classes: int = 1000
    input_shape: ClassVar[tuple[int, int, int]] = (224, 224, 3)

    def stem(self) -> tuple[int, int | None]:
        return 4, 0


class NinMnist(Nin):
    """Narrower, for 28×28 grey images."""

    widths: tuple[tuple[int, int, int, int], ...] = ((5, 96, 64, 48), (5, 128, 96, 48), (5, 128, 96, 0))
    input_shape: ClassVar[tuple[int, int, int]] = (28, 28, 1)


class NinCifar100(Nin):
    """A map for each of 100 classes."""

    num_classes: int = 100


registry.register("nin_cifar10", Nin, "three mlpconv layers; Lin et al. 2013, §4.2")
registry.register("nin_cifar100", NinCifar100, "nin_cifar10 for 100 classes; Lin et al. 2013, §4.3")
registry.register("nin_mnist", NinMnist, "narrower, for grey images; Lin et al. 2013, §4.5")
registry.register("nin_imagenet", NinImageNet, "four mlpconv layers; after Lin et al. 2013, §3.3")
