"""A fully connected network on digits enlarged to 16×16: the baseline beside configs/pattern_digits.py.

cnnjax train configs/mlp_digits.py --config.model.widths='(80,)' --run runs/mlp

No paper's. 80 hidden units on 256 pixels: 21,370 parameters. Else as there.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("pattern_digits.py")).unlock()
    recipe.model = {
        "name": "mlp_cifar10",
        "widths": (80,),
        "batch_norm": False,
        "activation": "relu",
        "dropout": 0.0,
        "kernel_init": "he",
        "dtype": "float32",
    }
    return recipe.lock()
