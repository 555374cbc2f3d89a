"""Factorised convolutions: what do 5×5 as two 3×3, 3×3 pairs as 7×1 and 1×7, and ReLUs between change in Inception?

cnnjax run experiments/factorisation.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/factorisation.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

BOTH = {"model.factorised_5x5": True, "model.factorised_7x7": True}
ARMS: dict[str, dict[str, object]] = {
    "5x5": {**BOTH, "model.factorised_5x5": False},
    "3x3-pairs": {**BOTH, "model.factorised_7x7": False},
    "both": BOTH,
    "linear": {**BOTH, "model.linear_factors": True},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="What does factorising large convolutions change?",
    source="Szegedy et al.: Rethinking the Inception Architecture for Computer Vision (2015), §3",
    scales={
        "digits": Scale(
            config="../configs/inception_v3_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "Inception v3 at an eighth of its width, on digits enlarged to 75×75, 10 epochs: with two 3×3 for each 5×5 and "
                "1×7 and 7×1 for each 7×7, and without one of these. Where the paper has maps of 17×17, on which 1×7 and 7×1 "
                "are meant to work, these have 3×3."
            ),
        ),
        "imagenet": Scale(
            config="../configs/inception_v3.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(3),
            note="The paper's network and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "Two 3×3 for a 5×5 are no worse in test error (by more than one point).",
            "test/error",
            {"5x5": 1, "both": -1},
            above=-0.01,
            paper="§3.1: 28 % fewer parameters; no measurement of the error alone.",
        ),
        Claim(
            "1×7 and 7×1 convolutions have a lower test error than pairs of 3×3.",
            "test/error",
            {"3x3-pairs": 1, "both": -1},
            paper="No measurement of this alone: by §10 the row of Table 3 (22.8 % to 21.6 %) is of the first 7×7.",
        ),
        Claim(
            "A ReLU between the two factors lowers the test error.",
            "test/error",
            {"linear": 1, "both": -1},
            paper="§3.1, Fig. 2, validation accuracy, top-1: 77.2 % with ReLUs, 76.2 % with a linear layer first.",
        ),
    ),
)
