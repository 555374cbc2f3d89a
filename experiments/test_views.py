"""Views: what do more views of a test image save?

    cnnjax run experiments/test_views.py    # embedded digits, minutes on two CPU cores

The same trained networks are tested by several of the protocols of `cnnjax evaluate --list`, each against one view.
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

experiment = Experiment(
    question="What do more views of a test image save, and crops against the whole image?",
    source=(
        "Krizhevsky et al. 2012, §6.1; Szegedy et al.: Going Deeper with Convolutions (2014), Table 3; Simonyan, Zisserman: "
        "Very Deep Convolutional Networks (2014), Tables 3 to 5"
    ),
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms={"resnet20": {}},
            roles={"resnet20": "resnet20"},
            seeds=range(10),
            overrides={"dataset.side": 9, "task.crop": 8, "task.pad": 0},
            note=(
                "ResNet-20 trained on crops of 8×8 of digits enlarged to 9×9, as the papers' are of 224 of 256; none are "
                "mirrored, so that ten views are five. At the two larger of VGG's sides a crop shows half or a quarter of a "
                "digit, of a size that the network was not trained on: theirs were trained on sizes from 256 to 512."
            ),
        ),
    },
    claims=(
        Claim(
            "Corners and centre have a lower error than one view.",
            "10crop/error_saved",
            {"resnet20": 1},
            paper="AlexNet, ten views: top-1 39.0 % to 37.5 %, top-5 18.3 % to 17.0 %. GoogLeNet, top-5: 10.07 % to 9.15 %.",
        ),
        Claim(
            "So have the crops of four sides.",
            "144crop/error_saved",
            {"resnet20": 1},
            paper="GoogLeNet, 144 views, top-5: 10.07 % to 7.89 %.",
        ),
        Claim(
            "So has a grid of crops at three sides.",
            "150crop/error_saved",
            {"resnet20": 1},
            paper="VGG-19, Table 5: top-1 24.6 %, where the whole image at three sides has 24.8 %.",
        ),
        Claim(
            "So has the whole image at three sides.",
            "dense_multi_scale/error_saved",
            {"resnet20": 1},
            paper="VGG-19, trained on several scales: at one side (Table 3) 25.5 %, at three (Table 4) 24.8 %.",
        ),
    ),
)
