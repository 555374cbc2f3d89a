"""Pooling: overlapping or not, the maximum or the mean, over channels too, or a convolution at a stride instead?

cnnjax run experiments/pooling.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/pooling.py --scale cifar10     # wants an accelerator
cnnjax run experiments/pooling.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

LAYERS = {
    "max": "conv3-16 pool2 conv3-32 pool2 fc-64",
    "overlapping": "conv3-16 pool3/2 conv3-32 pool3/2 fc-64",
    "average": "conv3-16 avgpool2 conv3-32 avgpool2 fc-64",
    "strided": "conv3-16 conv3/2-16 conv3-32 conv3/2-32 fc-64",
    "none": "conv3/2-16 conv3/2-32 fc-64",
    "depthwise": "conv3-32 depthpool2 pool2 conv3-64 depthpool2 pool2 fc-64",
}
ROLES = {name: name for name in LAYERS}
SMALL = ("digits", "cifar10")

experiment = Experiment(
    question=(
        "How should maps be made smaller, and fewer: by overlapping windows or not, by the maximum, the mean, or a convolution?"
    ),
    source=(
        "Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep CNNs (2012), §3.4; Géron: Hands-On Machine Learning "
        "(2019), chapter 14 (depth-wise)"
    ),
    scales={
        "digits": Scale(
            config="../configs/pattern_digits.py",
            arms={name: {"model.layers": layers} for name, layers in LAYERS.items()},
            roles=ROLES,
            seeds=range(10),
            note="Two convolutions with 16 and 32 maps on digits enlarged to 16×16, 15 epochs; AlexNet in the paper.",
        ),
        "cifar10": Scale(
            config="../configs/pattern_digits.py",
            arms={name: {"model.layers": layers} for name, layers in LAYERS.items()},
            roles=ROLES,
            seeds=range(5),
            overrides={"dataset.name": "cifar10", "dataset.side": 0},
            note="The same small networks on CIFAR-10, 15 epochs; AlexNet on ImageNet in the paper. Wants an accelerator.",
        ),
        "imagenet": Scale(
            config="../configs/alexnet.py",
            arms={"max": {"model.overlapping": False}, "overlapping": {}},
            roles={"max": "max", "overlapping": "overlapping"},
            seeds=range(3),
            note=(
                "The paper's network and recipe, and its one comparison, tested with one view on the validation images. Wants "
                "accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "Overlapping windows of 3×3 have a lower test error than 2×2.",
            "test/error",
            {"max": 1, "overlapping": -1},
            paper="§3.4: top-1 and top-5 lower by 0.4 and 0.3 points.",
        ),
        Claim(
            "The maximum has a lower test error than the mean.",
            "test/error",
            {"average": 1, "max": -1},
            paper="Not in the paper.",
            scales=SMALL,
        ),
        Claim(
            "A convolution at a stride instead of a pool is no worse (by more than one point).",
            "test/error",
            {"max": 1, "strided": -1},
            above=-0.01,
            paper="Not in the paper; Springenberg et al. 2014 (all-convolutional net) claim it for CIFAR-10.",
            scales=SMALL,
        ),
        Claim(
            "A stride of the convolution alone, without a pool, has a higher test error.",
            "test/error",
            {"none": 1, "max": -1},
            paper="Not in the paper.",
            scales=SMALL,
        ),
        Claim(
            "The maximum of each two of twice as many maps, before each pool, lowers the test error.",
            "test/error",
            {"max": 1, "depthwise": -1},
            paper="Géron: such a layer can learn to be invariant to anything, as rotation, thickness or brightness; no number.",
            scales=SMALL,
        ),
    ),
)
