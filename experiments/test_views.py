"""Views: what do more views of a test image save?

    cnnjax run experiments/test_views.py                     # embedded digits, minutes on two CPU cores
    cnnjax run experiments/test_views.py --scale imagenet    # wants accelerators

Trained networks are tested by several of the protocols of `cnnjax evaluate --list`, against one view or one another.
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

experiment = Experiment(
    question="What do more views of a test image save, and crops against the whole image?",
    source=(
        "Krizhevsky et al. 2012, §4.1; Szegedy et al.: Going Deeper with Convolutions (2014), Table 3; Szegedy et al.: "
        "Rethinking the Inception Architecture (2015), Table 4; Simonyan, Zisserman: Very Deep Convolutional Networks (2014), "
        "Tables 3 to 5"
    ),
    scales={
        "digits": Scale(
            config="../configs/vgg_digits.py",
            arms={"one-size": {}, "jittered": {"task.jitter": (36, 72)}},
            roles={"one-size": "one-size", "jittered": "jittered"},
            seeds=range(6),
            overrides={"dataset.side": 36, "task.crop": 32, "task.pad": 0, "optimizer.clip": 1.0},
            note=(
                "VGG's A at an eighth of its width, trained on crops of 32×32, as the papers' are of 224: of digits enlarged "
                "to 36×36, as theirs of 256 (AlexNet), or to 36×36 up to 72×72, as theirs of 256 to 512 (VGG). None are "
                "mirrored: ten views are five. Gradients clipped at a norm of 1."
            ),
        ),
        "imagenet": Scale(
            config="../configs/vgg.py",
            arms={
                "one-size": {},
                "jittered": {"task.jitter": (256, 512)},
            },
            roles={"one-size": "one-size", "jittered": "jittered"},
            seeds=range(3),
            overrides={"model.name": "vgg16", "model.kernel_init": "glorot"},
            note=(
                "VGG's D, from Glorot and Bengio's initialisation; at many sizes from the start, and not from a trained "
                "network as in the paper. On 4 % of the training images. Wants accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "Corners and centre have a lower error than one view.",
            "10crop/error_saved",
            {"one-size": 1},
            paper="AlexNet, ten views: top-1 39.0 % to 37.5 %, top-5 18.3 % to 17.0 %. GoogLeNet, top-5: 10.07 % to 9.15 %.",
        ),
        Claim(
            "So has that with the whole square beside them.",
            "12crop/error_saved",
            {"one-size": 1},
            paper="Inception v3, twelve views: top-1 21.2 % to 19.47 %, top-5 5.6 % to 4.48 %.",
        ),
        Claim(
            "A network that is trained at many sizes has a lower error with the crops of four sides than with one view.",
            "144crop/error_saved",
            {"jittered": 1},
            paper="GoogLeNet, 144 views, top-5: 10.07 % to 7.89 %.",
        ),
        Claim(
            "The whole image at three sides has a lower error than at one.",
            "dense_multi_scale/error_saved",
            {"jittered": 1},
            paper="VGG-19, trained on several scales, top-1: at one side (Table 3) 25.5 %, at three (Table 4) 24.8 %.",
        ),
        Claim(
            "A grid of crops at three sides has a lower error than the whole image at these.",
            "150crop/error_saved",
            {"jittered": 1},
            paper="VGG-19, Table 5, top-1: 24.8 % and 24.6 %.",
        ),
        Claim(
            "Both together have a lower error than the crops.",
            "crops_and_dense/error_saved",
            {"jittered": 1},
            paper="VGG-19, Table 5, top-1: 24.6 % and 24.4 %.",
        ),
    ),
)
