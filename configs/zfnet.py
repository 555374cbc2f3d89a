"""ZFNet on ILSVRC-2012, as in *Visualizing and Understanding Convolutional Networks*, §3 (Zeiler & Fergus 2013).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/zfnet.py --run runs/zfnet

The paper: SGD, batches of 128, momentum 0.9; learning rate 0.01, lowered by hand when the validation error stopped falling;
stopped after 70 epochs. Dropout of one half in the sixth and seventh layer; biases of zero. Filters of convolutions whose root
mean square is above 0.1 are scaled back to it, which matters in the first layer. Images with a shorter side of 256, their
central 256×256, per-pixel mean subtracted; ten crops of 224×224, the corners and the middle, mirrored or not.

To expect (paper, Tables 2 and 3, ILSVRC-2012 validation set): 38.4 % top-1, 16.5 % top-5 error, 33.1 % top-1 on the training
set; with 512, 1024 and 512 maps in the third to fifth layer 37.5 % and 16.0 %; with hidden layers of 2048 or 8192 units 40.2 /
17.6 % or 38.8 / 17.0 %:

    --config.model.name=zfnet_wide
    --config.model.hidden=2048

The paper shows how features develop at epochs 1, 2, 5, 10, 20, 30, 40 and 64 (Fig. 4); to keep these:

    --config.execution.checkpoint.at="('1 epochs','2 epochs','5 epochs','10 epochs','20 epochs','30 epochs','40 epochs', \
        '64 epochs')"

Not run here. The paper's "weights are initialised to 0.01" is read as a deviation.

Ours: weight decay 0.0005 on kernels, AlexNet's, of which this paper says nothing; a rate that falls by ten when the error has
not fallen in five epochs; crops at every place, and not at five; one view, the middle, at test time. Images are divided by one
number, the standard deviation over all pixels, and the paper's lie in ±128: its Gaussians begin with smaller activations here
(``--config.model.kernel_init=he`` does not depend on the images' scale), and its limit of 0.1 weighs more on the first layer.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "zfnet",  # or zfnet_wide
        "lrn": "after",  # the pools, as in Fig. 3; or before, none
        "hidden": 4096,
        "batch_norm": False,
        "activation": "relu",
        "dropout": 0.5,
        "dropout_after": "",
        "width_factor": 1.0,
        "kernel_init": "",  # the paper's Gaussians; or he, glorot, gaussian
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
            "optimizer.max_filter": 0.1,
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
