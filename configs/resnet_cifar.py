"""ResNets and their plain twins on CIFAR-10, as in *Deep Residual Learning*, §4.2 (He et al. 2015).

    cnnjax data prepare cifar10
    cnnjax train configs/resnet_cifar.py --config.model.depth=56 --run runs/resnet56

The paper: batches of 128; SGD, momentum 0.9, weight decay 0.0001; learning rate 0.1, divided by 10 at 32k and 48k
iterations, end at 64k ("determined on a 45k/5k train/val split"; the networks of Table 6 are evaluated on the test set);
per-pixel mean subtracted; 4 pixels padded on each side, a random crop, a random mirror; one view at test time. 110 layers
start at 0.01 until the training error is below 80 % (about 400 iterations):

    --config.model.depth=110 --config.schedule.warmup='400 steps'

To expect (paper, Table 6, test error): ResNet-20 8.75 %, 32 7.51 %, 44 7.17 %, 56 6.97 %, 110 6.43 %, 1202 7.93 %. Not run
here: this recipe wants an accelerator.

Ours: the decay covers every parameter (Caffe's default, which the authors used); images are divided by one number, the
standard deviation over all pixels, which batch normalisation makes irrelevant; the last, incomplete batch of an epoch is
left out (another one each epoch).
"""

import ml_collections
from ml_collections import config_dict


def get_config() -> ml_collections.ConfigDict:
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "duration": "64000 steps",
            "batch_size": 128,
            "dataset": {
                "name": "cifar10",
                "train": "train",
                "test": "test",
                "classes": (),  # (): all
                "side": 0,  # pixels that images are resized to, squares of streamed ones of any size; 0: as they are
                "wrong_labels": 0.0,  # share of the training examples that are given another class
            },
            "task": {
                "pad": 4,
                "flip": True,
                "label_smoothing": 0.0,
                "auxiliary_weight": 0.0,  # of the losses of auxiliary classifiers; these networks have none
                "mean": "pixel",  # what is subtracted: a mean for every pixel, or one a "channel"
                "contrast": "",  # of images, first of all: global (each of mean 0 and deviation 1) or local
                "whiten": "",  # after mean and deviation: zca, or pca, which leaves no picture
                "whiten_epsilon": 0.1,  # added to the eigenvalues of the images' covariance
                "crop": 0,  # side of what the network sees of an image, at a random place in training; 0: all of it
                "jitter": (),  # least and largest shorter side that images are resized to before the crop
                "area": (),  # least and largest share of an image that the crop is made of, and with it
                "aspect": (),  # width to height of that part
                "colour": 0.0,  # deviation of a shift along the principal components of all colours
                "photometric": 0.0,  # brightness, contrast, saturation times 1 ± so much
                "sizes": (),  # pixels: the sizes of the training images, an epoch each in turn; (): their own
            },
            "model": {
                "name": "resnet_cifar",
                "depth": 20,
                "shortcut": "A",  # none, A, B or C; none is the plain network
                "width": 16,
                "batch_norm": True,
                "activation": "relu",
                "dropout": 0.0,
                "dropout_after": "",  # taps, with commas, e.g. stage2,stage3; the paper's networks drop nothing
                "kernel_init": "",  # He's; or glorot, gaussian
                "se_ratio": 0,  # of squeeze-and-excitation in each block (Hu et al. 2017); 0: none
                "se_place": "standard",  # or pre, post, identity, inside
                "se_stages": (),  # numbers of the stages that have it; (): all
                "se_squeeze": "average",  # or max
                "se_gate": "sigmoid",  # or tanh, relu
                "scan": True,  # compile time does not grow with depth; parameter names do not change
                "dtype": "float32",
                "bn_group": 0,  # examples that share BN statistics; 0: the whole batch. The paper: 64, of 128 on two GPUs
                "bn_momentum": 0.9,
                "bn_epsilon": 1e-5,
            },
            # What training begins from, and what is held fast at first; see configs/transfer.py.
            "init": {
                "weights": "",
                "head": "",
                "added": "",
                "frozen": (),
                "frozen_until": "0 steps",
                "freeze_bn": "never",
            },
            "optimizer": {
                "kind": "sgd",  # or rmsprop, adam
                "momentum": 0.9,
                "nesterov": False,
                "second_moment": 0.9,  # of rmsprop and adam, as the next
                "epsilon": 1e-8,
                "clip": 0.0,  # norm of all gradients together; 0: as they are
                "max_filter": 0.0,  # root mean square that filters of convolutions are scaled down to; 0: as they are
                "average": 0.0,  # decay of a running average of the parameters, which is evaluated and kept; 0: none
                "weight_decay": 1e-4,
                "decay": "coupled",
                # The first pattern found in a parameter's name decides how strongly it decays; all must be covered.
                "decay_multipliers": (("kernel$", 1.0), ("(scale|bias)$", 1.0)),
            },
            "schedule": {
                "learning_rate": 0.1,
                "boundaries": ("32000 steps", "48000 steps"),
                "factor": 0.1,
                "every": "0 steps",
                "plateau": "",  # a metric: also times `factor` when it has not fallen for `patience` evaluations
                "patience": 5,
                "warmup": "0 steps",
                "warmup_learning_rate": 0.01,
            },
            # Both sets, without augmentation, in evaluation mode.
            "evaluation": {
                "every": "5 epochs",
                "log": "1 epochs",
                "batch_size": 1000,
                "train": 0,  # so many training examples, at equal distances; 0: all
            },
            # What does not change the result; it is not part of a run's identity.
            "execution": {
                "parallel": "jit",  # or pmap
                "devices": 0,  # 0: all
                "steps_per_dispatch": 50,
                "stream": False,  # whether images are read from files as they are needed, or lie on every device, whole
                "readers": 0,  # processes that read streams; 0: threads of this one
                "accumulate": 1,  # pieces that a batch is computed in, one after the other; BN groups fit into a piece
                # What is kept for the backward pass: all, convolutions (the rest is computed again), or blocks (inputs only).
                "keep": "convolutions",
                "grad_reduce_dtype": "float32",  # under pmap
                "shard_optimizer": False,  # under jit: of what the optimiser keeps, each device has a part
                "cpu_convolution": "auto",  # oneDNN's on one CPU device or under pmap, where it passes a probe; or xla
                "keep_programs": True,  # compiled ones, for the next start, in the user's cache folder
                "data_dir": config_dict.placeholder(str),
                # The newest `keep`, the best by a metric, and those at some durations are kept.
                "checkpoint": {"every": "10 epochs", "keep": 2, "at": (), "best": "test/error"},
            },
        }
    )
