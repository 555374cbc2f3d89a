"""Inception v3 with one classifier, with which Xception is compared, trained as Xception is in configs/xception.py.

    cnnjax train configs/xception_baseline.py --run runs/xception_baseline

The paper: 23,626,728 parameters, Xception has 22,855,952 (*Xception: Deep Learning with Depthwise Separable Convolutions*,
Table 3, Chollet 2016); the same optimiser for both, tuned for this one (§4.2), and weight decay 0.00004 (§4.3).

To expect (Table 1, validation images of ILSVRC-2012 that are not blacklisted, one view, accuracy): top-1 0.782, top-5 0.941;
that is 21.8 % and 5.9 % error. Not run here.

Ours: what configs/xception.py lists.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("xception.py")).unlock()
    recipe.model = {
        "name": "xception_baseline",
        "stem": "299",  # or 151, 79: for images of half and a quarter of the size
        "batch_norm": True,
        "dropout": 0.5,
        "width_factor": 1.0,
        "bn_group": 32,
        "bn_momentum": 0.99,
        "bn_epsilon": 1e-3,
        "dtype": "float32",
    }
    return config.override(recipe, {"optimizer.weight_decay": 4e-5})
