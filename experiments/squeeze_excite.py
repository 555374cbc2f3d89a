"""Squeeze-and-excitation: what does it gain, in which network, made how, and where?

cnnjax run experiments/squeeze_excite.py    # embedded digits, minutes on two CPU cores
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

VARIANTS = {
    "pre": {"model.se_place": "pre"},
    "post": {"model.se_place": "post"},
    "identity": {"model.se_place": "identity"},
    "stage1": {"model.se_stages": (1,)},
    "stage2": {"model.se_stages": (2,)},
    "stage3": {"model.se_stages": (3,)},
    "max": {"model.se_squeeze": "max"},
    "tanh": {"model.se_gate": "tanh"},
    "relu": {"model.se_gate": "relu"},
}
"""At one ratio, what else there is to choose."""

RESIDUAL = {
    "without": {"model.se_ratio": 0},
    "r2": {"model.se_ratio": 2},
    "r4": {"model.se_ratio": 4},
    "r16": {"model.se_ratio": 16},
    **{name: {"model.se_ratio": 4, **choice} for name, choice in VARIANTS.items()},
}
ROLES = {name: name for name in (*RESIDUAL, "inception", "se-inception")}

experiment = Experiment(
    question="What does squeeze-and-excitation gain, in which network, with which ratio, squeeze and gate, and where?",
    source="Hu, Shen, Sun: Squeeze-and-Excitation Networks (2017, version of 2019), §5.1, Table 2; §6.1 to §6.5",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms={
                **RESIDUAL,
                "inception": {"dataset.side": 8},
                "se-inception": {"dataset.side": 8, "model.se_ratio": 4},
            },
            recipes=dict.fromkeys(("inception", "se-inception"), "../configs/googlenet_digits.py"),
            roles=ROLES,
            seeds=range(5),
            note=(
                "ResNet-20 of the CIFAR family on 8×8 digits, 15 epochs, and GoogLeNet for small images at an eighth of its "
                "width, 10 epochs; SE-ResNet-50 and SE-BN-Inception on ImageNet in the paper."
            ),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms={
                **{name: {"model.depth": 56, **arm} for name, arm in RESIDUAL.items()},
                "inception": {},
                "se-inception": {"model.se_ratio": 16},
            },
            recipes=dict.fromkeys(("inception", "se-inception"), "../configs/googlenet_cifar.py"),
            roles=ROLES,
            seeds=range(5),
            note=(
                "ResNet-56, and GoogLeNet for small images, with the recipe of ResNets on CIFAR-10, not of this paper's "
                "ImageNet. Wants an accelerator."
            ),
        ),
        "imagenet": Scale(
            config="../configs/senet.py",
            arms={
                "without": {"model.se_ratio": 0},
                "r2": {"model.se_ratio": 2},
                "r16": {"model.se_ratio": 16},
                **VARIANTS,
                "inception": {},
                "se-inception": {"model.se_ratio": 16},
            },
            recipes=dict.fromkeys(("inception", "se-inception"), "../configs/bn_inception.py"),
            roles={**ROLES, "r4": "r16"},
            seeds=range(3),
            note=(
                "The paper's ResNet-50 and recipe, with its ratio of 16 in the variants too, and BN-Inception with the recipe "
                "of its own paper, tested on 4 % of the training images. Wants accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "It lowers the test error.",
            "test/error",
            {"without": 1, "r4": -1},
            paper="Ablation on ResNet-50, ImageNet, top-1: 23.30 % without, 22.28 % with a ratio of 16.",
        ),
        Claim(
            "It lowers that of an Inception network, too.",
            "test/error",
            {"inception": 1, "se-inception": -1},
            paper="Table 2, BN-Inception, top-1: 25.38 % without, 24.23 % with.",
        ),
        Claim(
            "It does not matter much how strongly it squeezes: a ratio of 16 is no worse than 2 (by more than one point).",
            "test/error",
            {"r2": 1, "r16": -1},
            above=-0.01,
            paper="Ratios of 2, 4, 8, 16, 32: 22.29, 22.25, 22.26, 22.28, 22.72 %.",
        ),
        Claim(
            "Nor whether each map is squeezed to its mean or its maximum: the latter is no worse (by more than one point).",
            "test/error",
            {"r4": 1, "max": -1},
            above=-0.01,
            paper="Mean 22.28 %, maximum 22.57 %.",
        ),
        Claim(
            "With tanh as the gate the test error is higher than with the logistic function.",
            "test/error",
            {"tanh": 1, "r4": -1},
            paper="Logistic function 22.28 %, tanh 23.00 %, ReLU 23.47 %.",
        ),
        Claim(
            "With a ReLU as the gate it is higher than without squeeze-and-excitation.",
            "test/error",
            {"relu": 1, "without": -1},
            paper="ReLU 23.47 %, without 23.30 %.",
        ),
        Claim(
            "In one stage only it lowers the test error, summed over the stages.",
            "test/error",
            {"without": 3, "stage1": -1, "stage2": -1, "stage3": -1},
            paper="In its stage 2, 3, 4 (our first three) only: 23.03, 23.04, 22.68 %; without 23.30 %, in all 22.28 %.",
        ),
        Claim(
            "In all stages it lowers it further.",
            "test/error",
            {"stage1": 1, "stage2": 1, "stage3": 1, "r4": -3},
            paper="As above.",
        ),
        Claim(
            "After the sum (POST) it is worse than on the residual branch.",
            "test/error",
            {"post": 1, "r4": -1},
            paper="Standard 22.28 %, before the branch 22.23 %, on the identity 22.20 %, after the sum 22.78 %.",
        ),
        Claim(
            "Before the branch and on the identity, summed, it is no worse than twice at its end (by more than two points).",
            "test/error",
            {"r4": 2, "pre": -1, "identity": -1},
            above=-0.02,
            paper="As above.",
        ),
    ),
)
