"""Inception v3 with one classifier, with which Xception is compared, trained as Xception is in configs/xception_digits.py.

cnnjax train configs/xception_baseline_digits.py --run runs/baseline

Both at an eighth of their width, on digits enlarged to 39×39: 346,758 parameters and 3.18 million multiply-accumulates here,
356,353 and 3.30 million there. The stem is that for images of half the size: 39×39 images end in a map of one pixel.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("xception_digits.py")).unlock()
    recipe.model = {
        "name": "xception_baseline",
        "stem": "151",  # or 79; 299 wants images of 75×75
        "batch_norm": True,
        "dropout": 0.5,
        "width_factor": 0.125,
        "bn_group": 0,
        "bn_momentum": 0.9,
        "bn_epsilon": 1e-5,
        "dtype": "float32",
    }
    return recipe.lock()
