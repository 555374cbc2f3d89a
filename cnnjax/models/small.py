"""Small networks for small images.

``tiny_vgg``: Wang et al. 2020 (*CNN Explainer*), §4: four 3×3 convolutions with ten maps, without padding. ``fashion_cnn``:
Géron 2019, chapter 14: five convolutions for Fashion-MNIST.
"""

from typing import ClassVar

from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, Drop, Flatten, Pool, Rows


class TinyVgg(Network):
    """Two pairs of convolutions, a pool after each."""

    num_classes: int = 10
    input_shape: ClassVar[tuple[int, int, int]] = (64, 64, 3)

    def table(self) -> Rows:
        return [
            Conv("conv1_1", 10, padding=0),
            Conv("conv1_2", 10, padding=0),
            Pool("pool1", window=2),
            Conv("conv2_1", 10, padding=0),
            Conv("conv2_2", 10, padding=0),
            Pool("pool2", window=2),
            Flatten(),
            Dense("classifier", self.num_classes, "identity"),
        ]


class FashionCnn(Network):
    """A 7×7 convolution, two pairs of 3×3 ones, two hidden layers."""

    num_classes: int = 10
    dropout: float = 0.5
    input_shape: ClassVar[tuple[int, int, int]] = (28, 28, 1)

    def table(self) -> Rows:
        return [
            Conv("conv1", 64, 7),
            Pool("pool1", window=2),
            Conv("conv2_1", 128),
            Conv("conv2_2", 128),
            Pool("pool2", window=2),
            Conv("conv3_1", 256),
            Conv("conv3_2", 256),
            Pool("pool3", window=2),
            Flatten(),
            Dense("fc4", 128),
            Drop("drop4"),
            Dense("fc5", 64),
            Drop("drop5"),
            Dense("classifier", self.num_classes, "identity"),
        ]


registry.register("tiny_vgg", TinyVgg, "ten maps, four convolutions; Wang et al. 2020, §4")
registry.register("fashion_cnn", FashionCnn, "five convolutions for 28×28 images; Géron 2019, §14")
