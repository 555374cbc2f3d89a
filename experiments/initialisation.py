"""Initialisation: which deep networks does it let train, with and without batch normalisation?

cnnjax run experiments/initialisation.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/initialisation.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale, product

ARMS = product(
    norm={"plain": {"model.batch_norm": False}, "bn": {"model.batch_norm": True}},
    init={name: {"model.kernel_init": name} for name in ("gaussian", "glorot", "he")},
)
# VGG's B from A's layers and Gaussians, as §3.1 has it: A's first four convolutions and fully connected layers.
VGG: dict[str, dict[str, object]] = {
    "vgg-a": {},
    "vgg-staged": {
        "model.name": "vgg13",
        "model.kernel_init": "gaussian",
        "init.weights": "arm:vgg-a",
        "init.head": "^conv(1_2|2_2|4_|5_)",
    },
    "vgg-gaussian": {"model.name": "vgg13", "model.kernel_init": "gaussian"},
    "vgg-glorot": {"model.name": "vgg13", "model.kernel_init": "glorot"},
}
ROLES = {name: name for name in (*ARMS, *VGG) if name not in ("bn-glorot", "vgg-a")}

experiment = Experiment(
    question="Which initialisation lets a deep network train, with and without batch normalisation?",
    source=(
        "Simonyan, Zisserman (2014), §3.1; He et al.: Delving Deep into Rectifiers (2015), §2.2, Fig. 2 and 3; Ioffe, Szegedy: "
        "Batch Normalization (2015), §1 and §3.3"
    ),
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            recipes=dict.fromkeys(VGG, "../configs/vgg_digits.py"),
            arms={**{name: {"model.shortcut": "none", **arm} for name, arm in ARMS.items()}, **VGG},
            roles=ROLES,
            seeds=range(5),
            note=(
                "A plain network of 20 layers (the CIFAR family without shortcuts) on 8×8 digits, 15 epochs, and VGG's B at "
                "an eighth of its width on digits enlarged to 32×32. Gaussian: a standard deviation of 0.01 everywhere, as "
                "VGG's A is taken to begin (the paper prints a variance of 0.01); here A itself begins with He's, since so "
                "narrow a network would not learn from such Gaussians."
            ),
        ),
        "imagenet": Scale(
            config="../configs/resnet_imagenet.py",
            recipes=dict.fromkeys(VGG, "../configs/vgg.py"),
            arms={
                **{name: {"model.name": "resnet34", "model.shortcut": "none", **arm} for name, arm in ARMS.items()},
                **VGG,
            },
            roles=ROLES,
            seeds=range(3),
            note=(
                "ResNet's plain network of 34 layers and VGG's B, with their recipes, tested on 4 % of the training images; He "
                "et al. have networks of 22 and 30 layers. Wants accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "Without normalisation a Gaussian of 0.01 leaves twenty layers untrained where He's does not.",
            "train/error",
            {"plain-gaussian": 1, "plain-he": -1},
            above=0.2,
            paper="VGG §3.1: bad initialisation can stall learning; the deeper networks begin with the layers of A.",
        ),
        Claim(
            "Without normalisation Glorot's ends with a higher training error than He's.",
            "train/error",
            {"plain-glorot": 1, "plain-he": -1},
            paper="He et al.: of 30 layers Glorot's stall and He's converge (Fig. 3); of 22 both do, He's sooner (Fig. 2).",
        ),
        Claim(
            "With normalisation the Gaussian is no worse in training than He's (by more than five points).",
            "train/error",
            {"bn-he": 1, "bn-gaussian": -1},
            above=-0.05,
            paper="Ioffe & Szegedy, §1 and §3.3: it makes training less dependent on the initialisation.",
        ),
        Claim(
            "With A's layers VGG's B is trained where Gaussians alone leave it untrained.",
            "train/error",
            {"vgg-gaussian": 1, "vgg-staged": -1},
            above=0.2,
            paper="VGG §3.1: so as not to stall, deeper networks begin with A's first four convolutions and last three layers.",
        ),
        Claim(
            "Glorot's initialisation does without A: training error is no higher (by more than one point).",
            "train/error",
            {"vgg-staged": 1, "vgg-glorot": -1},
            above=-0.01,
            paper="VGG §3.1: after the submission the authors found this; no numbers.",
        ),
    ),
)
