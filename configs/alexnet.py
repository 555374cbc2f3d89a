"""AlexNet on ILSVRC-2012, as in *ImageNet Classification with Deep Convolutional Neural Networks*, §5 (Krizhevsky et al. 2012).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/alexnet.py --run runs/alexnet

The paper: SGD, batches of 128, momentum 0.9, weight decay 0.0005; learning rate 0.01, divided by 10 by hand when the
validation error stopped falling, three times before the end; about 90 epochs (§5). Kernels from N(0, 0.01²), biases of one in
the second, fourth and fifth convolution and in the hidden fully connected layers. Images with a shorter side of 256, their
central 256×256; per-pixel mean subtracted; random 224×224 crops, mirrored at random; a random shift along the principal
components of colour, deviation 0.1 (§4.1); dropout of one half in two layers (§4.2).

To expect (paper, one network, ILSVRC-2012 validation set, average of ten views): 40.7 % top-1, 18.2 % top-5 error. Without the
pools' overlap 0.4 / 0.3 points more, without local response normalisation 1.4 / 1.2 (§3.4, §3.3):

    --config.model.overlapping=False
    --config.model.lrn=none

Not run here. What circulates beside the paper: normalisation after the pools (``--config.model.lrn=after``, CaffeNet), no
groups (``--config.model.name=alexnet_ungrouped``), deviations of 0.1 or 0.005 and biases of 0.1, keeping a quarter of the
units in place of a half, Adam, and colours left as they are: none of it is the paper's.

Ours: crops of 227, the size that gives the paper's maps; the error is looked at once an epoch, and has stopped falling when it
has not in five; rates fall as often as that happens, not three times; kernels decay, biases do not; one view, the middle, at
test time. Images are divided by one number, the standard deviation over all pixels, and the paper's are not: its Gaussians
begin with smaller activations here (``--config.model.kernel_init=he`` does not depend on the images' scale). The paper's rate
is inside of the momentum, ours outside, which differs for some steps after it has fallen.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "alexnet",  # or alexnet_ungrouped
        "lrn": "before",  # of the pools; or after, none
        "overlapping": True,
        "features": (384, 384, 256),  # of the third to fifth convolution
        "hidden": 4096,
        "without": "",
        "batch_norm": False,
        "activation": "relu",
        "dropout": 0.5,
        "dropout_after": "",
        "width_factor": 1.0,
        "kernel_init": "",  # the paper's Gaussians and biases; or he, glorot, gaussian
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "dataset.name": "imagenet2012",
            "dataset.test": "validation",
            "dataset.side": 256,
            "duration": "90 epochs",
            "batch_size": 128,
            "task.pad": 0,
            "task.crop": 227,
            "task.colour": 0.1,
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
