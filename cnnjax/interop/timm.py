"""timm's names of parameters, and the networks of ours that compute what its networks do."""

from cnnjax.interop.counterpart import Counterpart, Picture
from cnnjax.interop.names import Rule
from cnnjax.interop.torchvision import DEFAULTS, RESNET

SENET: list[Rule] = [
    (r"(conv|norm)(\d)", "layer0.{0}{1}"),
    (r"stage(\d)/block(\d+)/squeeze_excite/reduce", "layer{0}.{1:-1}.se_module.fc1"),
    (r"stage(\d)/block(\d+)/squeeze_excite/expand", "layer{0}.{1:-1}.se_module.fc2"),
    ("classifier", "last_linear"),
    *RESNET,
]

INCEPTION_V4: list[Rule] = [
    (r"(conv|norm)1a", "features.0.{0}"),
    (r"(conv|norm)2a", "features.1.{0}"),
    (r"(conv|norm)2b", "features.2.{0}"),
    (r"mixed_3a/branch2/(conv|norm)1", "features.3.conv.{0}"),
    (r"mixed_4a/branch(\d)/(conv|norm)(\d)", "features.4.branch{0:-1}.{2:-1}.{1}"),
    (r"mixed_5a/branch1/(conv|norm)1", "features.5.conv.{0}"),
    (r"mixed_5(\w)/branch4/(conv|norm)1", "features.{0:+5}.branch3.1.{1}"),
    (r"mixed_5(\w)/branch1/(conv|norm)1", "features.{0:+5}.branch0.{1}"),
    (r"mixed_5(\w)/branch(\d)/(conv|norm)(\d)", "features.{0:+5}.branch{1:-1}.{3:-1}.{2}"),
    (r"mixed_6(\w)/branch4/(conv|norm)1", "features.{0:+10}.branch3.1.{1}"),
    (r"mixed_6(\w)/branch1/(conv|norm)1", "features.{0:+10}.branch0.{1}"),
    (r"mixed_6(\w)/branch(\d)/(conv|norm)(\d)", "features.{0:+10}.branch{1:-1}.{3:-1}.{2}"),
    (r"mixed_7a/branch(\d)/(conv|norm)(\d)", "features.18.branch{0:-1}.{2:-1}.{1}"),
    (r"mixed_7(\w)/branch4/(conv|norm)1", "features.{0:+18}.branch3.1.{1}"),
    (r"mixed_7(\w)/branch1/(conv|norm)1", "features.{0:+18}.branch0.{1}"),
    (r"mixed_7(\w)/branch2/split/branch1/(conv|norm)1", "features.{0:+18}.branch1_1a.{1}"),
    (r"mixed_7(\w)/branch2/split/branch2/(conv|norm)1", "features.{0:+18}.branch1_1b.{1}"),
    (r"mixed_7(\w)/branch3/split/branch1/(conv|norm)1", "features.{0:+18}.branch2_3a.{1}"),
    (r"mixed_7(\w)/branch3/split/branch2/(conv|norm)1", "features.{0:+18}.branch2_3b.{1}"),
    (r"mixed_7(\w)/branch(\d)/(conv|norm)(\d)", "features.{0:+18}.branch{1:-1}_{3:-1}.{2}"),
    ("classifier", "last_linear"),
]


def _blocks(name: str, scope: str) -> list[Rule]:
    return [
        (rf"{name}/branches/branch1/(conv|norm)1", f"{scope}.branch0.{{1}}"),
        (rf"{name}/branches/branch(\d)/(conv|norm)(\d)", f"{scope}.branch{{1:-1}}.{{3:-1}}.{{2}}"),
        (rf"{name}/conv_project", f"{scope}.conv2d"),
    ]


INCEPTION_RESNET_V2: list[Rule] = [
    (r"(conv|norm)(\d\w)", "conv2d_{1}.{0}"),
    (r"mixed_5b/branch1/(conv|norm)1", "mixed_5b.branch0.{0}"),
    (r"mixed_5b/branch4/(conv|norm)1", "mixed_5b.branch3.1.{0}"),
    (r"mixed_6a/branch1/(conv|norm)1", "mixed_6a.branch0.{0}"),
    (r"mixed_(\w+)/branch(\d)/(conv|norm)(\d)", "mixed_{0}.branch{1:-1}.{3:-1}.{2}"),
    *_blocks(r"block35_(\d+)", "repeat.{0:-1}"),
    *_blocks(r"block17_(\d+)", "repeat_1.{0:-1}"),
    *_blocks(r"block8_(10)", "block8"),
    *_blocks(r"block8_(\d+)", "repeat_2.{0:-1}"),
    (r"(conv|norm)_7b", "conv2d_7b.{0}"),
    ("classifier", "classif"),
]

XCEPTION: list[Rule] = [
    (r"(conv|norm)(1|2)", "{0}{1}"),
    (r"block(\d+)/shortcut/conv", "block{0}.skip"),
    (r"block(\d+)/shortcut/norm", "block{0}.skipbn"),
    # A block is a sequence of ReLU, separable convolution and normalisation; the first block's begins without the ReLU.
    *(
        rule
        for block, start in (("1", 0), (r"\d+", 1))
        for number in (1, 2, 3)
        for rule in (
            (rf"block({block})/conv{number}_depthwise", f"block{{0}}.rep.{start + 3 * (number - 1)}.conv1"),
            (rf"block({block})/conv{number}_pointwise", f"block{{0}}.rep.{start + 3 * (number - 1)}.pointwise"),
            (rf"block({block})/norm{number}_pointwise", f"block{{0}}.rep.{start + 3 * (number - 1) + 1}"),
        )
    ),
    (r"conv(3|4)_depthwise", "conv{0}.conv1"),
    (r"conv(3|4)_pointwise", "conv{0}.pointwise"),
    (r"norm(3|4)_pointwise", "bn{0}"),
    ("classifier", "fc"),
]


def _picture(resize: int) -> Picture:
    return Picture(resize, 299, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic")


COUNTERPARTS = [
    Counterpart("inception_v4", "inception_v4", {"bn_momentum": 0.9}, INCEPTION_V4, _picture(341)),
    Counterpart("inception_resnet_v2", "inception_resnet_v2", {"bn_momentum": 0.9}, INCEPTION_RESNET_V2, _picture(333)),
    Counterpart("legacy_xception", "xception", {"bn_momentum": 0.9, "same_padding": False}, XCEPTION, _picture(333)),
    *(
        Counterpart(f"legacy_seresnet{depth}", f"seresnet{depth}", {"shortcut": "B", **DEFAULTS}, SENET)
        for depth in (50, 101, 152)
    ),
    Counterpart("legacy_senet154", "senet154", DEFAULTS, SENET),
]
