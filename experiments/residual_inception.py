"""Residual Inception: do shortcuts speed up training, and must residuals be scaled?

cnnjax run experiments/residual_inception.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/residual_inception.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

SCALES = (0.1, 0.2, 0.3, 0.5, 1.0)
ARMS = {"v4": {}, "residual": {}, **{f"scale-{scale}": {"model.scales": (scale,) * 3} for scale in SCALES}}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="Do shortcuts speed up the training of Inception networks, and must their residuals be scaled?",
    source="Szegedy et al.: Inception-v4, Inception-ResNet and the Impact of Residual Connections (2016), §3.3, §5",
    scales={
        "digits": Scale(
            config="../configs/inception_resnet_v2_digits.py",
            recipes={"v4": "../configs/inception_v4_digits.py"},
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "Inception v4 and Inception-ResNet v2 as printed, at an eighth of their width, on digits enlarged to 75×75: at "
                "most 268 maps, of the more than 1000 from which on the paper's networks die."
            ),
        ),
        "imagenet": Scale(
            config="../configs/inception_resnet_v2.py",
            recipes={"v4": "../configs/inception_v4.py"},
            arms=ARMS,
            roles=ROLES,
            seeds=range(3),
            note="The paper's networks and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "The residual network is trained faster: fewer epochs to 25 % training error.",
            "epochs to train/error 0.25",
            {"v4": 1, "residual": -1},
            paper="Fig. 24 and 26, curves only.",
        ),
        Claim(
            "In the end its test error is about the same: no worse by more than one point.",
            "test/error",
            {"v4": 1, "residual": -1},
            above=-0.01,
            paper="Top-1, single crop: Inception-v4 20.0 %, Inception-ResNet-v2 19.9 %.",
        ),
        Claim(
            "Residuals that are not scaled train worse than those of a tenth to three tenths, summed over these three.",
            "train/error",
            {"scale-1.0": 3, "scale-0.1": -1, "scale-0.2": -1, "scale-0.3": -1},
            paper="§3.3: with more than 1000 filters unscaled networks die early in training; factors of 0.1 to 0.3 keep them.",
        ),
        Claim(
            "So do those of a half.",
            "train/error",
            {"scale-0.5": 3, "scale-0.1": -1, "scale-0.2": -1, "scale-0.3": -1},
            paper="Not in the paper.",
        ),
        Claim(
            "Where between a tenth and three tenths does not matter: a tenth is no worse (by more than one point).",
            "train/error",
            {"scale-0.3": 1, "scale-0.1": -1},
            above=-0.01,
            paper="§3.3 names the range only.",
        ),
    ),
)
