"""ResNets and their plain twins on ILSVRC-2012, as in *Deep Residual Learning*, §3.4 and §4.1 (He et al. 2015).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/resnet_imagenet.py --config.model.name=resnet50 --run runs/resnet50

The paper (§3.4): batches of 256; SGD, momentum 0.9, weight decay 0.0001; learning rate 0.1, divided by 10 when the error does
not fall any more; 600,000 iterations at most; no dropout; the shorter side drawn from [256, 480], random crops of 224×224,
mirrored at random; per-pixel mean subtracted; AlexNet's shifts of colour; He's initialisation.

To expect (paper, ILSVRC-2012 validation set, ten views, top-1 / top-5 error; Tables 2 and 3): plain-18 27.94 %, plain-34 28.54
/ 10.02 %, ResNet-18 27.88 %, ResNet-34 25.03 / 7.76 % (shortcut A), 24.52 / 7.46 % (B), 24.19 / 7.40 % (C), ResNet-50 22.85 /
6.71 %, -101 21.75 / 6.05 %, -152 21.43 / 5.71 % (B):

    --config.model.name=resnet34 --config.model.shortcut=A
    --config.model.name=resnet34 --config.model.shortcut=none    # plain-34

Not run here; one view gives about two points more (ResNet-50, the authors' released weights: 24.7 / 7.8 %). Secondary sources
have B in all networks, a stride on the 3×3 convolutions (``--config.model.stride_on=3x3``: v1.5), or errors of one view and of
other recipes.

What came later, and is often taken for the paper's: falls at 30, 60 and 90 epochs, smoothed labels, parts by area:

    --config.schedule.plateau= --config.schedule.boundaries="('30 epochs','60 epochs','90 epochs')"
    --config.task.label_smoothing=0.1
    --config.task.jitter='()' --config.task.area='(0.08,1.0)' --config.task.aspect='(0.75,1.3333)'

Ours: the error is looked at once an epoch, and does not fall any more when it has not in five; batch normalisation over 32
examples at once, of which the paper says nothing; the decay covers every parameter, as in configs/resnet_cifar.py; one view at
test time, the middle of images with a shorter side of 368, the mean of the scales; the mean of a colour in place of that of a
pixel, which means nothing of crops at random places and scales.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "resnet50",  # or resnet18, resnet34, resnet101, resnet152
        "shortcut": "B",  # none, A, B or C
        "width": 64,
        "growth": 2,  # times the maps of the stage before
        "stride_on": "1x1",  # of a bottleneck's convolutions; or 3x3
        "batch_norm": True,
        "activation": "relu",
        "dropout": 0.0,
        "dropout_after": "",
        "kernel_init": "",  # He's; or glorot, gaussian
        "se_ratio": 0,  # of squeeze-and-excitation in each block; see configs/senet.py
        "se_place": "standard",  # or pre, post, identity, inside
        "se_stages": (),  # numbers of the stages that have it; (): all
        "se_squeeze": "average",  # or max
        "se_gate": "sigmoid",  # or tanh, relu
        "scan": True,
        "dtype": "float32",
        "bn_group": 32,
        "bn_momentum": 0.9,
        "bn_epsilon": 1e-5,
    }
    return config.override(
        recipe,
        {
            "dataset.name": "imagenet2012",
            "dataset.test": "validation",
            "duration": "600000 steps",
            "batch_size": 256,
            "task.pad": 0,
            "task.crop": 224,
            "task.jitter": (256, 480),
            "task.colour": 0.1,
            "schedule.boundaries": (),
            "schedule.plateau": "test/error",
            "schedule.patience": 5,
            "evaluation.every": "1 epochs",
            "evaluation.batch_size": 256,
            "evaluation.train": 50_000,
            "execution.stream": True,
        },
    )
