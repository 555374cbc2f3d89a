"""GoogLeNet for 32×32 images on CIFAR-10, trained as ResNets are in configs/resnet_cifar.py.

    cnnjax data prepare cifar10
    cnnjax train configs/googlenet_cifar.py --run runs/googlenet

No paper's: Szegedy et al. 2014 train on ImageNet only. It is for comparisons with the ResNets, such as what
squeeze-and-excitation gains in either:

    --config.model.se_ratio=16

Nothing to expect is known from a paper. Not run here: it wants an accelerator.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "googlenet_cifar",
        "se_ratio": 0,  # of squeeze-and-excitation after each module; 0: none
        "batch_norm": True,
        "dropout": 0.0,
        "width_factor": 1.0,
        "bn_group": 0,
        "bn_momentum": 0.9,
        "bn_epsilon": 1e-5,
        "dtype": "float32",
    }
    return recipe.lock()
