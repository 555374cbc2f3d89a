"""Deep Residual Learning for Image Recognition (He, Zhang, Ren, Sun 2015).

§4.2, the CIFAR-10 family of depth 6n + 2: a 3×3 convolution with 16 maps; three stages of n blocks of two 3×3
convolutions with 16, 32 and 64 maps, the first block of the second and third stage at stride 2; global average pooling;
one fully connected layer. Batch normalisation after every convolution and before the activation (§3.4), no dropout.

The plain twin has the same layers and no shortcuts. With shortcut A, which the paper uses here, the two have the same
parameters.

Departures: the running variance is a moving average of the biased one, as at training; Caffe's, which the authors used, and
PyTorch's is of the unbiased one. The momentum and the epsilon of batch normalisation are ours: the paper gives neither.
Popular ports differ: projections (B) instead of A; new channels padded on both sides instead of
at the end; ResNets of 11 M parameters that are called "ResNet-18 for CIFAR" and are another network.

The names 18, 34, 50, 101 and 152 belong to the ImageNet networks of §4.1.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn import initialisers
from cnnjax.nn.conv import Conv
from cnnjax.nn.norm import BatchNorm
from cnnjax.nn.shortcut import KINDS, Shortcut
from cnnjax.nn.stacking import KEPT, Stage

_DTYPES = ("bfloat16", "float16", "float32", "float64")


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut around them (Fig. 2 and Fig. 5 left): ``relu(F(x) + x)``.

    Attributes:
      features: channels of both convolutions.
      shortcut: see :data:`cnnjax.nn.shortcut.KINDS`; ``"none"`` gives ``relu(F(x))``.
      conv: makes a convolution without bias.
      norm: makes a normalisation.
      strides: of the first convolution and of the shortcut.
    """

    features: int
    shortcut: str
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = self.conv(self.features, (3, 3), self.strides, name="conv1")(x)
        y = nn.relu(self.norm(name="norm1")(y, train))
        y = self.conv(self.features, (3, 3), name="conv2")(y)
        y = self.norm(name="norm2")(y, train)
        if self.shortcut != "none":
            y += Shortcut(self.shortcut, self.features, self.strides, self.conv, self.norm, name="shortcut")(x, train)
        return nn.relu(y)


class CifarResNet(nn.Module):
    """The network of §4.2.

    Attributes:
      depth: 6n + 2 weighted layers, projections not counted.
      shortcut: see :data:`cnnjax.nn.shortcut.KINDS`; ``"none"`` is the plain network.
      num_classes: size of the output.
      width: maps of the first stage; the others have two and four times as many.
      scan: whether the identical blocks of a stage are one scanned block, see :mod:`cnnjax.nn.stacking`.
      keep: what is kept for the backward pass, see :data:`cnnjax.nn.stacking.KEPT`.
      dtype: of the computations; parameters and statistics are float32.
      conv_form: see :func:`cnnjax.nn.conv.conv2d`.
      bn_group, bn_axis, bn_momentum, bn_epsilon: see :class:`cnnjax.nn.norm.BatchNorm`.
    """

    depth: int = 20
    shortcut: str = "A"
    num_classes: int = 10
    width: int = 16
    scan: bool = False
    keep: str = "all"
    dtype: str = "float32"
    conv_form: str = "canonical"
    bn_group: int = 0
    bn_axis: str | None = None
    bn_momentum: float = 0.9
    bn_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if self.depth < 8 or (self.depth - 2) % 6:
            below = max(8, self.depth - (self.depth - 2) % 6)
            raise errors.UserError(
                f"the depth of a CIFAR ResNet is 6n + 2 (8, 14, 20, ...), not {self.depth}; "
                f"the nearest are {below} and {below + 6}"
            )
        if self.shortcut not in KINDS:
            raise errors.unknown("shortcut", self.shortcut, KINDS)
        if self.keep not in KEPT:
            raise errors.unknown("keep", self.keep, KEPT)
        if self.dtype not in _DTYPES:
            raise errors.unknown("dtype", self.dtype, _DTYPES)
        if self.width < 1 or self.num_classes < 1:
            raise errors.UserError(f"width and num_classes are at least 1, not {self.width} and {self.num_classes}")
        if not 0 <= self.bn_momentum <= 1:
            raise errors.UserError(f"bn_momentum lies in 0 ... 1, not {self.bn_momentum}")
        if not 0 < self.bn_epsilon < math.inf:
            raise errors.UserError(f"bn_epsilon is larger than 0, not {self.bn_epsilon}")
        super().__post_init__()

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False, freeze_bn: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Logits ``[N, num_classes]`` of ``images [N, H, W, C]``, and the taps ``stage1``, ``stage2``, ``stage3``.

        Args:
          images: preprocessed; any size that can be halved twice.
          train: training behaviour; writes to ``batch_stats``.
          freeze_bn: batch normalisation keeps to its running statistics, also in training.

        Raises:
          UserError: JAX does not compute in ``dtype``.
        """
        if jax.dtypes.canonicalize_dtype(self.dtype) != self.dtype:
            raise errors.UserError(f"dtype {self.dtype} wants JAX_ENABLE_X64=1; without it JAX computes in float32")
        conv = functools.partial(Conv, use_bias=False, dtype=self.dtype, form=self.conv_form)
        norm = functools.partial(
            BatchNorm,
            group=self.bn_group,
            axis=self.bn_axis,
            momentum=self.bn_momentum,
            epsilon=self.bn_epsilon,
            dtype=self.dtype,
        )
        bn_train = train and not freeze_bn
        x = conv(self.width, (3, 3), name="conv1")(images.astype(self.dtype))
        x = nn.relu(norm(name="norm1")(x, bn_train))
        taps = {}
        for number, strides in enumerate([(1, 1), (2, 2), (2, 2)], start=1):
            features = self.width * 2 ** (number - 1)
            block = functools.partial(BasicBlock, features, self.shortcut, conv, norm)
            stage = Stage(block, (self.depth - 2) // 6, strides, self.scan, self.keep, name=f"stage{number}")
            taps[f"stage{number}"] = x = stage(x, bn_train)
        x = x.mean(axis=(1, 2))
        x = nn.Dense(self.num_classes, kernel_init=initialisers.he_normal, dtype=self.dtype, name="classifier")(x)
        return x, taps


registry.register(
    "resnet_cifar", CifarResNet, "residual network of depth 6n + 2 for 32×32 images; He et al. 2015, §4.2"
)
registry.register("plain_cifar", CifarResNet, "its twin without shortcuts; He et al. 2015, §4.2", shortcut="none")
for _depth in (20, 32, 44, 56, 110, 1202):
    registry.register(f"resnet{_depth}", CifarResNet, f"resnet_cifar of depth {_depth}; Table 6", depth=_depth)
    registry.register(
        f"plain{_depth}", CifarResNet, f"plain_cifar of depth {_depth}; §4.2", depth=_depth, shortcut="none"
    )
