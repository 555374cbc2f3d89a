"""VGG: what do more layers of 3×3 gain, and against larger kernels and 1×1?

cnnjax run experiments/depth_vgg.py    # embedded digits, minutes on two CPU cores
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

NETWORKS = {
    "A": "vgg11",
    "A-LRN": "vgg11_lrn",
    "B": "vgg13",
    "B-5x5": "vgg13_5x5",
    "C": "vgg16_c",
    "D": "vgg16",
    "E": "vgg19",
}
ARMS = {name.lower(): {"model.name": network} for name, network in NETWORKS.items()}
ROLES = {name: name.lower() for name in NETWORKS}

experiment = Experiment(
    question="What do more layers of 3×3 convolutions gain, and against larger kernels, 1×1 and normalisation?",
    source="Simonyan, Zisserman: Very Deep Convolutional Networks (2014), §4.1, Table 3",
    scales={
        "digits": Scale(
            config="../configs/vgg_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"duration": "20 epochs", "schedule.boundaries": ("10 epochs", "15 epochs")},
            note=(
                "All at an eighth of their width, from He's initialisation, on digits enlarged to 32×32, 20 epochs. What the "
                "deeper ones gain on ImageNet there is little room for here, and little time."
            ),
        ),
    },
    claims=(
        Claim(
            "Local response normalisation does not help: without it the test error is no higher (by more than one point).",
            "test/error",
            {"A-LRN": 1, "A": -1},
            above=-0.01,
            paper="Table 3, top-1: A 29.6 %, A-LRN 29.7 %.",
        ),
        Claim(
            "More layers help: B has a lower test error than A.",
            "test/error",
            {"A": 1, "B": -1},
            paper="Table 3, top-1: A 29.6 %, B 28.7 %.",
        ),
        Claim(
            "3×3 is better than 1×1: D has a lower test error than C.",
            "test/error",
            {"C": 1, "D": -1},
            paper="Table 3, top-1: C 28.1 %, D 27.0 %.",
        ),
        Claim(
            "Two 3×3 are better than one 5×5 with the same receptive field.",
            "test/error",
            {"B-5x5": 1, "B": -1},
            paper="§4.1: seven points more top-1 error (centre crop) with 5×5.",
        ),
        Claim(
            "At 19 layers it is no longer better: D is no worse than E (by more than one point).",
            "test/error",
            {"E": 1, "D": -1},
            above=-0.01,
            paper="Table 3, top-1: D 27.0 %, E 27.3 %.",
        ),
    ),
)
