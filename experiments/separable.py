"""Separable convolutions: Xception against its ablations.

cnnjax run experiments/separable.py    # embedded digits, minutes on two CPU cores
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "xception": {},
    "relu-between": {"model.between": "relu"},
    "elu-between": {"model.between": "elu"},
    "no-shortcuts": {"model.residual": False},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="What do shortcuts, and activations inside of separable convolutions, change in Xception?",
    source="Chollet: Xception: Deep Learning with Depthwise Separable Convolutions (2016), §4.6 and §4.7, Fig. 9 and 10",
    scales={
        "digits": Scale(
            config="../configs/xception_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note="Xception at an eighth of its width, on digits enlarged to 39×39, 5 epochs.",
        ),
    },
    claims=(
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
