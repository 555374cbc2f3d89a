"""Network in Network on CIFAR-10, as in *Network in Network*, §4 (Lin, Chen, Yan 2013).

    cnnjax data prepare cifar10
    cnnjax train configs/nin.py --run runs/nin

The paper and its authors' released definitions: images of equal contrast, whitened (§4), as in Goodfellow et al. 2013;
batches of 128, momentum 0.9, dropout of one half on what the first two mlpconv layers give; kernels from N(0, 0.05²); 200
epochs, then 30 at a tenth and 30 at a hundredth of the rate. Rate and decay are those of the released parameters for
CIFAR-100: 0.01 and 0.001, with the loss counted twice; here it counts once, so that the same steps have 0.02 and 0.0005.

To expect (paper, §4.2, test error, one view): 10.41 %, and 8.81 % with images moved and mirrored:

    --config.task.pad=4 --config.task.flip=True

On CIFAR-100 35.68 % (§4.3), on MNIST 0.47 % (§4.5). For the control of §4.6, a fully connected layer in place of the average:

    --config.model.head=connected

Not run here. The class maps are 8×8, as secondary sources say, with pools whose last window reaches over the end and not
otherwise; they have a ReLU in the released definition, behind which a class can be lost (``--config.model.final_relu=False``).

Ours: 0.1 is added to the eigenvalues of the covariance, of which the paper says nothing; a per-pixel mean is subtracted, and
images are divided by one number, in between. Images are moved by 4 pixels at most, of which the paper says nothing; biases
have the rate of kernels, and not twice as much; the first convolution's deviation is that of the others, and not smaller as in
the file for CIFAR-100.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar.py")).unlock()
    recipe.model = {
        "name": "nin_cifar10",
        "head": "average",  # or connected
        "head_dropout": 0.0,  # before the fully connected layer; the paper's control has 0 or 0.5
        "mlpconv": True,
        "final_relu": True,
        "batch_norm": False,
        "activation": "relu",
        "dropout": 0.5,
        "dropout_after": "",
        "width_factor": 1.0,
        "kernel_init": "",  # the released Gaussians; or he, glorot, gaussian
        "dtype": "float32",
    }
    return config.override(
        recipe,
        {
            "duration": "260 epochs",
            "batch_size": 128,
            "task.pad": 0,
            "task.contrast": "global",
            "task.whiten": "zca",
            "task.flip": False,
            "optimizer.weight_decay": 5e-4,
            "optimizer.decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 0.0)),
            "schedule.learning_rate": 0.02,
            "schedule.boundaries": ("200 epochs", "230 epochs"),
        },
    )
