"""Receptive field: one large kernel, a stack of small ones, or none at all?

cnnjax run experiments/receptive_field.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/receptive_field.py --scale cifar10    # wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

KERNELS = {"1x1": (1, 1, 1), "3x3": (3, 1, 1), "7x7": (7,), "three-3x3": (3, 3, 3)}


def arms(pool: int, maps: dict[str, int]) -> dict[str, dict[str, object]]:
    """Layers before one pool; so many maps in each that all have about as many parameters."""
    return {
        name: {"model.layers": " ".join(f"conv{kernel}-{maps[name]}" for kernel in kernels) + f" pool{pool} fc-32"}
        for name, kernels in KERNELS.items()
    }


ROLES = {name: name for name in KERNELS}

experiment = Experiment(
    question="What does a larger receptive field gain, and how should it be had?",
    source="Simonyan, Zisserman: Very Deep Convolutional Networks (2014), §2.3, for the argument",
    scales={
        "digits": Scale(
            config="../configs/pattern_digits.py",
            arms=arms(4, {"1x1": 54, "3x3": 53, "7x7": 60, "three-3x3": 31}),
            roles=ROLES,
            seeds=range(10),
            note=(
                "Fields of 1, 3 and 7 pixels before one pool of 4×4, on digits enlarged to 16×16, 15 epochs; 33,752 to 34,082 "
                "parameters. Three 3×3 take several times as many products as one 7×7, which has one layer for their three."
            ),
        ),
        "cifar10": Scale(
            config="../configs/pattern_digits.py",
            arms=arms(8, {"1x1": 55, "3x3": 53, "7x7": 52, "three-3x3": 31}),
            roles=ROLES,
            seeds=range(5),
            overrides={"dataset.name": "cifar10", "dataset.side": 0},
            note="The same before one pool of 8×8, on CIFAR-10, 15 epochs; 34,462 to 34,902 parameters. Wants an accelerator.",
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
            paper="§2.3, in words: three rectifications for one, 27/49 of the parameters with as many maps; not measured.",
        ),
        Claim(
            "They have a lower training error.",
            "train/error",
            {"7x7": 1, "three-3x3": -1},
            paper="As above.",
        ),
    ),
)
