"""Inception v3 at an eighth of its width, on digits enlarged to 75×75.

cnnjax train configs/inception_v3_digits.py --config.model.factorised_7x7=False --run runs/pairs

75×75 images end in a map of one pixel. There is no auxiliary classifier: its windows want images of 299×299. Ours: rate, batch
and duration.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "inception_v3",
        "stem": "299",  # or 151, 79: for images of half and a quarter of the size
        "factorised_5x5": False,
        "factorised_7x7": True,
        "linear_factors": False,  # True: no ReLU between the two
        "reduction": "parallel",  # or pool first, convolution first
        "auxiliary": False,
        "activation": "relu",
        "batch_norm": True,
        "dropout": 0.2,
        "width_factor": 0.125,
        "bn_group": 0,
        "bn_momentum": 0.9,
        "bn_epsilon": 1e-3,
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "duration": "10 epochs",
            "schedule.boundaries": ("5 epochs", "7.5 epochs"),
            "dataset.side": 75,
            "schedule.learning_rate": 0.02,
        },
    )
