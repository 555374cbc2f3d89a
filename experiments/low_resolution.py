"""Low resolution: how much of a network's accuracy comes from larger images, and how much from what it computes on them?

cnnjax run experiments/low_resolution.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/low_resolution.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "full": {"model.stem": "299", "dataset.side": 75},
    "half": {"model.stem": "151", "dataset.side": 39},
    "quarter": {"model.stem": "79", "dataset.side": 23},
}
IMAGENET = {
    "full": {"model.stem": "299", "task.crop": 299},
    "half": {"model.stem": "151", "task.crop": 151, "dataset.side": 173},
    "quarter": {"model.stem": "79", "task.crop": 79, "dataset.side": 90},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="At equal cost, what do images of a half and a quarter of the size lose?",
    source="Szegedy et al.: Rethinking the Inception Architecture for Computer Vision (2015), §9, Table 2",
    scales={
        "digits": Scale(
            config="../configs/inception_v3_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "Inception v3 at an eighth of its width, with the paper's three stems, on 8×8 digits enlarged to 75, 39 and "
                "23 pixels, 10 epochs: no size has less to see than another. The quarter takes 13 % fewer products."
            ),
        ),
        "imagenet": Scale(
            config="../configs/inception_v3.py",
            arms=IMAGENET,
            roles=ROLES,
            seeds=range(3),
            note=(
                "The paper's network, three stems and recipe: images of 342 pixels and their crops of 299, and both at a half "
                "and a quarter of that, tested with one view on 4 % of the training images. Wants accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "Half of the size is no worse in test error (by more than one point).",
            "test/error",
            {"full": 1, "half": -1},
            above=-0.01,
            paper="299×299 76.6 %, 151×151 76.4 % accuracy, top-1.",
        ),
        Claim(
            "A quarter is no worse by more than two points.",
            "test/error",
            {"full": 1, "quarter": -1},
            above=-0.02,
            paper="299×299 76.6 %, 79×79 75.2 %.",
        ),
    ),
)
