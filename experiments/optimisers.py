"""Optimisers: descent alone, momentum, RMSProp, Adam.

cnnjax run experiments/optimisers.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/optimisers.py --scale cifar10    # wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "sgd": {"optimizer.momentum": 0.0},
    "momentum": {},
    "nesterov": {"optimizer.nesterov": True},
    "rmsprop": {
        "optimizer.kind": "rmsprop",
        "optimizer.epsilon": 1.0,
        "schedule.learning_rate": 0.045,
    },
    "adam": {
        "optimizer.kind": "adam",
        "optimizer.second_moment": 0.999,
        "schedule.learning_rate": 0.001,
    },
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="What do momentum, RMSProp and Adam change for a residual network?",
    source="Szegedy et al.: Rethinking the Inception Architecture (2015), §8 and Table 3; Krizhevsky et al. (2012), §5",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"evaluation.every": "0.5 epochs"},
            note=(
                "ResNet-20 on 8×8 digits, 15 epochs, the recipe's steps of the rate. RMSProp as Inception-v3 has it (0.9, "
                "ε = 1, 0.045), Adam at its authors' defaults; none was tuned here."
            ),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "The recipe of ResNets on CIFAR-10, and the rates of the others as on digits. Wants an accelerator. The "
                "paper's own comparison, Inception-v2 on ImageNet, is the first step of inception_v3_ladder."
            ),
        ),
    },
    claims=(
        Claim(
            "Momentum reaches 10 % training error in fewer epochs than descent alone at the same rate.",
            "epochs to train/error 0.1",
            {"sgd": 1, "momentum": -1},
            paper="Not measured in these papers: all use it.",
        ),
        Claim(
            "RMSProp lowers the test error of momentum.",
            "test/error",
            {"momentum": 1, "rmsprop": -1},
            paper="Table 3, Inception-v2 on ImageNet: 23.4 % and 23.1 %.",
        ),
        Claim(
            "Nesterov's momentum reaches 10 % training error no later (by more than half an epoch).",
            "epochs to train/error 0.1",
            {"momentum": 1, "nesterov": -1},
            above=-0.5,
            paper="Not in these papers.",
        ),
        Claim(
            "Adam lowers the test error of momentum.",
            "test/error",
            {"momentum": 1, "adam": -1},
            paper="Not in these papers.",
        ),
    ),
)
