"""Inception modules: what do 1×1 reductions cost, and what do auxiliary classifiers do?

cnnjax run experiments/inception_modules.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/inception_modules.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS: dict[str, dict[str, object]] = {
    "none": {},
    "naive": {"model.reduced": False},
    "lower": {"model.auxiliary": "first"},
    "upper": {"model.auxiliary": "second"},
    "both": {"model.auxiliary": "both"},
    "both-no-norm": {"model.auxiliary": "both", "model.auxiliary_norm": False},
    "both-no-dropout": {"model.auxiliary": "both", "model.auxiliary_dropout": 0.0},
    "both-0.1": {"model.auxiliary": "both", "task.auxiliary_weight": 0.1},
    "both-1": {"model.auxiliary": "both", "task.auxiliary_weight": 1.0},
    "plain-none": {"model.batch_norm": False},
    "plain-both": {"model.batch_norm": False, "model.auxiliary": "both"},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="What do 1×1 reductions cost, and what do auxiliary classifiers do?",
    source=(
        "Szegedy et al.: Going Deeper with Convolutions (2014), §4 and §5; Rethinking the Inception Architecture (2015), §4"
    ),
    scales={
        "digits": Scale(
            config="../configs/googlenet_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"dataset.side": 8, "model.modules": "3a,4a,4b,4d,5a", "evaluation.every": "0.5 epochs"},
            note=(
                "GoogLeNet for small images at an eighth of its width, with five of its nine modules, on 8×8 digits, 10 "
                "epochs. Auxiliary losses count 0.3 each, where the arm's name has no other weight."
            ),
        ),
        "imagenet": Scale(
            config="../configs/googlenet.py",
            arms={name: {"model.auxiliary": "none", **arm} for name, arm in ARMS.items()},
            roles=ROLES,
            seeds=range(3),
            overrides={"model.batch_norm": True},
            note=(
                "GoogLeNet and its recipe, with batch normalisation except where the arm's name says plain, tested with one "
                "view on 4 % of the training images. Wants accelerators."
            ),
        ),
    },
    claims=(
        Claim(
            "Modules with 1×1 reductions are no worse in test error than naive ones, which have several times their products "
            "(by more than one point).",
            "test/error",
            {"naive": 1, "none": -1},
            above=-0.01,
            paper="No measurement; §4: reductions where computation would grow too much otherwise.",
        ),
        Claim(
            "Auxiliary classifiers do not speed up early training: no more epochs to 25 % training error without them.",
            "epochs to train/error 0.25",
            {"both": 1, "none": -1},
            above=-0.25,
            paper="Rethinking, §4: training with and without looks the same until both are nearly as good as they get.",
        ),
        Claim(
            "In the end both of them lower the test error.",
            "test/error",
            {"none": 1, "both": -1},
            paper="Going Deeper, §5: about 0.5 points, and one of them is enough; which error is not said.",
        ),
        Claim(
            "The lower one can go: the upper one alone is no worse than both (by more than one point).",
            "test/error",
            {"both": 1, "upper": -1},
            above=-0.01,
            paper="Rethinking, §4: the lower branch could be removed without any adverse effect.",
        ),
        Claim(
            "Nor is the lower one alone any worse.",
            "test/error",
            {"both": 1, "lower": -1},
            above=-0.01,
            paper="Going Deeper, §5: one of them is enough for the same effect.",
        ),
        Claim(
            "Normalisation in them lowers the test error.",
            "test/error",
            {"both-no-norm": 1, "both": -1},
            paper="Rethinking, §4, as for dropout; Table 3, top-1, of Inception v3's one: 21.6 % to 21.2 %.",
        ),
        Claim(
            "Dropout in them lowers the test error.",
            "test/error",
            {"both-no-dropout": 1, "both": -1},
            paper="Rethinking, §4, in words: the main classifier does better if the side branch has it, or is normalised.",
        ),
        Claim(
            "Losses that count 0.3 are no worse in test error than losses that count 0.1 (by more than one point).",
            "test/error",
            {"both-0.1": 1, "both": -1},
            above=-0.01,
            paper="Going Deeper, §5: 0.3 each; no other weight is compared.",
        ),
        Claim(
            "Nor than losses that count as much as the main one.",
            "test/error",
            {"both-1": 1, "both": -1},
            above=-0.01,
            paper="As above.",
        ),
        Claim(
            "Without batch normalisation they get the gradient to the lower layers: training error is lower with them.",
            "train/error",
            {"plain-none": 1, "plain-both": -1},
            paper="Going Deeper, §5, in words; Rethinking, §4, disputes it.",
        ),
    ),
)
