"""Invariance: does batch normalisation take the scale out of the weights?

    cnnjax run experiments/bn_invariance.py                    # embedded digits, minutes on two CPU cores
    cnnjax run experiments/bn_invariance.py --scale cifar10    # wants accelerators

All kernels of a trained network but the classifier's are multiplied by a, which is 2, 0.5 and 10. What its logits change by,
and a times the gradient, in training mode on a batch of the test set, against what they were: zero but for epsilon, if the
scale does not matter. Of the three the largest counts.
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {"with": {"model.batch_norm": True}, "without": {"model.batch_norm": False}}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="Does batch normalisation make a network and its gradients independent of the scale of the weights?",
    source="Ioffe, Szegedy: Batch Normalization (2015), §3.3",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"model.depth": 8, "model.shortcut": "none"},
            note="Seven plain convolutions on 8×8 digits, 15 epochs; an identity, so that the size is of no matter.",
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={"model.depth": 8, "model.shortcut": "none"},
            note="The same network on CIFAR-10, with the recipe of the CIFAR family. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "With normalisation, weights of twice, half or ten times the size change the logits by less than one per cent.",
            "rescaled/largest_output_change",
            {"with": -1},
            above=-0.01,
            paper="BN((aW)u) = BN(Wu), exactly but for epsilon.",
        ),
        Claim(
            "Their gradient is a half, twice and a tenth of what it was, to less than five per cent.",
            "rescaled/largest_gradient_change",
            {"with": -1},
            above=-0.05,
            paper="∂BN((aW)u)/∂(aW) = 1/a · ∂BN(Wu)/∂W.",
        ),
        Claim(
            "Without normalisation doubled weights change the logits by more than the logits were.",
            "rescaled/output_change",
            {"without": 1},
            above=1.0,
            paper="Not in the paper: seven layers of ReLUs without biases would multiply by 2⁷.",
        ),
    ),
)
