"""ZF-5 with a spatial pyramid, at an eighth of its width, on digits enlarged to 128×128.

cnnjax train configs/spp_digits.py --config.model.pyramid=none --run runs/none

Ours: rate, batch and duration, and He's initialisation.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "spp_zf5",
        "pyramid": "6321",  # or 4321, 321, none
        "activation": "relu",
        "dropout": 0.5,
        "width_factor": 0.125,
        "kernel_init": "he",
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "duration": "10 epochs",
            "schedule.boundaries": ("5 epochs", "7.5 epochs"),
            "dataset.side": 128,
            "optimizer.weight_decay": 5e-4,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.01,
        },
    )
