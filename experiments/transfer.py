"""Transfer: what are features of other classes worth where there are few examples, should they be trained on, and which?

cnnjax run experiments/transfer.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/transfer.py --scale cifar10    # wants accelerators
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
HELD_TUNED = {**FROM_LOW, **HELD, "init.frozen_until": "30 epochs"}
# VGG-11 with its two hidden layers, and with the average of each map in their place.
GAP = {"model.name": "vgg11_gap", "model.dropout": 0.0}

ARMS = {
    "low": {"dataset.classes": (0, 1, 2, 3, 4)},
    "scratch": FEW,
    "random-held": {**FEW, **HELD, "init.frozen_until": "60 epochs"},
    "held": {**FROM_LOW, **HELD, "init.frozen_until": "60 epochs"},
    "tuned": FROM_LOW,
    "held-tuned": HELD_TUNED,
    "held-tuned-whole": {**HELD_TUNED, "schedule.boundaries": ("45 epochs",)},
    "held-tuned-hundredth": {**HELD_TUNED, "schedule.boundaries": ("30 epochs", "30 epochs", "45 epochs")},
    "low-fc": {"dataset.classes": (0, 1, 2, 3, 4)},
    "low-gap": {"dataset.classes": (0, 1, 2, 3, 4), **GAP},
    "tuned-fc": {**FEW, "init.weights": "arm:low-fc", "init.head": "^fc8/"},
    "tuned-gap": {**FEW, "init.weights": "arm:low-gap", "init.head": "^fc8/", **GAP},
}
FULLY = ("low-fc", "low-gap", "tuned-fc", "tuned-gap")
# These begin from a recipe for digits: here with what that for CIFAR-10 has.
VGG = {
    "dataset.name": "cifar10",
    "batch_size": 128,
    "task.pad": 4,
    "task.flip": True,
    "evaluation.batch_size": 1000,
    "model.width_factor": 0.5,
}
LONG = {
    "duration": "164 epochs",
    "schedule.boundaries": ("82 epochs", "123 epochs"),
    "evaluation.every": "5 epochs",
    "execution.checkpoint.every": "10 epochs",
}
CIFAR = {name: {**VGG, **(LONG if name.startswith("low") else {}), **ARMS[name]} for name in FULLY}
ROLES = {name: name for name in ARMS if name != "low"}

experiment = Experiment(
    question="What are the features of a network for other classes worth, which layer's, and should they be trained on?",
    source=(
        "Zeiler, Fergus: Visualizing and Understanding Convolutional Networks (2013), §5.2 and §5.3; Zhang, Luo, Wei, Wu: In "
        "Defense of Fully Connected Layers in Visual Representation Transfer (2017)"
    ),
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "A ResNet-20 for the digits 0 to 4, all of them, then a network for 5 to 9 from a tenth of the training set, "
                "60 epochs of two batches; ImageNet and Caltech in the paper. What is held fast keeps its statistics, random "
                "features those of their initialisation. Fully connected layers are those of a VGG-11 at an eighth of its "
                "width, trained in the same way. All digits look alike: nothing here is far from what was learned first."
            ),
            recipes=dict.fromkeys(FULLY, "../configs/vgg_digits.py"),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms=ARMS | CIFAR,
            roles=ROLES,
            seeds=range(5),
            note=(
                "A ResNet-20 for five classes of CIFAR-10, then one for the others from a tenth of the training set, 60 "
                "epochs; VGG-11 at half of its width. ImageNet and Caltech, in the paper, are as far apart as these are not. "
                "They are no scale here: none of our sets is drawn by class, so many images of each. Wants accelerators."
            ),
            recipes=dict.fromkeys(FULLY, "../configs/vgg_digits.py"),
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
        Claim(
            "With a tenth of the rate for all of the network the test error is lower than with the whole.",
            "test/error",
            {"held-tuned-whole": 1, "held-tuned": -1},
            paper="In words (Géron 2019, chapter 14): 0.2, then 0.01, so that what was learned is not damaged.",
        ),
        Claim(
            "With a tenth it is lower than with a hundredth.",
            "test/error",
            {"held-tuned-hundredth": 1, "held-tuned": -1},
            paper="Not in the sources.",
        ),
        Claim(
            "Global average pooling in place of hidden layers costs nothing where the network is trained (over one point).",
            "test/error",
            {"low-fc": 1, "low-gap": -1},
            above=-0.01,
            paper="Lin et al. 2013, Table 5, CIFAR-10: 10.41 % with it; 11.59 % with a fully connected layer.",
        ),
        Claim(
            "It does where the network is trained on: with fully connected layers the test error is lower.",
            "test/error",
            {"tuned-gap": 1, "tuned-fc": -1},
            paper="Zhang et al. 2017, in words: they are essential where the new images or the new task are far from the old.",
        ),
        Claim(
            "A linear SVM has a lower test error with the features of the last layer than with those of the first.",
            "probes/svm_error_saved",
            {"held": 1},
            paper=(
                "Table 7, accuracy, layers 1 to 5 and 7: Caltech-101 44.8, 66.2, 72.3, 76.6, 86.2, 85.5 %; Caltech-256 24.6, "
                "39.6, 46.0, 51.3, 65.6, 71.7 %."
            ),
        ),
        Claim(
            "So has a soft-max.",
            "probes/softmax_error_saved",
            {"held": 1},
            paper="Table 7, layers 5 and 7 only: Caltech-101 82.9, 85.4 %; Caltech-256 65.7, 72.6 %.",
        ),
        Claim(
            "The SVM gains more of depth than in a network that has learned nothing.",
            "probes/svm_error_saved",
            {"held": 1, "random-held": -1},
            paper="Not in the paper.",
        ),
    ),
)
