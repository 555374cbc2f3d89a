"""Transfer: what are features of other classes worth where there are few examples, and should they be trained on?

cnnjax run experiments/transfer.py    # embedded digits, minutes on two CPU cores
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

# Of the digits 5 to 9 a tenth of the training set, about fourteen each; two batches an epoch.
FEW = {
    "dataset.classes": (5, 6, 7, 8, 9),
    "dataset.train": "train[:10%]",
    "duration": "60 epochs",
    "schedule.boundaries": ("30 epochs", "45 epochs"),
    "evaluation.every": "10 epochs",
    "execution.steps_per_dispatch": 20,
    "execution.checkpoint.every": "60 epochs",
}
FROM_LOW = {**FEW, "init.weights": "arm:low", "init.head": "^classifier/"}
HELD = {"init.frozen": ("^(?!classifier)",), "init.freeze_bn": "while frozen"}

ARMS = {
    "low": {"dataset.classes": (0, 1, 2, 3, 4)},
    "scratch": FEW,
    "random-held": {**FEW, **HELD, "init.frozen_until": "60 epochs"},
    "held": {**FROM_LOW, **HELD, "init.frozen_until": "60 epochs"},
    "tuned": FROM_LOW,
    "held-tuned": {**FROM_LOW, **HELD, "init.frozen_until": "30 epochs"},
}
ROLES = {name: name for name in ARMS if name != "low"}

experiment = Experiment(
    question="What are the features of a network for other classes worth, and should they be trained on?",
    source="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks (2013), §5.2",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "A ResNet-20 for the digits 0 to 4, all of them, then a network for 5 to 9 from a tenth of the training set, "
                "60 epochs of two batches; ImageNet and Caltech in the paper. What is held fast keeps its statistics, random "
                "features those of their initialisation."
            ),
        ),
    },
    claims=(
        Claim(
            "With features of other classes, held fast, the test error is lower than from scratch.",
            "test/error",
            {"scratch": 1, "held": -1},
            paper="Tables 4, 5, accuracy, 15 images a class: Caltech-101 83.8 %, scratch 22.8 %; Caltech-256 65.7 %, 9.0 %.",
        ),
        Claim(
            "It is not the architecture alone: with random features, held fast, it is higher.",
            "test/error",
            {"random-held": 1, "held": -1},
            paper="Not in the paper.",
        ),
        Claim(
            "Trained on from these features, the test error is lower than from scratch.",
            "test/error",
            {"scratch": 1, "tuned": -1},
            paper="Not in the paper, which holds the features fast.",
        ),
        Claim(
            "Trained on, they are better than held fast.",
            "test/error",
            {"held": 1, "tuned": -1},
            paper="Not in the paper.",
        ),
        Claim(
            "Holding them fast first, then training on at a tenth of the rate, is no worse (by more than one point).",
            "test/error",
            {"tuned": 1, "held-tuned": -1},
            above=-0.01,
            paper="Not in the paper: a usual recipe (Géron 2019, chapter 14), without numbers.",
        ),
    ),
)
