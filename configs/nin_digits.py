"""Network in Network for CIFAR-10 at a quarter of its width, on digits enlarged to 16×16.

cnnjax train configs/nin_digits.py --config.model.head=connected --run runs/connected

Ours: rate, batch and duration, He's initialisation, and dropout of 0.2: with the paper's 0.5 a network so narrow did not learn.
Class maps have no ReLU, behind which a class can be lost for good.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "nin_cifar10",
        "head": "average",  # or connected
        "head_dropout": 0.0,  # before the fully connected layer; the paper's control has 0 or 0.5
        "mlpconv": True,
        "final_relu": False,
        "batch_norm": False,
        "activation": "relu",
        "dropout": 0.2,
        "dropout_after": "",
        "width_factor": 0.25,
        "kernel_init": "he",
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "duration": "10 epochs",
            "schedule.boundaries": ("5 epochs", "7.5 epochs"),
            "dataset.side": 16,
            "optimizer.weight_decay": 1e-4,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.02,
        },
    )
