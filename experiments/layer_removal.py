"""Which layers does AlexNet need?

cnnjax run experiments/layer_removal.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/layer_removal.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "full": {},
    "without-3-4": {"model.without": "conv3,conv4"},
    "without-7": {"model.without": "fc7"},
    "without-6-7": {"model.without": "fc6,fc7", "model.dropout": 0.0},  # nothing is left to be dropped
    "without-3-4-6-7": {"model.without": "conv3,conv4,fc6,fc7", "model.dropout": 0.0},
    "fc2048": {"model.hidden": 2048},
    "fc8192": {"model.hidden": 8192},
    "maps": {"model.features": (512, 1024, 512)},
    "maps-fc8192": {"model.features": (512, 1024, 512), "model.hidden": 8192},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="Which layers does AlexNet need, and how wide must the later ones be?",
    source="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks (2013), §5.1, Table 3",
    scales={
        "digits": Scale(
            config="../configs/alexnet_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "AlexNet at an eighth of its width, on digits enlarged to 67×67, 15 epochs. After the last pool one pixel is "
                "left, so that the sixth layer has few parameters here, and most of them in the paper."
            ),
        ),
        "imagenet": Scale(
            config="../configs/alexnet.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(3),
            note=(
                "AlexNet and its recipe, tested with one view on 4 % of the training images; the wider maps are of ZFNet in "
                "the paper. Wants accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "Without layers 3, 4, 6 and 7 the test error is far higher than with all of them.",
            "test/error",
            {"without-3-4-6-7": 1, "full": -1},
            paper="Validation top-1: 71.3 % and 40.5 %.",
        ),
        Claim(
            "More than what the two pairs cost one by one: it is the depth that counts.",
            "test/error",
            {"without-3-4-6-7": 1, "full": 1, "without-3-4": -1, "without-6-7": -1},
            paper="Validation top-1: 30.8 points for all four, 4.9 for layers 3 and 4, 4.3 for 6 and 7.",
        ),
        Claim(
            "Layer 7 alone is not needed: without it the test error is no higher (by more than one point).",
            "test/error",
            {"full": 1, "without-7": -1},
            above=-0.01,
            paper="Validation top-1: 40.5 % with, 40.0 % without.",
        ),
        Claim(
            "Half the units in layers 6 and 7 cost training error.",
            "train/error",
            {"fc2048": 1, "full": -1},
            paper="Training top-1: 40.3 % with 2048, 35.1 % with 4096, 26.8 % with 8192.",
        ),
        Claim(
            "Twice as many units lower the training error.",
            "train/error",
            {"full": 1, "fc8192": -1},
            paper="As above.",
        ),
        Claim(
            "512, 1024 and 512 maps in layers 3 to 5, for 384, 384 and 256, lower the training error.",
            "train/error",
            {"full": 1, "maps": -1},
            paper="Of the paper's own network: training top-1 33.1 % before, 18.8 % with them.",
        ),
        Claim(
            "They lower the test error.",
            "test/error",
            {"full": 1, "maps": -1},
            paper="The same: validation top-1 38.4 % before, 37.5 % with them.",
        ),
        Claim(
            "With twice as many units in layers 6 and 7, too, training error falls further.",
            "train/error",
            {"maps": 1, "maps-fc8192": -1},
            paper="The same: training top-1 10.0 %.",
        ),
        Claim(
            "And test error rises: the network overfits.",
            "test/error",
            {"maps-fc8192": 1, "maps": -1},
            paper="The same: validation top-1 38.3 %.",
        ),
    ),
)
