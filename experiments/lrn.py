"""Local response normalisation: does it help, and where does it belong?

cnnjax run experiments/lrn.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/lrn.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "without": {"model.lrn": "none"},
    "before": {"model.lrn": "before"},
    "after": {"model.lrn": "after"},
}

experiment = Experiment(
    question="Does local response normalisation help, and does it matter whether it comes before or after pooling?",
    source="Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep CNNs (2012), §3.3",
    scales={
        "digits": Scale(
            config="../configs/alexnet_digits.py",
            arms=ARMS,
            roles={name: name for name in ARMS},
            seeds=range(5),
            note="AlexNet at an eighth of its width, on digits enlarged to 67×67, 15 epochs.",
        ),
        "imagenet": Scale(
            config="../configs/alexnet.py",
            arms=ARMS,
            roles={name: name for name in ARMS},
            seeds=range(3),
            note="The paper's network and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "It lowers the test error.",
            "test/error",
            {"without": 1, "before": -1},
            paper="§3.3: top-1 and top-5 by 1.4 and 1.2 points; 13 % to 11 % for a network of four layers on CIFAR-10.",
        ),
        Claim(
            "After pooling, as in popular ports, it is no worse than before it (by more than one point).",
            "test/error",
            {"before": 1, "after": -1},
            above=-0.01,
            paper="Not in the paper, which has it before pooling.",
        ),
    ),
)
