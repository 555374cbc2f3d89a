"""ZF-5 with a spatial pyramid on ILSVRC-2012, as in *Spatial Pyramid Pooling*, §3.1 (He et al. 2014).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/spp.py --run runs/spp

The paper: learning rate 0.01, divided by 10 when the error does not fall any more, twice; shorter side 256, crops of 224×224
from the middle or the corners, mirrored, colours shifted as in AlexNet; dropout of one half on the two fully connected layers
(§3.1). A pyramid of {6, 3, 2, 1}, 50 bins. Training on two sizes: a full epoch with crops of 224×224, the next with the same
crops resized to 180×180, and so on (§2.3). On one size, without a pyramid, and with 30 bins:

    --config.task.sizes='()'
    --config.task.sizes='()' --config.model.pyramid=none
    --config.task.sizes='()' --config.model.pyramid=4321

The larger networks are ``--config.model.name=spp_convnet5``, spp_overfeat5 and spp_overfeat7.

To expect (paper, Table 2, ILSVRC-2012 validation set, ten views, top-1 / top-5 error): on one size 34.98 / 14.14 %, without a
pyramid 35.99 / 14.76 %, with 30 bins 35.06 / 14.04 % (§3.1.2); on two sizes both are lower (§3.1.3), for Overfeat-7 29.68 /
10.95 % (§3.1.3, §3.1.5). Not run here. Secondary sources have the sizes 480 to 1200 in training: these are for features of
detection; and weights that are saved and loaded between the sizes: it is one network.

Ours: batches of 128, 70 epochs, momentum 0.9, as in Zeiler & Fergus 2013, and weight decay 0.0005 on kernels, as in Krizhevsky
et al. 2012, whose practice the paper says that it follows; the error is looked at once an epoch, and does not fall any more
when it has not in five; rates fall as often as that happens, not twice; crops at every place; one view, the middle, at test
time. Images are divided by one number, the standard deviation over all pixels, and the paper's are not: its Gaussians begin
with smaller activations here (``--config.model.kernel_init=he`` does not depend on the images' scale).
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "spp_zf5",  # or spp_convnet5, spp_overfeat5, spp_overfeat7
        "pyramid": "6321",  # or 4321, 321, none
        "activation": "relu",
        "dropout": 0.5,
        "width_factor": 1.0,
        "kernel_init": "",  # the released Gaussians and biases; or he, glorot, gaussian
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "dataset.name": "imagenet2012",
            "dataset.test": "validation",
            "dataset.side": 256,
            "duration": "70 epochs",
            "batch_size": 128,
            "task.pad": 0,
            "task.crop": 224,
            "task.colour": 0.1,
            "task.sizes": (224, 180),
            "optimizer.weight_decay": 5e-4,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.01,
            "schedule.boundaries": (),
            "schedule.plateau": "test/error",
            "schedule.patience": 5,
            "evaluation.every": "1 epochs",
            "evaluation.batch_size": 256,
            "evaluation.train": 50_000,
            "execution.stream": True,
        },
    )
