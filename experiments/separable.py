"""Separable convolutions: Xception against its Inception twin, and its ablations.

cnnjax run experiments/separable.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/separable.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "xception": {},
    "inception": {},
    "relu-between": {"model.between": "relu"},
    "elu-between": {"model.between": "elu"},
    "no-shortcuts": {"model.residual": False},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="Are separable convolutions better than Inception modules, and what do activations and shortcuts change?",
    source=(
        "Chollet: Xception: Deep Learning with Depthwise Separable Convolutions (2016), §4.5 to §4.7, Tables 1 and 3, Fig. 9 "
        "and 10"
    ),
    scales={
        "digits": Scale(
            config="../configs/xception_digits.py",
            recipes={"inception": "../configs/xception_baseline_digits.py"},
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "Xception (356,353 parameters, 3.30 million multiply-accumulates) and Inception v3 with one classifier "
                "(346,758 and 3.18 million), both at an eighth of their width, on digits enlarged to 39×39, 5 epochs."
            ),
        ),
        "imagenet": Scale(
            config="../configs/xception.py",
            recipes={"inception": "../configs/xception_baseline.py"},
            arms=ARMS,
            roles=ROLES,
            seeds=range(3),
            note="The paper's networks and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "With as many parameters its test error is lower than that of Inception v3.",
            "test/error",
            {"inception": 1, "xception": -1},
            paper="Tables 1 and 3, ImageNet, one view, top-1: 21.8 % with 23,626,728 parameters, 21.0 % with 22,855,952.",
        ),
        Claim(
            "Nothing between the depthwise and the pointwise step is better in training than a ReLU.",
            "train/error",
            {"relu-between": 1, "xception": -1},
            paper="Fig. 10, curves only: faster convergence and better final performance without.",
        ),
        Claim(
            "It is better in training than an ELU too.",
            "train/error",
            {"elu-between": 1, "xception": -1},
            paper="Fig. 10, curves only.",
        ),
        Claim(
            "Without shortcuts training error is higher.",
            "train/error",
            {"no-shortcuts": 1, "xception": -1},
            paper="Fig. 9, curves only: residual connections are essential to convergence, in speed and in the end.",
        ),
    ),
)
