"""Receptive field: one large kernel, a stack of small ones, or none at all?

cnnjax run experiments/receptive_field.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/receptive_field.py --scale cifar10    # wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

LAYERS = {
    "1x1": "conv1-60 conv1-60 conv1-60 pool4 fc-32",
    "3x3": "conv3-20 conv1-60 conv1-60 pool4 fc-32",
    "7x7": "conv7-36 pool4 fc-32",
    "three-3x3": "conv3-28 conv3-28 conv3-28 pool4 fc-32",
}
ROLES = {name: name for name in LAYERS}

experiment = Experiment(
    question="What does a larger receptive field gain, and how should it be had?",
    source="Simonyan, Zisserman: Very Deep Convolutional Networks (2014), §2.3, for the argument",
    scales={
        "digits": Scale(
            config="../configs/pattern_digits.py",
            arms={name: {"model.layers": layers} for name, layers in LAYERS.items()},
            roles=ROLES,
            seeds=range(10),
            note=(
                "Fields of 1, 3 and 7 pixels before one pool of 4×4, on digits enlarged to 16×16, 15 epochs; 38,522, 36,202 "
                "and 20,594 (7×7) or 29,146 parameters (three 3×3): not equal."
            ),
        ),
        "cifar10": Scale(
            config="../configs/pattern_digits.py",
            arms={name: {"model.layers": layers.replace("pool4", "pool8")} for name, layers in LAYERS.items()},
            roles=ROLES,
            seeds=range(5),
            overrides={"dataset.name": "cifar10", "dataset.side": 0},
            note="The same layers before one pool of 8×8, on CIFAR-10, 15 epochs. Wants an accelerator.",
        ),
    },
    claims=(
        Claim(
            "A field of three pixels has a lower test error than one of one.",
            "test/error",
            {"1x1": 1, "3x3": -1},
            paper="Not in the paper.",
        ),
        Claim(
            "Three 3×3 have a lower test error than one 7×7 with the same field.",
            "test/error",
            {"7x7": 1, "three-3x3": -1},
            paper="§2.3, in words: three rectifications instead of one, and 27/49 of the parameters; no measurement of 7×7.",
        ),
        Claim(
            "They have a lower training error.",
            "train/error",
            {"7x7": 1, "three-3x3": -1},
            paper="As above.",
        ),
    ),
)
