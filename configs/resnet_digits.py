"""The ImageNet networks of *Deep Residual Learning* at an eighth of their width, on digits enlarged to 32×32.

cnnjax train configs/resnet_digits.py --config.model.name=resnet34 --run runs/resnet34

Ours: rate, batch and duration, those of configs/resnet_cifar_digits.py. 32×32 images end in a map of one pixel.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {
        "name": "resnet50",  # or resnet18, resnet34, resnet101, resnet152
        "shortcut": "B",  # none, A, B or C
        "width": 8,
        "growth": 2,  # times the maps of the stage before
        "stride_on": "1x1",  # of a bottleneck's convolutions; or 3x3
        "batch_norm": True,
        "activation": "relu",
        "dropout": 0.0,
        "dropout_after": "",
        "kernel_init": "",
        "se_ratio": 0,
        "se_place": "standard",
        "se_stages": (),  # numbers of the stages that have it; (): all
        "se_squeeze": "average",  # or max
        "se_gate": "sigmoid",  # or tanh, relu
        "scan": True,
        "dtype": "float32",
        "bn_group": 0,
        "bn_momentum": 0.9,
        "bn_epsilon": 1e-5,
    }
    return config.override(recipe, {"dataset.side": 32})
