"""Inception v4 at an eighth of its width, on digits enlarged to 75×75.

cnnjax train configs/inception_v4_digits.py --run runs/v4

Ours: rate, batch and duration.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "inception_v4",
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
