"""Inception v4 on ILSVRC-2012, as in *Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning*.

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/inception_v4.py --run runs/inception_v4

The paper (Szegedy, Ioffe, Vanhoucke, Alemi 2016): 20 replicas; RMSProp, decay 0.9, epsilon 1.0; learning rate 0.045, times
0.94 every two epochs; a running average of the parameters is evaluated. Images of 299×299; dropout that keeps 0.8.

To expect (paper, validation images of ILSVRC-2012 that are not blacklisted, one view, top-1 / top-5 error): 20.0 / 5.0 %; in
144 views, of all 50,000 images, 17.7 / 3.8 %. With the residual networks, whose branches are scaled by 0.1 to 0.3:

    --config.model.name=inception_resnet_v2_paper    19.9 / 4.9 %
    --config.model.name=inception_resnet_v1          near Inception v3's 21.2 / 5.6 %, whose cost it has

Not run here. Inception-v4 itself has no residual connections, though secondary sources say so; 3.08 % is four networks' top-5
error on the test set.

Ours: what the paper does not say: batches of 32 and their rate as in configs/inception_v3.py, where it is said how they grow
together; 160 epochs; no clipping; smoothing of labels by 0.1 and weight decay 0.00004 on kernels, v3's; a momentum of 0.9
beside RMSProp, statistics with a momentum of 0.9997 and an epsilon of 0.001, slim's; an average with a decay of 0.9999; no
auxiliary classifier; parts of 8 % to 100 % of the area, 3/4 to 4/3 wide, as in Szegedy et al. 2014, mirrored at random; the
mean colour is subtracted.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("inception_v3.py")).unlock()
    recipe.model = {
        "name": "inception_v4",  # or inception_resnet_v1, inception_resnet_v2_paper
        "batch_norm": True,
        "dropout": 0.2,
        "width_factor": 1.0,
        "bn_group": 0,
        "bn_momentum": 0.9997,
        "bn_epsilon": 1e-3,
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "duration": "160 epochs",
            "task.auxiliary_weight": 0.0,
            "optimizer.clip": 0.0,
        },
    )
