"""Spatial pyramids: do several levels of bins help?

cnnjax run experiments/spatial_pyramid.py    # embedded digits, minutes on two CPU cores
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "none": {"model.pyramid": "none"},
    "50-bins": {"model.pyramid": "6321"},
    "30-bins": {"model.pyramid": "4321"},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="Does pooling into a pyramid of bins help?",
    source="He, Zhang, Ren, Sun: Spatial Pyramid Pooling in Deep Convolutional Networks (2014), §3.1, Table 2",
    scales={
        "digits": Scale(
            config="../configs/spp_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "ZF-5 at an eighth of its width, on digits enlarged to 128×128, 10 epochs. The last maps are small: unlike in "
                "the paper both pyramids have more parameters (1,146,242 and 818,562) than none (474,498)."
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
    ),
)
