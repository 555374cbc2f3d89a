"""GoogLeNet on ILSVRC-2012, as in *Going Deeper with Convolutions*, §5 and §6 (Szegedy et al. 2014).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/googlenet.py --run runs/googlenet

The paper: asynchronous SGD, momentum 0.9; the learning rate falls by 4 % every eight epochs; Polyak averages of the weights
are evaluated (§6). Two auxiliary classifiers, whose losses count 0.3 each, with dropout of 70 %; 40 % before the main one
(§5). Parts of 8 % to 100 % of an image's area, of an aspect between 3/4 and 4/3, made 224×224; photometric distortions (§6).
It gives no rate and no batch. Ioffe & Szegedy 2015, §4.2, do, of a variant of the network: 0.0015 and 32, and that it was at
its best, 72.2 % top-1 accuracy in one view, after 31 million steps (774 epochs); these are the recipe's.

To expect (paper, ILSVRC-2012 validation set, top-5 error of one network): 10.07 % in one view, 9.15 % in ten, 7.89 % in 144;
of seven networks in 144 views 6.67 %. Not run here. Without one of the auxiliary classifiers, or with none:

    --config.model.auxiliary=second
    --config.model.auxiliary=none

Secondary sources have 3×3 in place of the 5×5 convolutions, dropout of 20 %, batch normalisation and no auxiliary classifiers
(slim's network: ``--config.model.name=googlenet_3x3`` and its fields), or auxiliary losses that fade out: none of it is the
paper's.

Ours: one replica, so no step is late. Weight decay 0.0002 on kernels: the paper says nothing, and Ioffe & Szegedy divide it by
five, to which slim's 0.00004 would belong. The mean colour is subtracted; an average with a decay of 0.9999; distortions of a
half; mirrored images; He's initialisation; one view, the middle, at test time. A batch of 256 with the rate in proportion,
which no one of them did:

    --config.batch_size=256 --config.schedule.learning_rate=0.012 --config.duration='774 epochs'
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "googlenet",
        "modules": "3a,3b,4a,4b,4c,4d,4e,5a,5b",
        "large": "5x5",
        "reduced": True,  # or the naive modules
        "auxiliary": "both",  # or none, first, second
        "auxiliary_bins": False,
        "auxiliary_norm": True,  # where the network is normalised
        "auxiliary_dropout": 0.7,
        "se_ratio": 0,  # of squeeze-and-excitation after each module; 0: none
        "batch_norm": False,
        "dropout": 0.4,
        "width_factor": 1.0,
        "bn_group": 0,  # this and the next two: where it is normalised
        "bn_momentum": 0.9,
        "bn_epsilon": 1e-5,
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "dataset.name": "imagenet2012",
            "dataset.test": "validation",
            "dataset.side": 256,
            "duration": "31000000 steps",
            "batch_size": 32,
            "task.pad": 0,
            "task.auxiliary_weight": 0.3,
            "task.mean": "channel",
            "task.crop": 224,
            "task.area": (0.08, 1.0),
            "task.aspect": (3 / 4, 4 / 3),
            "task.photometric": 0.5,
            "optimizer.average": 0.9999,
            "optimizer.weight_decay": 2e-4,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.0015,
            "schedule.boundaries": (),
            "schedule.factor": 0.96,
            "schedule.every": "8 epochs",
            "evaluation.batch_size": 256,
            "evaluation.train": 50_000,
            "execution.stream": True,
        },
    )
