"""Xception on ILSVRC-2012, as in *Xception: Deep Learning with Depthwise Separable Convolutions*, §4 (Chollet 2016).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/xception.py --run runs/xception

The paper: SGD, momentum 0.9; learning rate 0.045, times 0.94 every two epochs; Polyak averages of the weights are evaluated
(§4.2: all of it tuned for Inception v3). Weight decay 0.00001, not v3's 0.00004; dropout of one half before the classifier; no
auxiliary classifier (§4.3). 60 GPUs in step with each other (§4.4). Images of 299×299.

To expect (paper, Table 1, validation images of ILSVRC-2012 that are not blacklisted, one view, accuracy): top-1 0.790, top-5
0.945; that is 21.0 % and 5.5 % error. Its other arms, which it prints curves of (§4.6, §4.7), learn to less:

    --config.model.between=relu
    --config.model.between=elu
    --config.model.residual=False

Not run here.

Ours: batches of 256, since the paper does not say how many images a GPU had; were it 32, a step had 1,920, and the rate of
that many would be, for 256, 0.006 in proportion:

    --config.batch_size=1920
    --config.schedule.learning_rate=0.006

100 epochs; batch normalisation over 32 examples at once; an average with a decay of 0.9999; parts of 8 % to 100 % of the area,
3/4 to 4/3 wide, as in Szegedy et al. 2014, mirrored at random; the mean colour is subtracted; the decay is of kernels; He's
initialisation.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "xception",
        "residual": True,
        "between": "identity",  # between the two steps of a separable convolution; or relu, elu
        "batch_norm": True,
        "dropout": 0.5,
        "width_factor": 1.0,
        "bn_group": 32,
        "bn_momentum": 0.99,
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
            "batch_size": 256,
            "task.pad": 0,
            "task.mean": "channel",
            "task.crop": 299,
            "task.area": (0.08, 1.0),
            "task.aspect": (3 / 4, 4 / 3),
            "optimizer.average": 0.9999,
            "optimizer.weight_decay": 1e-5,
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
