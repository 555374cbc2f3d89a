"""torchvision's names of parameters, and the networks of ours that compute what its networks do."""

from cnnjax.interop.counterpart import Counterpart, Picture
from cnnjax.interop.names import Rule
from cnnjax.models.vgg import STAGES

DEFAULTS = {"bn_momentum": 0.9, "bn_epsilon": 1e-5}
"""Defaults of PyTorch's batch normalisation."""

RESNET: list[Rule] = [
    (r"(conv|norm)1", "{0}1"),
    (r"stage(\d)/block(\d+)/(conv|norm)(\d)", "layer{0}.{1:-1}.{2}{3}"),
    (r"stage(\d)/block(\d+)/shortcut/(?:conv|norm)", "layer{0}.{1:-1}.downsample.{index:+0}"),
    ("classifier", "fc"),
]

ALEXNET: list[Rule] = [
    *((f"conv{number}", f"features.{place}") for number, place in enumerate((0, 3, 6, 8, 10), start=1)),
    ("fc6", "classifier.1"),
    ("fc7", "classifier.4"),
    ("fc8", "classifier.6"),
]

GOOGLENET: list[Rule] = [
    (r"(conv|norm)1", "conv1.{0}"),
    (r"(conv|norm)2_reduce", "conv2.{0}"),
    (r"(conv|norm)2", "conv3.{0}"),
    (r"inception_(\w+)/branch1/(conv|norm)1", "inception{0}.branch1.{1}"),
    (r"inception_(\w+)/branch(2|3)/(conv|norm)(\d)", "inception{0}.branch{1}.{3:-1}.{2}"),
    (r"inception_(\w+)/branch4/(conv|norm)1", "inception{0}.branch4.1.{1}"),
    (r"aux(\d)/(conv|norm)", "aux{0}.conv.{1}"),
    (r"aux(\d)/fc", "aux{0}.fc1"),
    (r"aux(\d)/classifier", "aux{0}.fc2"),
    ("classifier", "fc"),
]

INCEPTION_V3: list[Rule] = [
    (r"(conv|norm)(1a|2a|2b|4a)", "Conv2d_{1}_3x3.{0}"),
    (r"(conv|norm)3b", "Conv2d_3b_1x1.{0}"),
    (r"mixed_5(\w)/branch2/(conv|norm)(\d)", "Mixed_5{0}.branch5x5_{2}.{1}"),
    (r"mixed_5(\w)/branch3/(conv|norm)(\d)", "Mixed_5{0}.branch3x3dbl_{2}.{1}"),
    (r"mixed_6a/branch1/(conv|norm)1", "Mixed_6a.branch3x3.{0}"),
    (r"mixed_6a/branch2/(conv|norm)(\d)", "Mixed_6a.branch3x3dbl_{1}.{0}"),
    (r"mixed_6(\w)/branch2/(conv|norm)(\d)", "Mixed_6{0}.branch7x7_{2}.{1}"),
    (r"mixed_6(\w)/branch3/(conv|norm)(\d)", "Mixed_6{0}.branch7x7dbl_{2}.{1}"),
    (r"mixed_7a/branch1/(conv|norm)(\d)", "Mixed_7a.branch3x3_{1}.{0}"),
    (r"mixed_7a/branch2/(conv|norm)(\d)", "Mixed_7a.branch7x7x3_{1}.{0}"),
    (r"mixed_7(\w)/branch2/split/branch1/(conv|norm)1", "Mixed_7{0}.branch3x3_2a.{1}"),
    (r"mixed_7(\w)/branch2/split/branch2/(conv|norm)1", "Mixed_7{0}.branch3x3_2b.{1}"),
    (r"mixed_7(\w)/branch3/split/branch1/(conv|norm)1", "Mixed_7{0}.branch3x3dbl_3a.{1}"),
    (r"mixed_7(\w)/branch3/split/branch2/(conv|norm)1", "Mixed_7{0}.branch3x3dbl_3b.{1}"),
    (r"mixed_7(\w)/branch2/(conv|norm)(\d)", "Mixed_7{0}.branch3x3_{2}.{1}"),
    (r"mixed_7(\w)/branch3/(conv|norm)(\d)", "Mixed_7{0}.branch3x3dbl_{2}.{1}"),
    (r"mixed_(\w+)/branch1/(conv|norm)1", "Mixed_{0}.branch1x1.{1}"),
    (r"mixed_(\w+)/branch4/(conv|norm)1", "Mixed_{0}.branch_pool.{1}"),
    (r"aux/(conv|norm)(\d)", "AuxLogits.conv{1:-1}.{0}"),
    ("aux/classifier", "AuxLogits.fc"),
    ("classifier", "fc"),
]


def vgg(config: str, batch_norm: bool) -> list[Rule]:
    """Its convolutions are numbered by their place in a sequence of convolutions, normalisations, ReLUs and pools."""
    rules: list[Rule] = [("fc6", "classifier.0"), ("fc7", "classifier.3"), ("fc8", "classifier.6")]
    place = 0
    for stage, kernels in enumerate(STAGES[config], start=1):
        for number in range(1, len(kernels) + 1):
            rules.append((f"(?:conv|norm){stage}_{number}", f"features.{{index:+{place}}}"))
            place += 3 if batch_norm else 2
        place += 1
    return rules


TRANSFORMED = (
    "the released weights of this network are used with transform_input=True: for those, and what was trained from them, "
    "import with --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5"
)
COUNTERPARTS = [
    Counterpart("alexnet", "alexnet_owt", {}, ALEXNET),
    *(
        Counterpart(f"vgg{layers}{end}", f"vgg{layers}{end}", fields, vgg(config, bool(end)))
        for layers, config in ((11, "A"), (13, "B"), (16, "D"), (19, "E"))
        for end, fields in (("", {}), ("_bn", DEFAULTS))
    ),
    *(Counterpart(f"resnet{depth}", f"resnet{depth}", {"shortcut": "B", **DEFAULTS}, RESNET) for depth in (18, 34)),
    *(
        Counterpart(f"resnet{depth}", f"resnet{depth}", {"stride_on": "3x3", "shortcut": "B", **DEFAULTS}, RESNET)
        for depth in (50, 101, 152)
    ),
    Counterpart(
        "googlenet", "googlenet_3x3", {"bn_momentum": 0.9, "auxiliary_bins": True}, GOOGLENET, note=TRANSFORMED
    ),
    Counterpart(
        "inception_v3",
        "inception_v3",
        {"count_padding": True, "bn_momentum": 0.9, "dropout": 0.5},
        INCEPTION_V3,
        Picture(342, 299),
        note=TRANSFORMED,
    ),
]
