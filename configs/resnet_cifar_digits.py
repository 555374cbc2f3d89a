"""The CIFAR family of *Deep Residual Learning* on scikit-learn's 8×8 handwritten digits: minutes on two CPU cores.

    cnnjax train configs/resnet_cifar_digits.py --config.model.depth=56 --config.model.shortcut=none --run runs/plain56

The networks are the paper's, with its widths; 8×8 maps shrink to 4×4 and 2×2. What the size of the set changes: see the
comments.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    return config.override(
        config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")),
        {
            "dataset.name": "digits",
            "duration": "15 epochs",
            "batch_size": 32,  # 44 steps an epoch: many small steps train deep networks better than few large ones
            "task.pad": 1,  # an eighth of the image's side, as 4 of 32
            "task.flip": False,
            "schedule.learning_rate": 0.02,  # with 0.1 or 0.05 56 residual layers are not trained in so few steps
            "schedule.boundaries": ("7.5 epochs", "11.25 epochs"),
            "evaluation.every": "1 epochs",
            "evaluation.batch_size": 360,  # a fifth of the set: nothing is padded
            "execution.steps_per_dispatch": 44,
            "execution.checkpoint.every": "5 epochs",
        },
    )
