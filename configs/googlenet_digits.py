"""GoogLeNet for small images at an eighth of its width, on digits enlarged to 16×16.

cnnjax train configs/googlenet_digits.py --config.model.auxiliary=both --run runs/auxiliary

Batch normalisation instead of the paper's local response normalisation; auxiliary classifiers pool their maps to 4×4. Ours:
rate, batch and duration.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "googlenet_cifar",
        "modules": "3a,3b,4a,4b,4c,4d,4e,5a,5b",
        "large": "5x5",
        "reduced": True,  # or the naive modules
        "auxiliary": "none",  # or first, second, both
        "auxiliary_bins": True,
        "auxiliary_norm": True,  # where the network is normalised
        "auxiliary_dropout": 0.7,
        "se_ratio": 0,  # of squeeze-and-excitation after each module; 0: none
        "batch_norm": True,
        "dropout": 0.4,
        "width_factor": 0.125,
        "bn_group": 0,
        "bn_momentum": 0.9,
        "bn_epsilon": 1e-5,
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "duration": "10 epochs",
            "schedule.boundaries": ("5 epochs", "7.5 epochs"),
            "dataset.side": 16,
            "task.auxiliary_weight": 0.3,
            "schedule.learning_rate": 0.02,
        },
    )
