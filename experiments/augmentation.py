"""Augmentation: what do shifted copies of the training images gain, and copies in other colours?

cnnjax run experiments/augmentation.py                        # embedded digits, minutes on two CPU cores
cnnjax run experiments/augmentation.py --scale photographs    # embedded patches in colour, minutes
cnnjax run experiments/augmentation.py --scale cifar10        # wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ROLES = {name: name for name in ("none", "crop", "crop-flip", "colour", "photometric")}

experiment = Experiment(
    question="What do random crops, mirrored copies and other colours of the training images gain?",
    source=(
        "Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep CNNs (2012), §4.1; He et al. 2015, §4.2, for "
        "the crops; Szegedy et al.: Going Deeper with Convolutions (2014), §6, for photometric distortions"
    ),
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms={
                "none": {"task.pad": 0},
                "crop": {"task.pad": 1},
                "crop2": {"task.pad": 2},
                "colour": {"task.colour": 0.1},
                "photometric": {"task.photometric": 0.5},
            },
            roles={**ROLES, "crop-flip": "crop"},
            seeds=range(10),
            note=(
                "ResNet-20 of the CIFAR family on 8×8 digits, 15 epochs; padded by 1 or 2 pixels, and never mirrored. Grey "
                "images have no colours: what is left of shifts is brightness, and of distortions brightness and contrast."
            ),
        ),
        "photographs": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms={
                "none": {"task.pad": 0, "task.flip": False},
                "crop": {"task.flip": False},
                "crop-flip": {},
                "colour": {"task.colour": 0.1},
                "photometric": {"task.photometric": 0.5},
            },
            roles=ROLES,
            seeds=range(10),
            overrides={
                "dataset.name": "photographs",
                "model.depth": 8,
                "task.flip": True,
                "evaluation.batch_size": 434,
            },
            note=(
                "ResNet-8 of the CIFAR family on 8×8 patches of two photographs, five classes, 15 epochs. Each patch, of "
                "training and test alike, has been given a light of its own: the set is made for what the paper's shifts are "
                "meant for."
            ),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms={
                "none": {"task.pad": 0, "task.flip": False},
                "flip": {"task.pad": 0},
                "crop": {"task.flip": False},
                "crop-flip": {},
                "colour": {"task.colour": 0.1},
                "photometric": {"task.photometric": 0.5},
            },
            roles=ROLES,
            seeds=range(5),
            note="The recipe of ResNets on CIFAR-10. Wants an accelerator.",
        ),
        "imagenet": Scale(
            config="../configs/alexnet.py",
            arms={
                "none": {"dataset.side": 227, "task.crop": 0, "task.flip": False},
                "crop": {"task.flip": False},
                "crop-flip": {},
                "colour": {"task.colour": 0.1},
                "photometric": {"task.photometric": 0.5},
            },
            roles=ROLES,
            seeds=range(3),
            overrides={"task.colour": 0.0},
            note=(
                "The paper's network and recipe; without crops the whole image, made 227×227; tested with one view on 4 % of "
                "the training images. Wants accelerators with memory for all of ImageNet."
            ),
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
        Claim(
            "Mirrored copies lower it further.",
            "test/error",
            {"crop": 1, "crop-flip": -1},
            paper="§4.1, with translations; no number of its own.",
            scales=("photographs", "cifar10", "imagenet"),  # mirrored digits are others, or none
        ),
        Claim(
            "Shifts along the principal components of colour lower the test error by over one point.",
            "test/error",
            {"crop-flip": 1, "colour": -1},
            above=0.01,
            paper="§4.1: top-1 error by over 1 %.",
        ),
        Claim(
            "Distortions of brightness, contrast and saturation lower it.",
            "test/error",
            {"crop-flip": 1, "photometric": -1},
            paper="Szegedy et al. 2014, §6: useful against overfitting, to some extent; no number.",
        ),
    ),
)
