"""Ensembles: what do several networks say better than one?

cnnjax run experiments/ensembles.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/ensembles.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

# Of different depth, as those of the papers on VGG and ResNet.
ARMS = {f"resnet{depth}": {"model.depth": depth} for depth in (14, 20, 26)}


def roles(*arms: str) -> dict[str, str]:
    """Three networks, and the two ensembles."""
    return {**dict(zip(("first", "second", "third"), arms, strict=True)), "two": "two", "three": "three"}


experiment = Experiment(
    question="What do several networks, asked together, save against one?",
    source=(
        "Krizhevsky et al. 2012, §6, Table 2; Simonyan, Zisserman: Very Deep Convolutional Networks (2014), Table 6; He "
        "et al.: Deep Residual Learning (2015), Table 5"
    ),
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=roles(*ARMS),
            seeds=range(10),
            ensembles={"two": ("resnet14", "resnet20"), "three": tuple(ARMS)},
            note="ResNets of the CIFAR family on 8×8 digits, 15 epochs; those of a seed are asked together, with one view.",
        ),
        "imagenet": Scale(
            config="../configs/resnet_imagenet.py",
            arms={f"resnet{depth}": {"model.name": f"resnet{depth}"} for depth in (34, 50, 101)},
            roles=roles("resnet34", "resnet50", "resnet101"),
            seeds=range(3),
            ensembles={"two": ("resnet34", "resnet50"), "three": ("resnet34", "resnet50", "resnet101")},
            note=(
                "Three networks of different depth, as the six of ResNet's Table 5, and its recipe; one view, of 4 % of the "
                "training images. Wants accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "Two networks have a lower test error than each of them has on average.",
            "test/error",
            {"first": 0.5, "second": 0.5, "two": -1},
            paper="VGG, D and E, dense evaluation and crops, top-1: 24.4 % each, 23.7 % together.",
        ),
        Claim(
            "So have three.",
            "test/error",
            {"first": 1 / 3, "second": 1 / 3, "third": 1 / 3, "three": -1},
            paper="AlexNet, top-5, validation: one 18.2 %, five 16.4 %. ResNet, top-5: one 4.49 %, six 3.57 % (test).",
        ),
        Claim(
            "Three have a lower test error than two.",
            "test/error",
            {"two": 1, "three": -1},
            paper="GoogLeNet, one view, top-5: 10.07 % for one, 8.09 % for seven.",
        ),
    ),
)
