"""Batch size: how many epochs, and how much time, does it take to a training error?

cnnjax run experiments/batch_size.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/batch_size.py --scale cifar10     # wants accelerators
cnnjax run experiments/batch_size.py --scale imagenet    # wants a pod
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

# The rate follows the batch (0.02 for 32); the last arm keeps the rate of the smallest.
ARMS = {
    f"b{batch}": {
        "batch_size": batch,
        "schedule.learning_rate": 0.02 * batch / 32,
        "execution.steps_per_dispatch": 1437 // batch,
    }
    for batch in (16, 32, 64, 128)
} | {"b128-small-rate": {"batch_size": 128, "schedule.learning_rate": 0.01, "execution.steps_per_dispatch": 11}}
ROLES = {name: name for name in ARMS if name not in ("b64",)}
SMALL = ("digits", "cifar10")

experiment = Experiment(
    question="How many epochs, and how much time, does it take to a training error, by batch size?",
    source="Goyal et al.: Accurate, Large Minibatch SGD (2017), §2.1, for the rate; He et al. 2015, §3.4, for the recipe",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"evaluation.every": "0.5 epochs"},
            note=(
                "ResNet-20 of the CIFAR family on 8×8 digits, 15 epochs, rates in proportion to the batch. The time stands "
                "beside the arms, and no claim is about it: two runs at a time share the machine, with whatever else is on it."
            ),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms={
                name: {
                    "batch_size": arm["batch_size"],
                    "schedule.learning_rate": 5 * arm["schedule.learning_rate"] / 4,
                }
                for name, arm in ARMS.items()
            },
            roles=ROLES,
            seeds=range(5),
            overrides={"duration": "164 epochs", "schedule.boundaries": ("82 epochs", "123 epochs")},
            note=(
                "ResNet-20 and its recipe, whose 64,000 steps of 128 images are 164 epochs, with a rate of 0.1 for 128 in "
                "proportion. Wants accelerators."
            ),
        ),
        "imagenet": Scale(
            config="../configs/resnet_imagenet.py",
            arms={
                "b256": {},
                "b1024": {"batch_size": 1024, "schedule.learning_rate": 0.4},
            },
            roles={"b32": "b256", "b128": "b1024"},
            seeds=range(3),
            overrides={
                "duration": "90 epochs",
                "schedule.plateau": "",
                "schedule.boundaries": ("30 epochs", "60 epochs", "80 epochs"),
                "model.stride_on": "3x3",
                "task.jitter": (),
                "task.area": (0.08, 1.0),
                "task.aspect": (0.75, 1.3333),
            },
            note=(
                "ResNet-50 with the epochs and falls of Goyal et al. (§5.1), batch normalisation over 32 examples, tested with "
                "one view on the validation images. Larger batches want a gradual warm-up (their Table 1). Wants a pod."
            ),
        ),
    },
    claims=(
        Claim(
            "A batch of 128 takes more epochs to 5 % training error than one of 16.",
            "epochs to train/error 0.05",
            {"b128": 1, "b16": -1},
            paper="Not in the papers.",
            scales=SMALL,
        ),
        Claim(
            "With the rate in proportion it takes fewer than with the rate of the smallest batch.",
            "epochs to train/error 0.05",
            {"b128-small-rate": 1, "b128": -1},
            paper="Linear scaling rule (Goyal et al., §2.1).",
            scales=SMALL,
        ),
        Claim(
            "With the rate in proportion the test error is no higher than with a quarter of the batch (by over one point).",
            "test/error",
            {"b32": 1, "b128": -1},
            above=-0.01,
            paper="Goyal et al., Fig. 1: ImageNet top-1 of ResNet-50 within about a quarter of a point up to 8192.",
        ),
        Claim(
            "At the smallest batch moving averages stand in for the training set's statistics (costing at most half a point).",
            "population/error_saved",
            {"b16": -1},
            above=-0.005,
            paper="Ioffe & Szegedy 2015, §3.1 and Algorithm 2: moving averages to track accuracy, then the population's.",
            scales=SMALL,
        ),
    ),
)
