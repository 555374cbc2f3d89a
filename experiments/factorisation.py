"""Factorised convolutions: what do 5×5 as two 3×3, and 3×3 pairs as 7×1 and 1×7, change in Inception?

cnnjax run experiments/factorisation.py    # embedded digits, minutes on two CPU cores
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale, product

ARMS = product(
    five={"5x5": {"model.factorised_5x5": False}, "two-3x3": {"model.factorised_5x5": True}},
    seven={"3x3-pairs": {"model.factorised_7x7": False}, "1x7-7x1": {"model.factorised_7x7": True}},
)
ROLES = {name: name for name in ARMS if name not in ("5x5-3x3-pairs",)}

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
                "Inception v3 at an eighth of its width, on digits enlarged to 75×75, 10 epochs. Where the paper has maps of "
                "17×17, on which 1×7 and 7×1 are meant to work, these have 3×3."
            ),
        ),
    },
    claims=(
        Claim(
            "Two 3×3 for a 5×5 are no worse in test error (by more than one point).",
            "test/error",
            {"5x5-1x7-7x1": 1, "two-3x3-1x7-7x1": -1},
            above=-0.01,
            paper="§3.1: 28 % fewer parameters; no measurement of the error alone.",
        ),
        Claim(
            "1×7 and 7×1 convolutions have a lower test error than pairs of 3×3.",
            "test/error",
            {"two-3x3-3x3-pairs": 1, "two-3x3-1x7-7x1": -1},
            paper="No measurement of this alone: by §10 the row of Table 3 (22.8 % to 21.6 %) is of the first 7×7.",
        ),
    ),
)
