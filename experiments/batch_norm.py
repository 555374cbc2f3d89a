"""Batch normalisation: does it allow higher learning rates, and saturating activations?

cnnjax run experiments/batch_norm.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/batch_norm.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale, product


def arms(rate: float) -> dict[str, dict[str, object]]:
    """With and without normalisation, at a rate, five and thirty times of it, and with sigmoids."""
    return product(
        norm={"plain": {"model.batch_norm": False}, "bn": {"model.batch_norm": True}},
        rate={
            "x1": {},
            "x5": {"schedule.learning_rate": 5 * rate},
            "x30": {"schedule.learning_rate": 30 * rate},
            "x5-sigmoid": {"schedule.learning_rate": 5 * rate, "model.activation": "sigmoid"},
        },
    )


ROLES = {name: name for name in arms(1.0)}

experiment = Experiment(
    question="Does batch normalisation allow higher learning rates, and saturating activations?",
    source="Ioffe, Szegedy: Batch Normalization (2015), §4.2.2, Fig. 2 and Fig. 3",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=arms(0.002),
            roles=ROLES,
            seeds=range(5),
            overrides={"model.shortcut": "none", "schedule.learning_rate": 0.002, "evaluation.every": "0.5 epochs"},
            note=(
                "A plain network of 20 layers (the CIFAR family without shortcuts) on 8×8 digits, 15 epochs; Inception on "
                "ImageNet in the paper, with rates of 0.0015, 0.0075 and 0.045."
            ),
        ),
        "imagenet": Scale(
            config="../configs/bn_inception.py",
            arms=arms(0.0015),
            roles=ROLES,
            seeds=range(3),
            overrides={"schedule.learning_rate": 0.0015},
            note=(
                "The paper's network and rates; without normalisation it differs from its Inception in dropout, decay and "
                "schedule, which are those of the normalised one here. Tested on 4 % of the training images. Wants "
                "accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "At the same rate it takes fewer epochs to 25 % training error.",
            "epochs to train/error 0.25",
            {"plain-x1": 1, "bn-x1": -1},
            paper="Fig. 3: 72.2 % validation accuracy after 31.0 million steps without, 13.3 million with.",
        ),
        Claim(
            "Five times the rate is faster still.",
            "epochs to train/error 0.25",
            {"bn-x1": 1, "bn-x5": -1},
            paper="Fig. 3: 13.3 and 2.1 million steps.",
        ),
        Claim(
            "With thirty times the rate the normalised network reaches a lower test error than at the rate it was given first.",
            "test/error",
            {"bn-x1": 1, "bn-x30": -1},
            paper="Fig. 3: 72.7 % and 74.8 % accuracy.",
        ),
        Claim(
            "At five times the rate the test error is lower with normalisation than without.",
            "test/error",
            {"plain-x5": 1, "bn-x5": -1},
            paper="§4.2.2, in words: the same rate took Inception's parameters to machine infinity.",
        ),
        Claim(
            "So it is at thirty times the rate, by more than ten points: without normalisation it is too high.",
            "test/error",
            {"plain-x30": 1, "bn-x30": -1},
            above=0.1,
            paper="As above.",
        ),
        Claim(
            "With the logistic function the normalised network learns what the other does not.",
            "test/error",
            {"plain-x5-sigmoid": 1, "bn-x5-sigmoid": -1},
            above=0.2,
            paper="§4.2.2: 69.8 % accuracy with, at most 1/1000 without.",
        ),
    ),
)
