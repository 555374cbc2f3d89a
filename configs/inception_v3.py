"""Inception v3 on ILSVRC-2012, as in *Rethinking the Inception Architecture for Computer Vision*, §8 (Szegedy et al. 2015).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/inception_v3.py --run runs/inception_v3

The paper (§8): batches of 32 on each of 50 replicas, 100 epochs; RMSProp, decay 0.9, epsilon 1.0; learning rate 0.045, times
0.94 every two epochs; gradients clipped at 2.0; a running average of the parameters is evaluated. Smoothing of labels by 0.1
(§7), an auxiliary classifier on the last 17×17 maps, batch-normalised (§4). Images of 299×299.

To expect (paper, Table 3, validation images of ILSVRC-2012 that are not blacklisted, one view, top-1 / top-5 error): 21.2 /
5.6 %; twelve views 19.47 / 4.48 %, 144 views 18.77 / 4.2 %. The steps that lead there, of the same table: without batch
normalisation of the auxiliary classifier 21.6 / 5.8 %, without factorised 7×7 convolutions too 22.8 / 6.1 %, without smoothing
too 23.1 / 6.3 %, with momentum in place of RMSProp too 23.4 %, at a rate that the paper does not give:

    --config.model.name=inception_v2_rethinking --config.model.factorised_5x5=True
    --config.model.name=inception_v2_rethinking --config.model.factorised_5x5=True --config.model.factorised_7x7=False

The next has ``--config.task.label_smoothing=0.0`` too. Not run here. The paper's v2 has two 3×3 for each 5×5 (§3.1), the
released v3 has 5×5. Secondary sources caption the modules' figures one off, and build the paper's Table 1 as printed: the
network is the released one (`cnnjax.models.inception`).

Ours: one replica, whose steps are those of a batch of 32 and never late: the paper's fifty apply theirs one by one, so that
its rate is that of 32 examples. For 256 in one step, the rate in proportion:

    --config.batch_size=256 --config.schedule.learning_rate=0.36 --config.model.bn_group=32 --config.model.bn_momentum=0.9976

A momentum of 0.9 beside RMSProp, statistics with a momentum of 0.9997 and an epsilon of 0.001, slim's; weight decay 0.00004 on
kernels, which Chollet 2016 says that v3 has; the auxiliary loss counts 0.3, as in Szegedy et al. 2014; the clipped norm is
that of all gradients together; an average with a decay of 0.9999; parts of 8 % to 100 % of the area, 3/4 to 4/3 wide, as in
Szegedy et al. 2014, mirrored at random, and the mean colour subtracted, of all of which this paper says nothing.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "inception_v3",
        "stem": "299",  # or 151, 79: for images of half and a quarter of the size
        "factorised_5x5": False,
        "factorised_7x7": True,
        "linear_factors": False,  # True: no ReLU between the two
        "reduction": "parallel",  # or pool first, convolution first
        "auxiliary": True,
        "activation": "relu",
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
            "dataset.name": "imagenet2012",
            "dataset.test": "validation",
            "dataset.side": 342,
            "duration": "100 epochs",
            "batch_size": 32,
            "task.pad": 0,
            "task.label_smoothing": 0.1,
            "task.auxiliary_weight": 0.3,
            "task.mean": "channel",
            "task.crop": 299,
            "task.area": (0.08, 1.0),
            "task.aspect": (3 / 4, 4 / 3),
            "optimizer.kind": "rmsprop",
            "optimizer.epsilon": 1.0,
            "optimizer.clip": 2.0,
            "optimizer.average": 0.9999,
            "optimizer.weight_decay": 4e-5,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.045,
            "schedule.boundaries": (),
            "schedule.factor": 0.94,
            "schedule.every": "2 epochs",
            "evaluation.batch_size": 256,
            "evaluation.train": 50_000,
            "execution.stream": True,
        },
    )
