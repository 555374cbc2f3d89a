"""BN-Inception on ILSVRC-2012, as in *Batch Normalization*, §4.2 (Ioffe & Szegedy 2015).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/bn_inception.py --run runs/bn_inception

The paper: SGD with momentum, batches of 32. This is its BN-x30: learning rate 0.045, thirty times that of Inception without
batch normalisation; against Inception's recipe (configs/googlenet.py) no dropout, a fifth of the weight decay, a rate that
falls six times as fast, no local response normalisation, less photometric distortion (§4.2.1). It is at its best after 6
million steps, 150 epochs (§4.2.2). BN-x5, which learns faster and to less, and sigmoids in place of ReLUs:

    --config.schedule.learning_rate=0.0075
    --config.schedule.learning_rate=0.0075 --config.model.activation=sigmoid

To expect (paper, Fig. 3, ILSVRC-2012 validation set, one view, top-1 accuracy): 74.8 %, and 72.2 %, Inception's best, after
2.7 million steps; BN-x5 73.0 %, and 72.2 % after 2.1 million; with sigmoids 69.8 %. Errors of the single network are given as
25.2 % and 7.82 % (top-5). Not run here.

"Inception v2" is what secondary sources call this network, and another one of Szegedy et al. 2015.

Ours: 4 % less every 8/6 epochs, which "six times" of the earlier paper's schedule comes to; momentum 0.9 and weight decay
0.00004, slim's; distortions of a tenth; parts by area, as in the earlier paper, mirrored at random; the mean colour is
subtracted; a mean of the statistics with a momentum of 0.9997, as in slim, where the paper takes them over the training set;
one replica, so no step is late. The paper's thorough shuffling is what every epoch here has. A batch of 256 with the rate in
proportion, which the paper does not try, 32 examples a group:

    --config.batch_size=256 --config.schedule.learning_rate=0.36 --config.duration='150 epochs' --config.model.bn_group=32 \
        --config.model.bn_momentum=0.9976
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "bn_inception",
        "separable": True,  # the first convolution
        "se_ratio": 0,  # of squeeze-and-excitation after each module; see configs/senet.py
        "batch_norm": True,
        "activation": "relu",
        "dropout": 0.0,
        "width_factor": 1.0,
        "kernel_init": "",  # He's; or glorot, gaussian
        "bn_group": 0,
        "bn_momentum": 0.9997,
        "bn_epsilon": 1e-3,
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "dataset.name": "imagenet2012",
            "dataset.test": "validation",
            "dataset.side": 256,
            "duration": "6000000 steps",
            "batch_size": 32,
            "task.pad": 0,
            "task.mean": "channel",
            "task.crop": 224,
            "task.area": (0.08, 1.0),
            "task.aspect": (3 / 4, 4 / 3),
            "task.photometric": 0.1,
            "optimizer.weight_decay": 4e-5,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.045,
            "schedule.boundaries": (),
            "schedule.factor": 0.96,
            "schedule.every": "1.333333 epochs",
            "evaluation.batch_size": 256,
            "evaluation.train": 50_000,
            "execution.stream": True,
        },
    )
