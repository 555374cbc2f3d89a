"""VGG on ILSVRC-2012, as in *Very Deep Convolutional Networks*, §3.1 (Simonyan & Zisserman 2014).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/vgg.py --run runs/vgg11
    cnnjax train configs/vgg.py --config.model.name=vgg16 --run runs/vgg16 \
        --config.init.weights=runs/vgg11 --config.init.head='^conv(1_2|2_2|3_[34]|4_|5_)'

The first is configuration A, which begins at random; the second is D, which begins with A's first four convolutions and its
fully connected layers, at the same rate. Likewise B (vgg13), C (vgg16_c) and E (vgg19).

The paper: SGD, batches of 256, momentum 0.9, weight decay 0.0005; learning rate 0.01, divided by 10 when the validation
accuracy stopped growing, three times; 370,000 iterations, 74 epochs (§3.1). Kernels from N(0, 0.01), biases of zero; dropout
of one half after the first two fully connected layers. Mean colour subtracted; shorter side S = 256, random crops of 224×224,
mirrored at random, with a random shift of colour. It says that it found after its submission that Glorot & Bengio's
initialisation does without A; in one step:

    --config.model.name=vgg16 --config.model.kernel_init=glorot

Then S = 384, from the network of S = 256 at a rate of 0.001; then S drawn from [256, 512], from that of S = 384:

    --config.task.jitter='(384,384)' --config.schedule.learning_rate=0.001
    --config.task.jitter='(256,512)' --config.schedule.learning_rate=0.001

To expect (paper, Table 3, ILSVRC-2012 validation set, the whole image seen by convolutions, mirrored too; top-1 / top-5
error): A 29.6 / 10.4 %, B 28.7 / 9.9 %, C 28.1 / 9.4 %, D 27.0 / 8.8 %, E 27.3 / 9.0 % with S = 256; D 25.6 / 8.1 % and E 25.5
/ 8.0 % with S from [256, 512], seen at 384. Not run here.

The paper prints a variance of 10⁻² for its Gaussians; with a deviation of 0.1 activations grow nearly fivefold in each layer
with 3×3×512 inputs, so it is read as a deviation of 0.01. Secondary sources have S = 224, and rates lowered by 0.1 and not to
a tenth.

Ours: accuracy is looked at once an epoch, and has stopped growing when the error has not fallen in five; rates fall as often
as that happens; of the jittered scales a rate of 0.001, which the paper gives for S = 384; kernels decay, biases do not; one
view, the middle 224 pixels, at test time. Images are divided by one number, the standard deviation over all pixels, and the
paper's are not: its Gaussians begin with smaller activations here, and whether A trains from them was not tried.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "vgg11",  # or vgg11_lrn, vgg13, vgg16_c, vgg16, vgg19
        "hidden": 4096,
        "activation": "relu",
        "dropout": 0.5,
        "dropout_after": "",
        "width_factor": 1.0,
        "kernel_init": "",  # the paper's Gaussians; or glorot, he, gaussian
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "dataset.name": "imagenet2012",
            "dataset.test": "validation",
            "duration": "370000 steps",
            "batch_size": 256,
            "task.pad": 0,
            "task.mean": "channel",
            "task.crop": 224,
            "task.jitter": (256, 256),
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
