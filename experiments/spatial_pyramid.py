"""Spatial pyramids: do several levels of bins help, and training on images of two sizes?

cnnjax run experiments/spatial_pyramid.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/spatial_pyramid.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS: dict[str, dict[str, object]] = {
    "none": {"model.pyramid": "none"},
    "50-bins": {"model.pyramid": "6321"},
    "30-bins": {"model.pyramid": "4321"},
    "two-sizes": {"model.pyramid": "6321", "task.sizes": (128, 103)},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="Does pooling into a pyramid of bins help, and training on images of two sizes?",
    source="He, Zhang, Ren, Sun: Spatial Pyramid Pooling in Deep Convolutional Networks (2014), §2.3 and §3.1, Tables 2 and 3",
    scales={
        "digits": Scale(
            config="../configs/spp_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={
                "duration": "8 epochs",
                "schedule.boundaries": ("5 epochs", "7 epochs"),
                "optimizer.clip": 1.0,
                "evaluation.every": "2 epochs",
            },
            note=(
                "ZF-5 at an eighth of its width, on digits enlarged to 146×146, of which it sees 128×128 (224 of 256 in the "
                "paper), 8 epochs, gradients clipped at a norm of 1, without which some never began to learn. Two sizes: 128 "
                "and 103, an epoch each in turn (224 and 180), and 50 bins. The last maps are small: unlike in the paper both "
                "pyramids have more parameters (1,146,242 and 818,562) than none (474,498)."
            ),
        ),
        "imagenet": Scale(
            config="../configs/spp.py",
            arms={name: {"task.sizes": (), **arm} for name, arm in ARMS.items()} | {"two-sizes": {}},
            roles=ROLES,
            seeds=range(3),
            note=(
                "The paper's ZF-5 and recipe, trained on 224×224 pixels or, in turn, on 224 and 180, tested with one view on "
                "4 % of the training images. Wants accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "A pyramid of 50 bins has a lower test error than the plain last pool.",
            "test/error",
            {"none": 1, "50-bins": -1},
            paper="ZF-5, ten views, top-1: 35.99 % and 34.98 %.",
        ),
        Claim(
            "So has one of 30 bins.",
            "test/error",
            {"none": 1, "30-bins": -1},
            paper="ZF-5, top-1: 35.99 % and 35.06 %, there with fewer parameters than the plain network.",
        ),
        Claim(
            "Training on two sizes lowers the test error.",
            "test/error",
            {"50-bins": 1, "two-sizes": -1},
            paper="Table 2, ZF-5, ten views, top-1: 34.98 % and 34.60 % (the latter from memory).",
        ),
        Claim(
            "On the whole image, larger than both sizes, it does so too.",
            "full/error",
            {"50-bins": 1, "two-sizes": -1},
            paper="Table 3, ZF-5, one view, top-1: 37.55 % and 37.07 % (from memory).",
        ),
        Claim(
            "And on the whole image at the smaller size, on which the other network was not trained.",
            "full_180/error",
            {"50-bins": 1, "two-sizes": -1},
            paper="Not in the paper.",
        ),
        Claim(
            "The whole image is better than its middle, at the same scale, for a network of one size.",
            "full/error_saved",
            {"50-bins": 1},
            paper="Table 3, ZF-5, one view, top-1: 38.01 % of the middle, 37.55 % of the whole (from memory).",
        ),
    ),
)
