"""Fully connected networks: the baseline of every convolutional one.

``mlp_cifar10``: 3072-4096-4096-10, 29 M parameters for images of 32×32×3. ``mlp_bn_mnist``: Ioffe & Szegedy 2015, §4.1, three
layers of 100 sigmoid units, with or without batch normalisation.
"""

from typing import ClassVar

from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Dense, Drop, Flatten, Row, Rows


class Perceptron(Network):
    """Hidden layers of any widths.

    Attributes:
      widths: of the hidden layers.
    """

    widths: tuple[int, ...] = (4096, 4096)
    num_classes: int = 10
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)

    def table(self) -> Rows:
        hidden: list[Row] = []
        for number, width in enumerate(self.widths, start=1):
            hidden += [Dense(f"fc{number}", width, norm=self.batch_norm), Drop(f"drop{number}")]
        return [Flatten(), *hidden, Dense("classifier", self.num_classes, "identity")]


class MnistPerceptron(Perceptron):
    """The network of §4.1 on batch normalisation."""

    widths: tuple[int, ...] = (100, 100, 100)
    activation: str = "sigmoid"
    batch_norm: bool = True
    input_shape: ClassVar[tuple[int, int, int]] = (28, 28, 1)


registry.register("mlp_cifar10", Perceptron, "two hidden layers of 4096; the baseline beside Krizhevsky 2009, §3")
registry.register("mlp_bn_mnist", MnistPerceptron, "three layers of 100 sigmoid units; Ioffe & Szegedy 2015, §4.1")
