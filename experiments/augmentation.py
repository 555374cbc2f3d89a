"""Augmentation: what do shifted copies of the training images gain?

cnnjax run experiments/augmentation.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/augmentation.py --scale cifar10    # wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ROLES = {"none": "none", "crop": "crop"}

experiment = Experiment(
    question="What do random crops and mirrored copies of the training images gain?",
    source=(
        "Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep CNNs (2012), §4.1; He et al. 2015, §4.2, for "
        "the crops"
    ),
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms={"none": {"task.pad": 0}, "crop": {"task.pad": 1}, "crop2": {"task.pad": 2}},
            roles=ROLES,
            seeds=range(10),
            note="ResNet-20 of the CIFAR family on 8×8 digits, 15 epochs; padded by 1 or 2 pixels, and never mirrored.",
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms={
                "none": {"task.pad": 0, "task.flip": False},
                "flip": {"task.pad": 0},
                "crop": {"task.flip": False},
                "crop-flip": {},
            },
            roles=ROLES,
            seeds=range(5),
            note="The recipe of ResNets on CIFAR-10. Wants an accelerator.",
        ),
    },
    claims=(
        Claim(
            "Random crops lower the test error.",
            "test/error",
            {"none": 1, "crop": -1},
            paper="§4.1: without translations and reflections the network overfits substantially; no number.",
        ),
        Claim(
            "They raise the training error.",
            "train/error",
            {"crop": 1, "none": -1},
            paper="Not in the paper.",
        ),
    ),
)
