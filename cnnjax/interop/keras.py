"""Keras's names of variables (`keras.applications`), and the networks of ours that compute what its networks do."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from cnnjax.data.picture import Picture
from cnnjax.interop.counterpart import Counterpart
from cnnjax.interop.names import Rule, keras_parameter
from cnnjax.models.inception import InceptionV3
from cnnjax.models.inception_v4 import InceptionResNet
from cnnjax.nn.rows import Branches, Conv, Residual, Rows

VGG: list[Rule] = [
    (r"conv(\d)_(\d)", "block{0}_conv{1}"),
    ("fc(6|7)", "fc{0:-5}"),
    ("fc8", "predictions"),
]

RESNET: list[Rule] = [
    (r"(conv|norm)1", "conv1_{0}"),
    (r"stage(\d)/block(\d+)/(conv|norm)(\d)", "conv{0:+1}_block{1}_{3}_{2}"),
    (r"stage(\d)/block(\d+)/shortcut/(conv|norm)", "conv{0:+1}_block{1}_0_{2}"),
    ("classifier", "predictions"),
]

XCEPTION: list[Rule] = [
    (r"conv(1|2)", "block1_conv{0}"),
    (r"norm(1|2)", "block1_conv{0}_bn"),
    # Projections have no names of their own there: numbers, in the order in which they are applied.
    *(
        rule
        for number, block in enumerate((1, 2, 3, 12))
        for rule in (
            (f"block{block}/shortcut/conv", f"conv2d{f'_{number}' if number else ''}"),
            (f"block{block}/shortcut/norm", f"batch_normalization{f'_{number}' if number else ''}"),
        )
    ),
    (r"block(\d+)/conv(\d)_(?:depth|point)wise", "block{0:+1}_sepconv{1}"),
    (r"block(\d+)/norm(\d)_pointwise", "block{0:+1}_sepconv{1}_bn"),
    (r"conv(3|4)_(?:depth|point)wise", "block14_sepconv{0:-2}"),
    (r"norm(3|4)_pointwise", "block14_sepconv{0:-2}_bn"),
    ("classifier", "predictions"),
]

INCEPTION_RESNET_NAMED: list[Rule] = [
    (r"(block\d+_\d+)/conv_project", "{0}_conv"),
    ("conv_7b", "conv_7b"),
    ("norm_7b", "conv_7b_bn"),
]


def numbered(rows: Rows, named: Sequence[Rule] = ()) -> list[Rule]:
    """Rules of a network whose layers, but for the named ones, have numbers there, in the order in which they are applied."""
    convolutions = [
        path for path in _convolutions(rows) if not any(re.fullmatch(pattern, path) for pattern, _ in named)
    ]
    return [
        *named,
        ("classifier", "predictions"),
        *(
            (re.escape(name if word == "conv2d" else re.sub(r"conv(?=[^/]*$)", "norm", name)), f"{word}{end}")
            for end, name in ((f"_{place}" if place else "", name) for place, name in enumerate(convolutions))
            for word in ("conv2d", "batch_normalization")
        ),
    ]


def _convolutions(rows: Rows, scope: str = "") -> Iterator[str]:
    for row in rows:
        if isinstance(row, Conv):
            yield f"{scope}{row.name}"
        elif isinstance(row, Branches):
            for number, branch in enumerate(row.branches, start=1):
                yield from _convolutions(branch, f"{scope}{row.name}/branch{number}/")
        elif isinstance(row, Residual):
            yield from _convolutions(row.body, f"{scope}{row.name}/")


_INCEPTION: dict[str, Any] = {"auxiliary": False, "bn_momentum": 0.99}
_INCEPTION_RESNET: dict[str, Any] = {"bn_momentum": 0.99, "dropout": 0.0}
_HALF = Picture(299, 299, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "nearest")
# Caffe's way: the mean of ImageNet's pixels, and no division; Keras's channels are blue, green, red.
_CAFFE = Picture(224, 224, (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3, "nearest", reverse=True)


def _keras(
    theirs: str, model: str, fields: dict[str, Any], rules: list[Rule], picture: Picture, scaled: bool = True
) -> Counterpart:
    return Counterpart(theirs, model, fields, rules, picture, "", keras_parameter, "keras", scaled)


COUNTERPARTS = [
    *(_keras(f"VGG{layers}", f"vgg{layers}", {"dropout": 0.0}, VGG, _CAFFE) for layers in (16, 19)),
    *(
        _keras(
            f"ResNet{depth}",
            f"resnet{depth}",
            {"shortcut": "B", "bn_bias": True, "bn_momentum": 0.99, "bn_epsilon": 1.001e-5},
            RESNET,
            _CAFFE,
        )
        for depth in (50, 101, 152)
    ),
    _keras("Xception", "xception", {"bn_momentum": 0.99, "bn_epsilon": 1e-3, "dropout": 0.0}, XCEPTION, _HALF),
    _keras(
        "InceptionResNetV2",
        "inception_resnet_v2",
        _INCEPTION_RESNET,
        numbered(InceptionResNet(version="v2 released").table(), INCEPTION_RESNET_NAMED),
        _HALF,
        scaled=False,
    ),
    _keras("InceptionV3", "inception_v3", _INCEPTION, numbered(InceptionV3(**_INCEPTION).table()), _HALF, scaled=False),
]
