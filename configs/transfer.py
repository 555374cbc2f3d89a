"""Fine-tuning in two phases: a new head on features that are held fast, then all of the network at a lower rate.

    cnnjax train configs/resnet_cifar_digits.py --config.dataset.classes='(0,1,2,3,4)' --run runs/low
    cnnjax train configs/transfer.py --config.init.weights=runs/low --run runs/high

The first trains a ResNet-20 to tell the digits 0 to 4 apart; the second makes it tell 5 to 9 apart. ``init.weights`` is any
finished run, or a file that `cnnjax weights import` has written; ``dataset`` any set, a folder of class folders included:

    cnnjax data prepare flowers --images FOLDER --side 224 --split 10/15/75
    cnnjax weights import torchvision resnet50.pth --model resnet50
    cnnjax train configs/transfer.py --config.init.weights=resnet50.safetensors --config.dataset.name=flowers \
        --config.dataset.classes='()' --config.dataset.test=valid --config.batch_size=32

``init.head`` begins anew, and ``init.frozen`` holds all else: two patterns of names. Here they are of networks that end in a
fully connected layer; where the classes are maps of a convolution, they are that convolution's, e.g. for NIN and Darknet-19:

    --config.init.head='^conv3_3/' --config.init.frozen="('^(?!conv3_3)',)"
    --config.init.head='^conv19/' --config.init.frozen="('^(?!conv19)',)"

The protocol is Géron 2019, chapter 14: the first five epochs train the head alone, with a rate of 0.2; then everything is
trained with 0.01. Batch normalisation keeps its statistics while the features are held fast, as Keras does. The decay of the
rates within a phase is left out. Images are normalised as those that the weights were trained on.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    recipe = config.load(pathlib.Path(__file__).with_name("resnet_cifar_digits.py")).unlock()
    recipe.model = {"name": ""}  # that of the weights
    return config.override(
        recipe,
        {
            "dataset.classes": (5, 6, 7, 8, 9),
            "duration": "15 epochs",
            "init.head": "^(classifier|fc8|aux.*/classifier)/",
            "init.frozen": ("^(?!classifier|fc8|aux.*/classifier)",),
            "init.frozen_until": "5 epochs",
            "init.freeze_bn": "while frozen",
            "task.auxiliary_weight": 0.3,  # Szegedy et al. 2014, §5; most networks have no auxiliary classifiers
            "schedule.learning_rate": 0.2,
            "schedule.boundaries": ("5 epochs",),
            "schedule.factor": 0.05,
        },
    )
