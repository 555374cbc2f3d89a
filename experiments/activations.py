"""Activations: how much sooner does a network with ReLUs learn?

cnnjax run experiments/activations.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/activations.py --scale cifar10    # the paper's set and network; wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale, product

# The paper chooses the rate of each network for itself, as fast as it goes; here each activation has three, and plays its role
# with the largest of these that does not diverge.
ACTIVATIONS: dict[str, dict[str, object]] = {
    **{name: {"model.activation": name} for name in ("relu", "tanh", "sigmoid")},
    "identity": {"model.activation": "identity", "model.first_pool": "average"},  # a maximum is not linear either
}
ARMS = product(
    activation=ACTIVATIONS,
    rate={f"lr{rate}": {"schedule.learning_rate": rate} for rate in (0.003, 0.01, 0.03)},
)
ROLES = {"relu": "relu-lr0.03", "tanh": "tanh-lr0.03", "sigmoid": "sigmoid-lr0.03", "linear": "identity-lr0.01"}

experiment = Experiment(
    question="How much sooner does a network with ReLUs learn than one with saturating activations, or with none?",
    source="Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep CNNs (2012), §3.1, Fig. 1",
    scales={
        "digits": Scale(
            config="../configs/cifarnet_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "The network at a quarter of its width, on digits enlarged to 32×32. Without activations its first pool "
                "averages too."
            ),
        ),
        "cifar10": Scale(
            config="../configs/cifarnet.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(3),
            note="The paper's network and set; what it says of its recipe leaves much open. Wants an accelerator.",
        ),
    },
    claims=(
        Claim(
            "With tanh it takes more epochs to 25 % training error than with ReLUs.",
            "epochs to train/error 0.25",
            {"tanh": 1, "relu": -1},
            paper="Fig. 1: about six times as many (some 35 and 6 epochs).",
        ),
        Claim(
            "With the logistic function training error ends higher than with ReLUs.",
            "train/error",
            {"sigmoid": 1, "relu": -1},
            paper="Not in Fig. 1, which has tanh; in words: saturating activations are slower in gradient descent.",
        ),
        Claim(
            "Without activations, and with average pools, training error ends higher than with ReLUs.",
            "train/error",
            {"linear": 1, "relu": -1},
            paper="Not in the paper.",
        ),
        Claim(
            "Its four layers are one then: a single linear layer has the same logits, to 0.1 % of their norm.",
            "linearity/defect",
            {"linear": -1},
            above=-1e-3,
            paper="Not in the paper: a product of matrices is a matrix.",
            exact=True,
        ),
        Claim(
            "With ReLUs the nearest linear layer misses more than a tenth.",
            "linearity/defect",
            {"relu": 1},
            above=0.1,
            paper="Not in the paper.",
        ),
    ),
)
