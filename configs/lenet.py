"""A LeNet on MNIST with a decaying rate, a decay of its fully connected layers and averaged weights.

    cnnjax data prepare mnist --from FOLDER    # the four original files
    cnnjax train configs/lenet.py --run runs/lenet

The network and the recipe are those of a program of TensorFlow's tutorials that is widely copied: 32 and 64 maps, ReLUs,
maximum pooling, 512 units, dropout of one half; batches of 100; gradient descent without momentum; learning rate 0.01 ·
0.99^(step / 550), 550 steps being an epoch of its 55,000 training images; a penalty of 0.0001 · ½ Σ w² on the kernels of the
two fully connected layers; a running average of all parameters, decay min(0.99, (1 + step) / (10 + step)), which is evaluated;
30,000 steps. Kernels of 0.1 in deviation, biases of 0.1 in the fully connected layers. The last 55,000 images are trained on
and the first 5,000 are for validation, as there:

    --config.dataset.test='train[:5000]'

To expect: the program prints its validation accuracy, and its source names none; of LeNet-5 itself (LeCun et al. 1998, §II-B;
32×32 images, a schedule of its own) this is not the recipe. Not run here. Where copies of it differ: they say that parameters
change once a pass over the data (it is once a step), evaluate test images and call them validation, and never save the last
step.

Ours: the rate falls at the end of each epoch, and lies above the source's between, by one per cent at most; images have their
mean subtracted and are divided by one number, where the program scales them to 0 ... 1; Gaussians are not cut off at twice
their deviation; the test set is evaluated.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "lenet_mnist",
        "maps": (32, 64),
        "hidden": (512,),
        "pool": "max",  # or average
        "batch_norm": False,
        "activation": "relu",
        "dropout": 0.5,
        "dropout_after": "",
        "width_factor": 1.0,
        "kernel_init": "",  # the program's Gaussians and biases; or he, glorot, gaussian
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "dataset.name": "mnist",
            "dataset.train": "train[5000:]",
            "duration": "30000 steps",
            "batch_size": 100,
            "task.pad": 0,
            "task.flip": False,
            "optimizer.momentum": 0.0,
            "optimizer.average": 0.99,
            "optimizer.weight_decay": 1e-4,
            "optimizer.decay_multipliers": (("^(fc|classifier).*kernel$", 1.0), (".", 0.0)),
            "schedule.learning_rate": 0.01,
            "schedule.boundaries": (),
            "schedule.factor": 0.99,
            "schedule.every": "1 epochs",
            "evaluation.every": "1000 steps",
        },
    )
