"""pytorchcv's names of parameters, and the networks of ours that compute what its networks do."""

from cnnjax.interop.counterpart import Counterpart, Picture
from cnnjax.interop.names import Rule
from cnnjax.interop.torchvision import DEFAULTS

ALEXNET: list[Rule] = [
    (r"conv(1|2)", "features.stage{0}.unit1.conv"),
    (r"conv(\d)", "features.stage3.unit{0:-2}.conv"),
    (r"fc(6|7)", "output.fc{0:-5}.fc"),
    ("fc8", "output.fc3"),
]

NIN: list[Rule] = [
    ("conv3_3", "output.final_conv.conv"),
    (r"conv(\d)_(\d)", "features.stage{0}.unit{1}.conv"),
]

_MODULES = {
    "3a": (1, 1),
    "3b": (1, 2),
    "4a": (2, 2),
    "4b": (2, 3),
    "4c": (2, 4),
    "4d": (2, 5),
    "5a": (3, 2),
    "5b": (3, 3),
}
_REDUCTIONS = {"3c": (2, 1), "4e": (3, 1)}
"""Module → its stage and unit."""


def _scope(module: tuple[int, int]) -> str:
    return "features.stage{}.unit{}.branches".format(*module)


BN_INCEPTION: list[Rule] = [
    (r"(conv|norm)1", "features.init_block.conv1.{0}"),
    (r"(conv|norm)2_reduce", "features.init_block.conv2.conv1.{0}"),
    (r"(conv|norm)2", "features.init_block.conv2.conv2.{0}"),
    *(
        rule
        for name, place in _MODULES.items()
        for rule in (
            (rf"inception_{name}/branch1/(conv|norm)1", f"{_scope(place)}.branch1.{{0}}"),
            (rf"inception_{name}/branch4/(conv|norm)1", f"{_scope(place)}.branch4.conv.{{0}}"),
        )
    ),
    *(
        (rf"inception_{name}/branch(\d)/(conv|norm)(\d)", f"{_scope(place)}.branch{{0}}.conv{{2}}.{{1}}")
        for name, place in {**_MODULES, **_REDUCTIONS}.items()
    ),
    ("classifier", "output"),
]


def _blocks(name: str, stage: int, after: int) -> list[Rule]:
    scope = f"features.stage{stage}.unit{{0:+{after}}}"
    return [
        (rf"{name}_(\d+)/branches/branch1/(conv|norm)1", f"{scope}.branches.branch1.conv.{{1}}"),
        (
            rf"{name}_(\d+)/branches/branch(\d)/(conv|norm)(\d)",
            f"{scope}.branches.branch{{1}}.conv_list.conv{{3}}.{{2}}",
        ),
        (rf"{name}_(\d+)/conv_project", f"{scope}.conv"),
    ]


INCEPTION_RESNET_V1: list[Rule] = [
    *(
        (f"(conv|norm){name}", f"features.init_block.conv{number}.{{0}}")
        for number, name in enumerate(("1a", "2a", "2b", "3b", "4a", "4b"), start=1)
    ),
    *_blocks("block35", 1, 0),
    *_blocks("block17", 2, 1),
    *_blocks("block8", 3, 1),
    *(
        (
            rf"mixed_{name}/branch(\d)/(conv|norm)(\d)",
            f"features.stage{stage}.unit1.branches.branch{{0}}.conv_list.conv{{2}}.{{1}}",
        )
        for name, stage in (("6a", 2), ("7a", 3))
    ),
    ("fc", "output.fc1"),
    ("fc_norm", "output.bn"),
    ("classifier", "output.fc2"),
]

DARKNET: list[Rule] = [
    ("conv19", "output.final_conv"),
    *(
        (f"(conv|norm){number}", f"features.stage{stage}.unit{unit}.{{0}}")
        for number, (stage, unit) in enumerate(
            ((stage, unit) for stage, units in enumerate((1, 1, 3, 3, 5, 5), start=1) for unit in range(1, units + 1)),
            start=1,
        )
    ),
]

CIFAR_RESNET: list[Rule] = [
    (r"(conv|norm)1", "features.init_block.{0}"),
    (r"stage(\d)/block(\d+)/shortcut/(conv|norm)", "features.stage{0}.unit{1}.identity_conv.{2}"),
    (r"stage(\d)/block(\d+)/(conv|norm)(\d)", "features.stage{0}.unit{1}.body.conv{3}.{2}"),
    ("classifier", "output"),
]

SERESNET: list[Rule] = [
    (r"(conv|norm)1", "features.init_block.conv.{0}"),
    (r"stage(\d)/block(\d+)/squeeze_excite/reduce", "features.stage{0}.unit{1}.se.conv1"),
    (r"stage(\d)/block(\d+)/squeeze_excite/expand", "features.stage{0}.unit{1}.se.conv2"),
    *CIFAR_RESNET,
]

_LRN = {"lrn": "before", "lrn_mean": True}
_CIFAR = Picture(32, 32, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))

COUNTERPARTS = [
    Counterpart("alexnet", "alexnet_ungrouped", _LRN, ALEXNET, Picture(259, 227)),
    Counterpart("zfnet", "zfnet", _LRN, ALEXNET),
    Counterpart("zfnetb", "zfnet_wide", _LRN, ALEXNET),
    *(
        Counterpart(name, name, {"second_pool": "average", "pool_padding": 1, "final_relu": True}, NIN, _CIFAR)
        for name in ("nin_cifar10", "nin_cifar100")
    ),
    Counterpart("bninception", "bn_inception_port", DEFAULTS, BN_INCEPTION),
    Counterpart(
        "inceptionresnetv1", "inception_resnet_v1_port", {"bn_momentum": 0.9}, INCEPTION_RESNET_V1, Picture(341, 299)
    ),
    *(
        # timm's have a ReLU before the squeeze in blocks of two convolutions, which is another network.
        Counterpart(
            f"seresnet{depth}", f"seresnet{depth}", {"shortcut": "B", "padded_pool": True, **DEFAULTS}, SERESNET
        )
        for depth in (18, 34)
    ),
    Counterpart("darknet19", "darknet19", DEFAULTS, DARKNET),
    *(
        Counterpart(f"resnet{depth}_cifar10", f"resnet{depth}", {"shortcut": "B", **DEFAULTS}, CIFAR_RESNET, _CIFAR)
        for depth in (20, 56, 110, 1202)
    ),
]
