"""Depth: how far does a residual network gain from more layers?

cnnjax run experiments/depth.py                     # embedded digits, ten minutes on two CPU cores
cnnjax run experiments/depth.py --scale cifar10     # the paper's recipe, up to 1202 layers; wants accelerators
cnnjax run experiments/depth.py --scale imagenet    # 18 to 152 layers; wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ROLES = {"shallow": "resnet20", "deep": "resnet56", "deeper": "resnet110"}


def arms(depths: dict[int, dict[str, object]]) -> dict[str, dict[str, object]]:
    return {f"resnet{depth}": {"model.depth": depth, **more} for depth, more in depths.items()}


experiment = Experiment(
    question="How far does a residual network gain from more layers?",
    source="He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), §4.1 and §4.2, Tables 4 and 6",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=arms({20: {}, 56: {}, 110: {"schedule.warmup": "45 steps", "schedule.warmup_learning_rate": 0.002}}),
            roles=ROLES,
            seeds=range(5),
            note=(
                "8×8 digits, 15 epochs. ResNet-20 errs on about ten of 360 test images: there is little for depth to gain, and "
                "within so few steps a deeper network is less trained. 110 layers start at a tenth of the rate for an epoch, "
                "as the paper's do for 400 steps."
            ),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms=arms(
                {
                    20: {},
                    32: {},
                    44: {},
                    56: {},
                    110: {"schedule.warmup": "400 steps"},
                    1202: {"schedule.warmup": "400 steps"},
                }
            ),
            roles=ROLES,
            seeds=range(5),
            note="The paper's recipe and depths, 64,000 steps of 128 images. Wants an accelerator; one worker has all.",
        ),
        "imagenet": Scale(
            config="../configs/resnet_imagenet.py",
            arms={f"resnet{depth}": {"model.name": f"resnet{depth}"} for depth in (18, 34, 50, 101, 152)},
            roles={"shallow": "resnet34", "deep": "resnet50", "deeper": "resnet152"},
            seeds=range(3),
            note="The paper's networks and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "56 layers have a lower test error than 20; on ImageNet 50 than 34.",
            "test/error",
            {"shallow": 1, "deep": -1},
            paper="Table 6: 8.75 % and 6.97 %. Table 4, ImageNet, top-1, dense, several scales: 21.53 % (C) and 20.74 %.",
        ),
        Claim(
            "110 layers have a lower test error than 56; on ImageNet 152 than 50.",
            "test/error",
            {"deep": 1, "deeper": -1},
            paper="Table 6: 6.97 % and 6.43 % (the best of five; 6.61 ± 0.16 %). Table 4, top-1: 20.74 % and 19.38 %.",
        ),
        Claim(
            "110 layers (152) are trained without difficulty: no worse in training than the first (by more than one point).",
            "train/error",
            {"shallow": 1, "deeper": -1},
            above=-0.01,
            paper="Fig. 6, curves only; even 1202 layers end below 0.1 % training error, and at 7.93 % test error (Table 6).",
        ),
    ),
)
