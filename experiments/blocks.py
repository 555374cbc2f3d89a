"""Blocks: what do bottlenecks gain, more of them, and twice the maps on half the side?

    cnnjax run experiments/blocks.py                     # embedded digits, minutes on two CPU cores
    cnnjax run experiments/blocks.py --scale imagenet    # the paper's; wants several accelerators

ResNet-34 and ResNet-50 have as many blocks, of two 3×3 convolutions in one and of 1×1, 3×3 and 1×1 in the other, for about as
many multiplications (3.6 and 3.8 billion in the paper). ``resnet34-one-width`` has as many maps in every stage, and so many
that it costs as much as the network that doubles them.
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale


def arms(*depths: int, one_width: int) -> dict[str, dict[str, object]]:
    """All with projections where the shape changes, as the deeper ones of the paper."""
    found: dict[str, dict[str, object]] = {
        f"resnet{depth}": {"model.name": f"resnet{depth}", "model.shortcut": "B"} for depth in depths
    }
    return {**found, "resnet34-one-width": {**found["resnet34"], "model.growth": 1, "model.width": one_width}}


ROLES = {"shallow": "resnet18", "basic": "resnet34", "bottleneck": "resnet50", "one-width": "resnet34-one-width"}

experiment = Experiment(
    question="At about equal cost, are bottlenecks better than blocks of two 3×3 convolutions?",
    source="He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), §4.1, Tables 1, 3 and 4",
    scales={
        "digits": Scale(
            config="../configs/resnet_digits.py",
            arms=arms(18, 34, 50, one_width=14),
            roles=ROLES,
            seeds=range(5),
            note="An eighth of the width, on digits enlarged to 32×32, 15 epochs; the last maps are of one pixel.",
        ),
        "imagenet": Scale(
            config="../configs/resnet_imagenet.py",
            arms=arms(18, 34, 50, 101, 152, one_width=117),
            roles=ROLES,
            seeds=range(3),
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
        Claim(
            "Twice the maps on half the side has a lower test error than one width that costs as much.",
            "test/error",
            {"one-width": 1, "basic": -1},
            paper="Not in the paper, whose rule is that every layer takes as long (§3.3).",
        ),
    ),
)
