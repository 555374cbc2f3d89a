"""Inception-ResNet v2 on ILSVRC-2012, as in *Inception-v4, Inception-ResNet and the Impact of Residual Connections*.

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/inception_resnet_v2.py --run runs/inception_resnet_v2

The recipe is that of configs/inception_v4.py, where its sources and what is ours stand; the network is as printed (Szegedy,
Ioffe, Vanhoucke, Alemi 2016, §3.2, Fig. 15). Residual branches are scaled by 0.17, 0.1 and 0.2 in modules A, B and C, as in the
authors' released network: the paper says 0.1 to 0.3 (§3.3). Without scaling:

    --config.model.scales='(1.0,1.0,1.0)'

To expect (paper, validation images of ILSVRC-2012 that are not blacklisted, one view, top-1 / top-5 error): 19.9 / 4.9 %. Not
run here.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("inception_v4.py")).unlock()
    recipe.model.name = "inception_resnet_v2_paper"
    recipe.model.scales = (0.17, 0.1, 0.2)  # of the residual branches of modules A, B and C
    return recipe.lock()
