"""Dropout: how much, where, and with batch normalisation?

cnnjax run experiments/dropout.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/dropout.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale, product

ARMS = product(
    norm={"plain": {"model.batch_norm": False}, "bn": {"model.batch_norm": True}},
    rate={
        "none": {"model.dropout": 0.0},
        "0.2": {"model.dropout": 0.2},
        "0.5": {"model.dropout": 0.5},
        "0.8": {"model.dropout": 0.8},
    },
) | {
    "plain-convolutions": {"model.dropout": 0.5, "model.dropout_after": "conv1,conv2,conv3,conv4,conv5"},
}
ROLES = {name: name for name in ARMS if name not in ("plain-0.2", "plain-0.8", "bn-0.2", "bn-0.8")}

experiment = Experiment(
    question="How much should be dropped, where, and is it still of use beside batch normalisation?",
    source=(
        "Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep CNNs (2012), §4.2; Ioffe, Szegedy: Batch "
        "Normalization (2015), §4.2.1"
    ),
    scales={
        "digits": Scale(
            config="../configs/alexnet_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "AlexNet at an eighth of its width (512 units in each hidden layer), on digits enlarged to 67×67, 15 epochs. "
                "Dropout after every convolution keeps so small a network at chance."
            ),
        ),
        "imagenet": Scale(
            config="../configs/alexnet.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(3),
            note="The paper's network and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "Half of the hidden units dropped lower the test error.",
            "test/error",
            {"plain-none": 1, "plain-0.5": -1},
            paper="§4.2: without it the network overfits substantially; no number.",
        ),
        Claim(
            "It takes longer to train: training error is higher after the same steps.",
            "train/error",
            {"plain-0.5": 1, "plain-none": -1},
            paper="§4.2: roughly twice as many iterations to converge.",
        ),
        Claim(
            "With batch normalisation dropout can go: without it the test error is no higher (by more than one point).",
            "test/error",
            {"bn-0.5": 1, "bn-none": -1},
            above=-0.01,
            paper="Batch Normalization, §4.2.1: removed, without more overfitting.",
        ),
        Claim(
            "After convolutions it is worse than in the hidden layers.",
            "test/error",
            {"plain-convolutions": 1, "plain-0.5": -1},
            paper="Not in the papers, which drop in the hidden layers only.",
        ),
    ),
)
