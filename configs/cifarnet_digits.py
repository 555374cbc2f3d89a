"""The four-layer network of Krizhevsky et al. 2012 at a quarter of its width, on digits enlarged to 32×32.

cnnjax train configs/cifarnet_digits.py --config.model.activation=tanh --run runs/tanh
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    return config.override(
        config.load(pathlib.Path(__file__).with_name("cifarnet.py")),
        {
            "dataset.name": "digits",
            "dataset.side": 32,
            "duration": "15 epochs",
            "batch_size": 32,
            "model.width_factor": 0.25,
            "evaluation.every": "0.25 epochs",
            "evaluation.log": "1 epochs",
            "evaluation.batch_size": 360,
            "execution.steps_per_dispatch": 11,
            "execution.checkpoint.every": "5 epochs",
        },
    )
