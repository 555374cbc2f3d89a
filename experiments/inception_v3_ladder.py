"""The steps from Inception v2 to v3, one after the other.

cnnjax run experiments/inception_v3_ladder.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/inception_v3_ladder.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

# Each arm has what those before it have. RMSProp comes as in the paper, with an epsilon of 1 and gradients clipped to a norm of
# 2, and has a rate of its own (0.045 there): of 0.02, 0.06 and 0.18 the one that ended lowest with one seed.
STEPS: dict[str, dict[str, object]] = {
    "v2": {"model.factorised_5x5": True, "model.factorised_7x7": False},
    "rmsprop": {
        "optimizer.kind": "rmsprop",
        "optimizer.epsilon": 1.0,
        "optimizer.clip": 2.0,
        "schedule.learning_rate": 0.06,
    },
    "smoothing": {"task.label_smoothing": 0.1},
    "factorised": {"model.factorised_7x7": True},
}


def ladder(steps: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    arms: dict[str, dict[str, object]] = {}
    so_far: dict[str, object] = {}
    for name, overrides in steps.items():
        so_far = {**so_far, **overrides}
        arms[name] = so_far
    return arms


ARMS = ladder(STEPS)
ROLES = {name: name for name in STEPS}

experiment = Experiment(
    question="Which of the steps from Inception v2 to v3 lowers the error?",
    source="Szegedy et al.: Rethinking the Inception Architecture for Computer Vision (2015), Table 3",
    scales={
        "digits": Scale(
            config="../configs/inception_v3_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "Inception v2 and v3 at an eighth of their width, on digits enlarged to 75×75, 10 epochs. The last step, a "
                "normalised auxiliary classifier, is left out: its windows want images of 299×299."
            ),
        ),
        "imagenet": Scale(
            config="../configs/inception_v3.py",
            arms=ladder(
                {
                    "v2": {
                        "model.name": "inception_v2_rethinking",
                        "model.factorised_5x5": True,
                        "model.factorised_7x7": False,
                        "task.label_smoothing": 0.0,
                        "optimizer.kind": "sgd",
                        "optimizer.clip": 0.0,
                    },
                    "rmsprop": {"optimizer.kind": "rmsprop", "optimizer.clip": 2.0},
                    "smoothing": {"task.label_smoothing": 0.1},
                    "factorised": {"model.factorised_7x7": True},
                    "bn-auxiliary": {"model.name": "inception_v3"},
                }
            ),
            roles={**ROLES, "bn-auxiliary": "bn-auxiliary"},
            seeds=range(3),
            note=(
                "The paper's networks and recipe, all five steps; the rate of plain momentum, which it does not give, is "
                "that of RMSProp. Tested with one view on 4 % of the training images. Wants accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "RMSProp lowers the test error.",
            "test/error",
            {"v2": 1, "rmsprop": -1},
            paper="Table 3, top-1: 23.4 % to 23.1 %.",
        ),
        Claim(
            "Label smoothing lowers it further.",
            "test/error",
            {"rmsprop": 1, "smoothing": -1},
            paper="Table 3, top-1: 23.1 % to 22.8 %.",
        ),
        Claim(
            "Factorised 7×7 convolutions lower it further.",
            "test/error",
            {"smoothing": 1, "factorised": -1},
            paper="Table 3, top-1: 22.8 % to 21.6 %; by §10 that row has the first 7×7 as three 3×3 too.",
        ),
        Claim(
            "Batch normalisation of the auxiliary classifier lowers it further.",
            "test/error",
            {"factorised": 1, "bn-auxiliary": -1},
            paper="Table 3, top-1: 21.6 % to 21.2 %.",
            scales=("imagenet",),
        ),
    ),
)
