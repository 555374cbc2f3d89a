"""Inception-ResNet v2, as printed, at an eighth of its width, on digits enlarged to 75×75.

cnnjax train configs/inception_resnet_v2_digits.py --config.model.scales='(1.0,1.0,1.0)' --run runs/unscaled
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("inception_v4_digits.py")).unlock()
    recipe.model.name = "inception_resnet_v2_paper"
    recipe.model.scales = (0.17, 0.1, 0.2)  # of the residual branches of modules A, B and C
    return recipe.lock()
