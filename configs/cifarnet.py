"""The four-layer network for CIFAR-10 of Krizhevsky et al. 2012 (§3.1, Fig. 1; §3.3).

    cnnjax data prepare cifar10
    cnnjax train configs/cifarnet.py --config.model.activation=tanh --run runs/tanh

The paper says of its recipe: learning rates chosen for each network by itself, to be as fast as possible; no regularisation.
To expect: 25 % training error about six times sooner with ReLUs than with tanh (Fig. 1); test error of 13 % without and 11 %
with local response normalisation (§3.3, of a network that it does not describe further). Not run here.

Ours: momentum, batch and rate, of which the paper says nothing.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "cifarnet",
        "activation": "relu",  # or tanh, sigmoid, identity
        "lrn": False,
        "first_pool": "max",  # or average: with the others, and no activation, the network is linear
        "batch_norm": False,
        "dropout": 0.0,
        "width_factor": 1.0,
        "kernel_init": "he",  # in place of the paper's Gaussians, which a rate and an activation would have to be tuned for
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "duration": "40 epochs",
            "task.pad": 0,
            "task.flip": False,
            "optimizer.weight_decay": 0.0,
            "optimizer.decay_multipliers": ((".", 1.0),),
            "schedule.learning_rate": 0.01,
            "schedule.boundaries": (),
            "evaluation.every": "1 epochs",
        },
    )
