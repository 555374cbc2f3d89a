"""Blocks: what do bottlenecks gain, and more of them?

    cnnjax run experiments/blocks.py                     # embedded digits, minutes on two CPU cores
    cnnjax run experiments/blocks.py --scale imagenet    # the paper's; wants several accelerators

ResNet-34 and ResNet-50 have as many blocks, of two 3×3 convolutions in one and of 1×1, 3×3 and 1×1 in the other, for about as
many multiplications (3.6 and 3.8 billion in the paper).
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale


def arms(*depths: int) -> dict[str, dict[str, object]]:
    """All with projections where the shape changes, as the deeper ones of the paper."""
    return {f"resnet{depth}": {"model.name": f"resnet{depth}", "model.shortcut": "B"} for depth in depths}


ROLES = {"shallow": "resnet18", "basic": "resnet34", "bottleneck": "resnet50"}

experiment = Experiment(
    question="At about equal cost, are bottlenecks better than blocks of two 3×3 convolutions?",
    source="He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), §4.1, Tables 1, 3 and 4",
    scales={
        "digits": Scale(
            config="../configs/resnet_digits.py",
            arms=arms(18, 34, 50),
            roles=ROLES,
            seeds=range(5),
            note="An eighth of the width, on digits enlarged to 32×32, 15 epochs; the last maps are of one pixel.",
        ),
        "imagenet": Scale(
            config="../configs/resnet_imagenet.py",
            arms=arms(18, 34, 50, 101, 152),
            roles=ROLES,
            seeds=range(2),
            note="The paper's networks and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "50 layers in bottlenecks have a lower test error than 34 in pairs.",
            "test/error",
            {"basic": 1, "bottleneck": -1},
            paper="ImageNet validation, top-1, 10-crop, both with B (Table 3): 24.52 % and 22.85 %.",
        ),
        Claim(
            "34 layers have a lower test error than 18.",
            "test/error",
            {"shallow": 1, "basic": -1},
            paper="With A, Table 2: 27.88 % and 25.03 %.",
        ),
    ),
)
