"""Gradient-Based Learning Applied to Document Recognition (LeCun, Bottou, Bengio, Haffner 1998).

§II-B, LeNet-5: 5×5 convolutions with 6, 16 and 120 maps; after the first two sub-sampling: the sum of 2×2 values times a
coefficient a map, plus a bias, squashed; a layer of 84; ten radial basis functions. The second convolution sees three, four or
six of the maps before it (Table I). The activation is 1.7159 tanh(2x / 3) (appendix A); kernels start in ±2.4 / fan-in.
Images of 32×32, grey. 60,000 parameters.

The radial basis functions' centres are 7×12 bitmaps of characters in the paper (Fig. 3). It prints only pictures of them; here
they are fixed codes of ±1, drawn once (a departure). Logits are the negative distances.

Other networks of this name: ``lenet5_dense``, with every connection of the second convolution, average pooling and ten linear
units (61,706 parameters); ``lenet_mnist``, with 32 and 64 maps, ReLUs and 512 units (1,663,370); ``lenet_cifar``, for colour
images (62,006).
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn.conv import conv2d
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Activation, Conv, Dense, Drop, Flatten, Pool, Row, Rows, Settings
from cnnjax.ops import pooling

CONNECTIONS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
"""Maps of S2 that each of the 16 maps of C3 sees. Table I."""


@dataclasses.dataclass(frozen=True)
class SparseConv:
    """A 5×5 convolution whose maps see some of the maps before them: those of :data:`CONNECTIONS`, and no weight for others.

    Parameters: ``kernel [5, 5, connections]``, map by map, and ``bias``; normalised where the network is.
    """

    name: str

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        y = _SparseConv(settings, name=self.name)(x)
        if settings.norm is not None:
            y = settings.normalise(y, self.name.replace("conv", "norm", 1))
        return settings.activate(y, None)


class _SparseConv(nn.Module):
    settings: Settings

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        pairs = [(source, target) for target, sources in enumerate(CONNECTIONS) for source in sources]
        sources, targets = map(np.array, zip(*pairs, strict=True))

        # A map's fan-in is that of the maps it sees.
        def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
            keys = jax.random.split(key, len(CONNECTIONS))
            maps = [initial(each, (5, 5, len(seen), 1)) for each, seen in zip(keys, CONNECTIONS, strict=True)]
            return jnp.concatenate([each.reshape(5, 5, -1) for each in maps], -1)

        initial = self.settings.initial(None, 0.0)["kernel_init"]
        weights = self.param("kernel", draw, (5, 5, len(pairs)))
        dtype = self.settings.dtype
        kernel = jnp.zeros((5, 5, 6, len(CONNECTIONS)), weights.dtype).at[:, :, sources, targets].set(weights)
        y = conv2d(x.astype(dtype), kernel.astype(dtype), form=self.settings.form)
        if self.settings.norm is not None and not self.settings.norm_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros_init(), (len(CONNECTIONS),), jnp.float32).astype(dtype)


@dataclasses.dataclass(frozen=True)
class SubSample:
    """The sum of 2×2 values, times a coefficient a map, plus a bias, activated. Parameters: ``scale``, ``bias``."""

    name: str

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return _SubSample(settings, name=self.name)(x)


class _SubSample(nn.Module):
    settings: Settings

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.constant(0.25), (x.shape[-1],), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (x.shape[-1],), jnp.float32)
        y = pooling.pool(x, "sum", (2, 2)) * scale.astype(x.dtype) + bias.astype(x.dtype)
        return self.settings.activate(y, None)


@dataclasses.dataclass(frozen=True)
class Rbf:
    """The negative squared distances to fixed codes of ±1, one a class. Equation 7."""

    name: str
    classes: int

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        codes = np.random.default_rng(1998).choice([-1.0, 1.0], (self.classes, x.shape[-1]))
        return -((x[:, None, :] - jnp.asarray(codes, x.dtype)) ** 2).sum(-1)


class LeNet5(Network):
    """The network of 1998."""

    num_classes: int = 10
    activation: str = "scaled_tanh"
    kernel_init: str = "lecun"
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 1)

    def __post_init__(self) -> None:
        if self.width_factor != 1:
            raise errors.UserError("the connections of lenet5 are those of Table I: it has no other width")
        super().__post_init__()

    def table(self) -> Rows:
        return [
            Conv("conv1", 6, 5, padding=0),
            SubSample("pool2"),
            SparseConv("conv3"),
            SubSample("pool4"),
            Conv("conv5", 120, 5, padding=0),
            Flatten(),
            Dense("fc6", 84),
            Rbf("rbf", self.num_classes),
        ]


class DenseLeNet(Network):
    """With all connections, and linear units at the end.

    Attributes:
      maps: of the two convolutions.
      hidden: units of the fully connected layers.
      padding: of the convolutions, 0 for images of 32×32, 2 for 28×28.
      pool: kind of the pools.
      activated_pool: whether an activation follows each pool.
      start: initial bias of the fully connected layers.
      std: of the Gaussian that all kernels are drawn from; 0: He's.
    """

    maps: tuple[int, int] = (6, 16)
    hidden: tuple[int, ...] = (120, 84)
    padding: int = 0
    pool: str = "average"
    activated_pool: bool = True
    start: float = 0.0
    std: float = 0.0
    num_classes: int = 10
    activation: str = "tanh"
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 1)

    def table(self) -> Rows:
        table: list[Row] = []
        std = self.std or None
        for number, maps in enumerate(self.maps, start=1):
            table += [
                Conv(f"conv{number}", maps, 5, padding=self.padding, std=std),
                Pool(f"pool{number}", self.pool, 2),
            ]
            table += [Activation(f"pool{number}_activation")] if self.activated_pool else []
        table.append(Flatten())
        for number, units in enumerate(self.hidden, start=3):
            table += [Dense(f"fc{number}", units, std=std, start=self.start), Drop(f"drop{number}")]
        return [*table, Dense("classifier", self.num_classes, "identity", std=std, start=self.start)]


class MnistLeNet(DenseLeNet):
    """32 and 64 maps, maximum pooling, 512 units, dropout of one half: a network of TensorFlow's tutorials.

    Kernels start from a Gaussian of 0.1, as there (where it is cut off at twice that), biases of the hidden layers at 0.1.
    """

    maps: tuple[int, int] = (32, 64)
    hidden: tuple[int, ...] = (512,)
    padding: int = 2
    pool: str = "max"
    activated_pool: bool = False
    start: float = 0.1
    std: float = 0.1
    activation: str = "relu"
    dropout: float = 0.5
    input_shape: ClassVar[tuple[int, int, int]] = (28, 28, 1)


class CifarLeNet(DenseLeNet):
    """ReLUs and maximum pooling, for colour images."""

    pool: str = "max"
    activated_pool: bool = False
    activation: str = "relu"
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)


registry.register(
    "lenet5",
    LeNet5,
    "sparse connections (C3 is computed, and counted, as if there were all), trained sub-sampling, RBF outputs; "
    "LeCun et al. 1998, §II-B",
)
registry.register("lenet5_dense", DenseLeNet, "all connections, linear outputs; after LeCun et al. 1998, §II-B")
registry.register("lenet_mnist", MnistLeNet, "32 and 64 maps, ReLU; after LeCun et al. 1998, §II-B")
registry.register("lenet_cifar", CifarLeNet, "for 32×32×3, ReLU; after LeCun et al. 1998, §II-B")
