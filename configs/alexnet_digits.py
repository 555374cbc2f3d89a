"""AlexNet at an eighth of its width, on digits enlarged to 67×67: the smallest images that leave it a map after its last pool.

cnnjax train configs/alexnet_digits.py --config.model.lrn=none --run runs/without

Ours: rate, batch and duration, and He's initialisation, since a Gaussian of 0.01 is meant for eight times as many inputs.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "alexnet",  # or alexnet_ungrouped
        "lrn": "before",  # of the pools; or after, none
        "overlapping": True,
        "features": (384, 384, 256),  # of the third to fifth convolution
        "hidden": 4096,
        "without": "",
        "batch_norm": False,
        "activation": "relu",
        "dropout": 0.5,
        "dropout_after": "",
        "width_factor": 0.125,
        "kernel_init": "he",
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "dataset.side": 67,
            "optimizer.weight_decay": 5e-4,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.01,
        },
    )
