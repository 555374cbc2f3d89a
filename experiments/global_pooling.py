"""Network in Network: what do global average pooling and the mlpconv layers gain?

cnnjax run experiments/global_pooling.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/global_pooling.py --scale cifar10    # wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "gap": {},
    "fc": {"model.head": "connected"},
    "fc-dropout": {"model.head": "connected", "model.head_dropout": 0.5},
    "linear-gap": {"model.mlpconv": False},
    "linear-fc": {"model.mlpconv": False, "model.head": "connected"},
    "gap-no-dropout": {"model.dropout": 0.0},
    "fc-no-dropout": {"model.head": "connected", "model.dropout": 0.0},
}
ROLES = {name: name for name in ARMS if name not in ("linear-fc",)}

experiment = Experiment(
    question="What do global average pooling and mlpconv layers gain?",
    source="Lin, Chen, Yan: Network in Network (2013), §4.2 and §4.6, Table 5",
    scales={
        "digits": Scale(
            config="../configs/nin_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"model.batch_norm": True},
            note=(
                "A narrow Network in Network on digits enlarged to 16×16; the paper's on CIFAR-10. Normalised; the paper's is "
                "not, and without it the fully connected heads did not learn. With it too one stays at chance, that on linear "
                "filters, and the one with dropout in some seeds: what is said of heads compares whether they learn at all."
            ),
        ),
        "cifar10": Scale(
            config="../configs/nin.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note="The paper's networks and recipe; what it whitens with is not quite known. Wants an accelerator.",
        ),
    },
    claims=(
        Claim(
            "Global average pooling has a lower test error than a fully connected layer.",
            "test/error",
            {"fc": 1, "gap": -1},
            paper="Table 5, CIFAR-10: 10.41 % and 11.59 %.",
        ),
        Claim(
            "Dropout on the fully connected layer lowers its test error.",
            "test/error",
            {"fc": 1, "fc-dropout": -1},
            paper="Table 5, CIFAR-10: 11.59 % and 10.88 %.",
        ),
        Claim(
            "Global average pooling has a lower test error than that, too.",
            "test/error",
            {"fc-dropout": 1, "gap": -1},
            paper="Table 5, CIFAR-10: 10.88 % and 10.41 %.",
        ),
        Claim(
            "It regularises: without dropout too it has a lower test error.",
            "test/error",
            {"fc-no-dropout": 1, "gap-no-dropout": -1},
            paper="Not in the paper, whose networks all have dropout between their layers.",
        ),
        Claim(
            "mlpconv layers have a lower training error than linear filters with a ReLU.",
            "train/error",
            {"linear-gap": 1, "gap": -1},
            paper="In words: a better abstraction of each patch; conventional network with global pooling 16.46 % test error.",
        ),
        Claim(
            "They have a lower test error.",
            "test/error",
            {"linear-gap": 1, "gap": -1},
            paper="CIFAR-10: 16.46 % (a conventional network with global pooling) and 10.41 %.",
        ),
    ),
)
