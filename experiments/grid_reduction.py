"""How should a grid be reduced: by a pool, a convolution, or both side by side?

cnnjax run experiments/grid_reduction.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/grid_reduction.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "parallel": {"model.reduction": "parallel"},
    "pool-first": {"model.reduction": "pool first"},
    "convolution-first": {"model.reduction": "convolution first"},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="How should the grid of maps be reduced without a bottleneck?",
    source="Szegedy et al.: Rethinking the Inception Architecture for Computer Vision (2015), §5, Fig. 9 and 10",
    scales={
        "digits": Scale(
            config="../configs/inception_v3_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "Inception v3 at an eighth of its width, on digits enlarged to 75×75, 10 epochs. Side by side are chains of "
                "convolutions, in the others one of 1×1: 3.18, 3.15 (convolution first) and 2.89 million products (pool first)."
            ),
        ),
        "imagenet": Scale(
            config="../configs/inception_v3.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(3),
            note="The paper's network and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "Pooling first, a bottleneck, has a higher test error than reducing side by side.",
            "test/error",
            {"pool-first": 1, "parallel": -1},
            paper="In words only.",
        ),
        Claim(
            "Side by side is no worse than the convolution first (by more than one point).",
            "test/error",
            {"convolution-first": 1, "parallel": -1},
            above=-0.01,
            paper="In words; 251 million products for the convolution first and 59 million for the pool first, at 35×35×320.",
        ),
    ),
)
