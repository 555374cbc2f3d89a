"""VGG at an eighth of its width, on digits enlarged to 32×32.

cnnjax train configs/vgg_digits.py --config.model.name=vgg16 --run runs/vgg16

Five pools leave one pixel of 32×32, so the first fully connected layer sees the features of one place. Ours: rate, batch and
duration, and He's initialisation; the paper starts its deep networks from a trained shallow one.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "vgg11",
        "hidden": 4096,
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
            "dataset.side": 32,
            "optimizer.weight_decay": 5e-4,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.01,
        },
    )
