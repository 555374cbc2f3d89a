"""Degradation: does a deeper plain network train worse, and does a residual one not?

    cnnjax run experiments/degradation.py                    # embedded digits, minutes on two CPU cores
    cnnjax run experiments/degradation.py --scale cifar10    # the paper's recipe; wants accelerators
    cnnjax run experiments/degradation.py --scale imagenet   # likewise, of images that you have prepared

Training error is measured over the whole training set, unaugmented, in evaluation mode: a deeper network that is worse
there does not over-fit, it is harder to train.
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale, product

PLAIN, RESIDUAL = {"model.shortcut": "none"}, {"model.shortcut": "A"}


def arms(depths: dict[int, dict[str, object]]) -> dict[str, dict[str, object]]:
    """Plain and residual networks of some depths: ``plain20`` ... ``residual56``."""
    depth = {str(number): {"model.depth": number, **more} for number, more in depths.items()}
    return {
        name.replace("-", ""): changes
        for name, changes in product(kind={"plain": PLAIN, "residual": RESIDUAL}, depth=depth).items()
    }


ROLES = {
    "plain-shallow": "plain20",
    "plain-deep": "plain56",
    "residual-shallow": "residual20",
    "residual-deep": "residual56",
}

experiment = Experiment(
    question="Does a deeper plain network train worse than a shallower one, and does a residual network not?",
    source="He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), §1, §4.2, Fig. 1 and Fig. 6",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=arms({20: {}, 32: {}, 56: {}}),
            roles=ROLES,
            seeds=range(5),
            note=(
                "The paper's networks at the paper's widths, on 1,437 real 8×8 digits for 15 epochs. Two depths that "
                "train and one that the plain network does not survive within so few steps; the residual networks are "
                "the same but for their shortcuts. Two CPU cores."
            ),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            # 110 layers start at 0.01, for both kinds (§4.2 does so for ResNet-110).
            arms=arms({20: {}, 32: {}, 44: {}, 56: {}, 110: {"schedule.warmup": "400 steps"}}),
            roles=ROLES,
            seeds=range(3),
            note="The paper's recipe and depths, 64,000 steps of 128 images. Wants an accelerator; one worker has all.",
        ),
        "imagenet": Scale(
            config="../configs/resnet_imagenet.py",
            arms={
                f"{kind}{depth}": {"model.name": f"resnet{depth}", "model.shortcut": shortcut}
                for kind, shortcut in (("plain", "none"), ("residual", "A"))
                for depth in (18, 34)
            },
            roles={
                "plain-shallow": "plain18",
                "plain-deep": "plain34",
                "residual-shallow": "residual18",
                "residual-deep": "residual34",
            },
            seeds=range(3),
            note=(
                "The paper's recipe of 600,000 steps of 256 images, tested with one view on 4 % of the training images. The "
                "recipe says how the set is prepared. Wants several accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "A deeper plain network has a higher training error.",
            "train/error",
            {"plain-deep": 1, "plain-shallow": -1},
            paper="Fig. 1 and 6, curves only: plain-56 lies above plain-20 throughout; plain-110 ends above 60 % error.",
        ),
        Claim(
            "It has a higher test error too.",
            "test/error",
            {"plain-deep": 1, "plain-shallow": -1},
            paper="Fig. 1 and 6, curves only.",
        ),
        Claim(
            "A deeper residual network does not train worse (by more than one point).",
            "train/error",
            {"residual-shallow": 1, "residual-deep": -1},
            above=-0.01,
            paper="Fig. 6: training error falls with depth. Test error (Table 6): ResNet-20 8.75 %, ResNet-56 6.97 %.",
        ),
        Claim(
            "At the deep end, shortcuts lower the test error.",
            "test/error",
            {"plain-deep": 1, "residual-deep": -1},
            paper=(
                "Fig. 6 for 56 layers, curves only. 34 layers on ImageNet (validation, top-1, 10-crop; Table 2): "
                "plain 28.54 %, residual 25.03 %."
            ),
        ),
        Claim(
            "What shortcuts gain in training error grows with depth.",
            "train/error",
            {"plain-deep": 1, "residual-deep": -1, "plain-shallow": -1, "residual-shallow": 1},
            paper="ImageNet validation error, top-1, 10-crop (Table 2): 0.06 points at 18 layers, 3.51 points at 34.",
        ),
    ),
)
