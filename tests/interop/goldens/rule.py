"""The networks that are compared with other packages', and their parameters: numbers from names.

    draw(name, shape) = numpy.random.RandomState(crc32(name)).standard_normal(shape)      # float64

``RandomState``'s streams are frozen (NumPy enhancement proposal 19).
"""

import dataclasses
import hashlib
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def draw(name, shape):
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)


def parameter(name, shape):
    """A parameter or running statistic of PyTorch: half of He's variance for kernels, the rest near its initial value.

    With all of it, what fifty blocks add up to in evaluation drives the gates of squeeze-and-excitation so far that rounding
    shows in the logits.
    """
    z = draw(name, shape)
    if len(shape) > 1:
        return z / np.sqrt(np.prod(shape[1:]))
    if name.endswith("running_var"):
        return np.exp(0.2 * z)
    return 1 + 0.2 * z if name.endswith("weight") else 0.2 * z


def keras_parameter(name, shape):
    """The same of a variable of Keras: ``layer/kernel``, ``layer/gamma``, ..."""
    z = draw(name, shape)
    if len(shape) > 1:
        return z / np.sqrt(np.prod(shape[:2] if name.endswith("depthwise_kernel") else shape[:-1]))
    if name.endswith("variance"):
        return np.exp(0.2 * z)
    return 1 + 0.2 * z if name.endswith("gamma") else 0.2 * z


def images(side):
    return draw("images", (2, side, side, 3))


