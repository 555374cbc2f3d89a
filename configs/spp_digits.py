"""ZF-5 with a spatial pyramid, at an eighth of its width, on digits enlarged to 146×146, of which it sees 128×128.

    cnnjax train configs/spp_digits.py --config.model.pyramid=none --run runs/none
    cnnjax train configs/spp_digits.py --config.task.sizes='(128,103)' --run runs/two-sizes

The paper's 224 of 256, and its training on two sizes, 224 and 180, in proportion. Ours: rate, batch and duration, and He's
initialisation.
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
            "dataset.side": 146,
            "task.pad": 0,
            "task.crop": 128,
            "optimizer.weight_decay": 5e-4,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.01,
        },
    )
