"""VGG: what do more layers of 3×3 gain, and against larger kernels and 1×1? What do images of jittered size?

cnnjax run experiments/depth_vgg.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/depth_vgg.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

NETWORKS = {
    "A": "vgg11",
    "A-LRN": "vgg11_lrn",
    "B": "vgg13",
    "B-5x5": "vgg13_5x5",
    "C": "vgg16_c",
    "D": "vgg16",
    "D-7x7": "vgg16_7x7",
    "E": "vgg19",
}
# Both are tested at 44 pixels, the mean of the jittered sizes, as the paper does at 384.
SIZES = {"D-fixed": (44, 44), "D-jittered": (36, 52)}
ARMS: dict[str, dict[str, object]] = {name.lower(): {"model.name": network} for name, network in NETWORKS.items()} | {
    name.lower(): {"model.name": "vgg16", "task.pad": 0, "task.crop": 32, "task.jitter": sizes}
    for name, sizes in SIZES.items()
}
# The set whose images' shorter side is 480 pixels, as configs/vgg.py says.
IMAGENET_SIZES = {"D-fixed": (384, 384), "D-jittered": (256, 512)}
IMAGENET = ARMS | {
    name.lower(): {"model.name": "vgg16", "task.jitter": sizes} for name, sizes in IMAGENET_SIZES.items()
}
ROLES = {name: name.lower() for name in (*NETWORKS, *SIZES)}

experiment = Experiment(
    question="What do more layers of 3×3 gain, and against larger kernels, 1×1, normalisation and images of one size?",
    source="Simonyan, Zisserman: Very Deep Convolutional Networks (2014), §2.3 and §4.1, Table 3",
    scales={
        "digits": Scale(
            config="../configs/vgg_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={
                "duration": "12 epochs",
                "schedule.boundaries": ("8 epochs", "10 epochs"),
                "optimizer.clip": 1.0,
                "evaluation.every": "2 epochs",
            },
            note=(
                "All at an eighth of their width, from He's initialisation, on digits enlarged to 32×32, 12 epochs, gradients "
                "clipped at a norm of 1, without which some never began to learn. What the deeper ones gain on ImageNet there "
                "is little room for here, and little time. For the sizes, D sees 32×32 pixels of digits of 44×44, or of 36×36 "
                "to 52×52: digits fill their images, and of one of twice the crop's side, as the paper has, too little is seen."
            ),
        ),
        "imagenet": Scale(
            config="../configs/vgg.py",
            arms=IMAGENET,
            roles=ROLES,
            seeds=range(3),
            overrides={"model.kernel_init": "glorot"},
            note=(
                "The paper's networks and recipe, all from Glorot's initialisation instead of A's weights, tested with one "
                "view of 224×224 pixels on 4 % of the training images: for the sizes, of images whose shorter side is 384 "
                "pixels. Wants accelerators."
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
            "Three 3×3 are better than one 7×7 with the same receptive field.",
            "test/error",
            {"D-7x7": 1, "D": -1},
            paper="§2.3, in words: more discriminative with three rectifications, and 7×7 have 81 % more parameters.",
        ),
        Claim(
            "At 19 layers it is no longer better: D is no worse than E (by more than one point).",
            "test/error",
            {"E": 1, "D": -1},
            above=-0.01,
            paper="Table 3, top-1: D 27.0 %, E 27.3 %.",
        ),
        Claim(
            "Trained on images of jittered size it is better than on images of the size that it is tested at.",
            "test/error",
            {"D-fixed": 1, "D-jittered": -1},
            paper="Table 3, D tested at 384, top-1: trained at 384 26.8 %, at 256 to 512 25.6 %.",
        ),
    ),
)
