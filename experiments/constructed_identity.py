"""A deep network that is a shallow one: it exists, by construction, and training from scratch does not find it.

cnnjax run experiments/constructed_identity.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/constructed_identity.py --scale cifar10    # wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

# One step at a rate of zero: what is measured at its end is the network that was constructed.
AS_BUILT = {
    "duration": "1 steps",
    "schedule.learning_rate": 0.0,
    "schedule.boundaries": (),
    "init.freeze_bn": "always",
    "evaluation.every": "1 steps",
    "evaluation.log": "1 steps",
}
PLAIN = {"model.shortcut": "none"}
DEEP = {"model.depth": 56}
FROM_PLAIN = {"init.weights": "arm:plain20", "init.added": "identity"}
FROM_RESIDUAL = {"init.weights": "arm:residual20", "init.added": "zero branch"}

ARMS = {
    "plain20": PLAIN,
    "plain56": {**PLAIN, **DEEP},
    "plain56-built": {**PLAIN, **DEEP, **FROM_PLAIN, **AS_BUILT},
    "residual20": {},
    "residual56": DEEP,
    "residual56-built": {**DEEP, **FROM_RESIDUAL, **AS_BUILT},
    "residual56-built-trained": {**DEEP, **FROM_RESIDUAL},
}
ROLES = {name: name for name in ARMS if name not in ("residual56",)}

experiment = Experiment(
    question="Is there a deep network that is as good as a shallow one, and is it found?",
    source="He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), §1 and §3.1",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "20 and 56 layers on 8×8 digits, 15 epochs. The added blocks of the plain network have Dirac kernels and a "
                "normalisation that does nothing, those of the residual one a branch that is zero."
            ),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note="The recipe of ResNets on CIFAR-10. Wants an accelerator.",
        ),
    },
    claims=(
        Claim(
            "The deep plain network that is built from the shallow one has the same training loss, to a billionth.",
            "train/loss",
            {"plain20": 1, "plain56-built": -1},
            above=-1e-9,
            exact=True,
            paper="§1: a solution by construction, the added layers identity mappings.",
        ),
        Claim(
            "Nor is it lower: the two are one function.",
            "train/loss",
            {"plain56-built": 1, "plain20": -1},
            above=-1e-9,
            exact=True,
            paper="As above.",
        ),
        Claim(
            "Gradient descent from scratch does not find it: the deep plain network ends with a higher training loss.",
            "train/loss",
            {"plain56": 1, "plain56-built": -1},
            paper="§1, §4.1: solvers do not find solutions as good as the constructed one, or not in feasible time.",
        ),
        Claim(
            "The deep residual network that is built has the same training loss as the shallow one, to a billionth.",
            "train/loss",
            {"residual20": 1, "residual56-built": -1},
            above=-1e-9,
            exact=True,
            paper="§3.1: the weights of a branch driven to zero make it an identity.",
        ),
        Claim(
            "Trained on from there it does not end with a higher training loss than the shallow one.",
            "train/loss",
            {"residual20": 1, "residual56-built-trained": -1},
            paper="Not in the paper.",
        ),
    ),
)
