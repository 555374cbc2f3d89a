"""A network from a line of text, on digits enlarged to 16×16.

cnnjax train configs/pattern_digits.py --config.model.layers='conv3-16 pool2 conv3-32 pool2 fc-64' --run runs/pattern

No paper's: for questions about single layers. SGD with momentum, no decay, nothing dropped.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "pattern",
        "layers": "conv3-16 pool2 conv3-32 pool2 fc-64",
        "batch_norm": False,
        "activation": "relu",
        "dropout": 0.0,
        "width_factor": 1.0,
        "kernel_init": "he",
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "dataset.side": 16,
            "optimizer.weight_decay": 0.0,
            "optimizer.decay_multipliers": ((".", 1.0),),
            "schedule.learning_rate": 0.01,
        },
    )
