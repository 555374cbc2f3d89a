"""Squeeze-and-excitation: what does it gain, with which ratio, and where in a block?

cnnjax run experiments/squeeze_excite.py    # embedded digits, minutes on two CPU cores
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "without": {"model.se_ratio": 0},
    "r2": {"model.se_ratio": 2},
    "r4": {"model.se_ratio": 4},
    "r16": {"model.se_ratio": 16},
    "pre": {"model.se_ratio": 4, "model.se_place": "pre"},
    "post": {"model.se_ratio": 4, "model.se_place": "post"},
    "identity": {"model.se_ratio": 4, "model.se_place": "identity"},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="What does squeeze-and-excitation gain, with which ratio, and where in a block?",
    source="Hu, Shen, Sun: Squeeze-and-Excitation Networks (2017, version of 2019), §5.1, Table 2; §6.1, §6.5",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note="ResNet-20 of the CIFAR family on 8×8 digits, 15 epochs; SE-ResNet-50 on ImageNet in the paper.",
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"model.depth": 56},
            note="The recipe of ResNets on CIFAR-10, not of this paper's ImageNet. Wants an accelerator.",
        ),
        "imagenet": Scale(
            config="../configs/senet.py",
            arms={
                "without": {"model.se_ratio": 0},
                "r2": {"model.se_ratio": 2},
                "r16": {"model.se_ratio": 16},
                "pre": {"model.se_place": "pre"},
                "post": {"model.se_place": "post"},
                "identity": {"model.se_place": "identity"},
            },
            roles={**ROLES, "r4": "r16"},
            seeds=range(3),
            note=(
                "The paper's ResNet-50 and recipe, with its ratio of 16 in the places too, tested on 4 % of the training "
                "images. Wants accelerators."
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
            "It does not matter much how strongly it squeezes: a ratio of 16 is no worse than 2 (by more than one point).",
            "test/error",
            {"r2": 1, "r16": -1},
            above=-0.01,
            paper="Ratios of 2, 4, 8, 16, 32: 22.29, 22.25, 22.26, 22.28, 22.72 %.",
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
