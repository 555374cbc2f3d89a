"""Layer responses: do the layers of residual networks change their signals less?

    cnnjax run experiments/layer_responses.py                    # embedded digits, minutes on two CPU cores
    cnnjax run experiments/layer_responses.py --scale cifar10    # the paper's recipe; wants accelerators

Measured on the test set in evaluation mode: the standard deviation of each normalised convolution before its activation or sum,
and of these the mean over layers. The paper plots every layer of one network each.
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale, product

ARMS = product(
    kind={"plain": {"model.shortcut": "none"}, "residual": {"model.shortcut": "A"}},
    depth={str(depth): {"model.depth": depth} for depth in (20, 56)},
)
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="Do the layers of residual networks respond less than those of plain ones, and those of deeper ones less still?",
    source="He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), §4.2, Fig. 7",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note="The paper's networks on 8×8 digits, 15 epochs, in which a plain network of 56 layers is hardly trained.",
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms=ARMS | {"residual-110": {"model.depth": 110, "model.shortcut": "A", "schedule.warmup": "400 steps"}},
            roles=ROLES,
            seeds=range(3),
            note="The paper's recipe. Wants an accelerator.",
        ),
    },
    claims=(
        Claim(
            "Of 20 layers, those of a residual network respond less than those of a plain one.",
            "responses/deviation",
            {"plain-20": 1, "residual-20": -1},
            paper="Fig. 7, curves only: ResNets have generally smaller responses.",
        ),
        Claim(
            "So they do of 56.",
            "responses/deviation",
            {"plain-56": 1, "residual-56": -1},
            paper="As above.",
        ),
        Claim(
            "The layers of a deeper residual network respond less.",
            "responses/deviation",
            {"residual-20": 1, "residual-56": -1},
            paper="Fig. 7, curves only: of ResNet-20, 56 and 110 the deeper have the smaller responses.",
        ),
    ),
)