def digest(shapes):
    """Of names and shapes, in any order."""
    lines = sorted(f"{name} {'×'.join(map(str, shape))}\n" for name, shape in shapes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Case:
    """A network of another package, and what of it is compared.

    Attributes:
      source, theirs: package and name.
      side: height and width of the images.
      taps: ours → a module's name there.
      fields: of ours, beside those of the counterpart.
      sides: our auxiliary logits, in the order in which the network there gives them in training.
      slow: whether the test is left out of the default run: large images or layers.
    """

    source: str
    theirs: str
    side: int
    taps: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    slow: bool = False
    sides: tuple[str, ...] = ()


_STAGES = {f"stage{number}": f"layer{number}" for number in range(1, 5)}
_UNITS = {f"stage{number}": f"features.stage{number}" for number in range(1, 4)}
_GOOGLENET = {
    f"inception_{name}": f"inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
}
_V3 = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
_V4 = ("3a", "4a", "5a", "5b", "5c", "5d", "5e", "6a", *(f"6{each}" for each in "bcdefgh"), "7a", "7b", "7c", "7d")
_SMALL = {"hidden": 32}

_CASES = [
    Case("torchvision", "alexnet", 224, {"pool5": "features.12", "fc7": "classifier.5"}),
    Case("torchvision", "vgg11", 64, {"conv1_1": "features.1", "pool3": "features.10", "pool5": "features.20"}, _SMALL),
    Case("torchvision", "vgg13", 64, {"pool5": "features.24"}, _SMALL),
    Case("torchvision", "vgg16", 64, {"conv4_3": "features.22", "pool5": "features.30"}, _SMALL),
    Case("torchvision", "vgg19", 64, {"pool5": "features.36"}, _SMALL),
    Case("torchvision", "vgg11_bn", 64, {"conv1_1": "features.2", "pool5": "features.28"}, _SMALL),
    Case("torchvision", "vgg13_bn", 64, {"pool5": "features.34"}, _SMALL),
    Case("torchvision", "vgg16_bn", 64, {"conv4_3": "features.32", "pool5": "features.43"}, _SMALL),
    Case("torchvision", "vgg19_bn", 64, {"pool5": "features.52"}, _SMALL),
    Case("torchvision", "resnet18", 64, {"pool1": "maxpool", **_STAGES}),
    Case("torchvision", "resnet34", 64, _STAGES),
    Case("torchvision", "resnet50", 64, {"pool1": "maxpool", **_STAGES}),
    Case("torchvision", "resnet101", 64, _STAGES, slow=True),
    Case("torchvision", "resnet152", 64, _STAGES, slow=True),
    Case(
        "torchvision",
        "googlenet",
        96,
        {"pool2": "maxpool2", **_GOOGLENET},
        sides=("aux2_logits", "aux1_logits"),
        slow=True,
    ),
    Case(
        "torchvision",
        "inception_v3",
        299,
        {"pool5a": "maxpool2", **{f"mixed_{name}": f"Mixed_{name}" for name in _V3}},
        slow=True,
        sides=("aux_logits",),
    ),
    Case(
        "timm",
        "inception_v4",
        139,
        {f"mixed_{name}": f"features.{place}" for place, name in enumerate(_V4, start=3)},
        slow=True,
    ),
    Case(
        "timm",
        "inception_resnet_v2",
        139,
        {
            "mixed_5b": "mixed_5b",
            "block35_10": "repeat",
            "mixed_6a": "mixed_6a",
            "block17_20": "repeat_1",
            "mixed_7a": "mixed_7a",
            "block8_10": "block8",
            "conv_7b": "conv2d_7b",
        },
        slow=True,
    ),
    Case("timm", "legacy_xception", 139, {f"block{number}": f"block{number}" for number in range(1, 13)}, slow=True),
    Case("timm", "legacy_seresnet50", 64, _STAGES),
    *(
        Case("timm", name, 64, _STAGES, slow=True)
        for name in ("legacy_seresnet101", "legacy_seresnet152", "legacy_senet154")
    ),
    *(Case("pytorchcv", f"seresnet{depth}", 224, _UNITS) for depth in (18, 34)),
    Case("pytorchcv", "alexnet", 227, {"pool1": "features.stage1", "pool5": "features.stage3"}, slow=True),
    Case("pytorchcv", "zfnet", 224, {"pool1": "features.stage1", "pool5": "features.stage3"}, slow=True),
    Case("pytorchcv", "zfnetb", 224, {"pool1": "features.stage1", "pool5": "features.stage3"}, slow=True),
    Case("pytorchcv", "nin_cifar10", 32, {"conv1_3": "features.stage1", "conv2_3": "features.stage2"}),
    Case(
        "pytorchcv",
        "bninception",
        224,
        {"pool2": "features.init_block", "inception_3b": "features.stage1", "inception_4d": "features.stage2"},
        slow=True,
    ),
    Case(
        "pytorchcv",
        "inceptionresnetv1",
        299,
        {"conv4b": "features.init_block", "block35_5": "features.stage1", "block17_10": "features.stage2"},
        slow=True,
    ),
    Case("pytorchcv", "darknet19", 224, {f"pool{number}": f"features.stage{number}" for number in range(1, 6)}),
    Case("pytorchcv", "resnet20_cifar10", 32, _UNITS),
    *(
        Case("keras", f"VGG{layers}", 64, {"pool3": "block3_pool", "pool5": "block5_pool"}, slow=True)
        for layers in (16, 19)
    ),
    Case(
        "keras",
        "ResNet50",
        128,
        {f"stage{stage}": f"conv{stage + 1}_block{last}_out" for stage, last in ((1, 3), (2, 4), (3, 6), (4, 3))},
    ),
    Case("keras", "Xception", 96, {"conv2": "block1_conv2_act", "conv4": "block14_sepconv2_act"}),
    Case(
        "keras",
        "InceptionResNetV2",
        139,
        {
            "mixed_5b": "mixed_5b",
            "block35_10": "block35_10_ac",
            "block17_20": "block17_20_ac",
            "conv_7b": "conv_7b_ac",
        },
        slow=True,
    ),
    Case(
        "keras",
        "InceptionV3",
        171,
        {"mixed_5b": "mixed0", "mixed_6a": "mixed3", "mixed_7a": "mixed8", "mixed_7c": "mixed10"},
        slow=True,
    ),
]
CASES = {f"{case.source}/{case.theirs}": case for case in _CASES}
