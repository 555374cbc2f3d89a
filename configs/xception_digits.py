"""Xception at an eighth of its width, on digits enlarged to 39×39.

cnnjax train configs/xception_digits.py --config.model.between=relu --run runs/relu

Ours: rate, batch and duration.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "xception",
        "residual": True,
        "between": "identity",  # between the two steps of a separable convolution; or relu, elu
        "batch_norm": True,
        "dropout": 0.5,
        "width_factor": 0.125,
        "bn_group": 0,
        "bn_momentum": 0.9,
        "bn_epsilon": 1e-5,
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "duration": "5 epochs",
            "schedule.boundaries": ("2.5 epochs", "4 epochs"),
            "dataset.side": 39,
            "schedule.learning_rate": 0.02,
        },
    )
