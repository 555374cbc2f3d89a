"""Shortcuts: which kind does a residual network need?

    cnnjax run experiments/shortcuts.py                    # embedded digits, minutes on two CPU cores
    cnnjax run experiments/shortcuts.py --scale cifar10    # wants accelerators, as does imagenet

None (the plain network), A (identity, zeros for new channels), B (projections where the shape changes) and C (projections
everywhere) at equal depth.
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "plain": {"model.shortcut": "none"},
    "a": {"model.shortcut": "A"},
    "b": {"model.shortcut": "B"},
    "c": {"model.shortcut": "C"},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="Which kind of shortcut does a residual network need?",
    source="He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), §4.1 (Identity vs. Projection), Table 3",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"model.depth": 32},
            note=(
                "34 layers on ImageNet in the paper; here the CIFAR family at 32 layers on 8×8 digits. The paper's differences "
                "between A, B and C (0.3 to 0.5 points) are smaller than what five seeds on 360 test images can tell apart."
            ),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"model.depth": 56},
            note="The paper's recipe for CIFAR-10; it compares the kinds on ImageNet only. Wants an accelerator.",
        ),
        "imagenet": Scale(
            config="../configs/resnet_imagenet.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(3),
            overrides={"model.name": "resnet34"},
            note="The paper's networks and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "Shortcuts of identities alone (A) lower the test error of the plain network.",
            "test/error",
            {"plain": 1, "a": -1},
            paper="Table 3, 34 layers, ImageNet validation, top-1, 10-crop: 28.54 % plain, 25.03 % A.",
        ),
        Claim(
            "Projections where the shape changes (B) lower it further.",
            "test/error",
            {"a": 1, "b": -1},
            paper="Table 3: 25.03 % A, 24.52 % B.",
        ),
        Claim(
            "Projections everywhere (C) lower it further still.",
            "test/error",
            {"b": 1, "c": -1},
            paper="Table 3: 24.52 % B, 24.19 % C; laid to the parameters of thirteen more projections.",
        ),
        Claim(
            "Projections are not essential: A is not worse than C (by more than one point).",
            "test/error",
            {"c": 1, "a": -1},
            above=-0.01,
            paper="§4.1: the differences indicate that projections are not essential for the degradation problem.",
        ),
    ),
)
