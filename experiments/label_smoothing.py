"""Label smoothing: what does it do to the error, to the confidence, and to the logits?

cnnjax run experiments/label_smoothing.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/label_smoothing.py --scale cifar10    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {f"smoothing-{each}": {"task.label_smoothing": each} for each in (0.0, 0.05, 0.1, 0.2, 0.3)}
ROLES = {"without": "smoothing-0.0", "smoothed": "smoothing-0.1", "strongly": "smoothing-0.3"}

experiment = Experiment(
    question="What does label smoothing do to the error, to the confidence, and to the logits?",
    source="Szegedy et al.: Rethinking the Inception Architecture for Computer Vision (2015), §7, Table 3",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note="ResNet-20 on 8×8 digits, 15 epochs; Inception-v2 on ImageNet in the paper, which gains 0.2 to 0.3 points.",
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note="The recipe of ResNets on CIFAR-10. Wants an accelerator.",
        ),
        "imagenet": Scale(
            config="../configs/inception_v3.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(3),
            overrides={
                "model.name": "inception_v2_rethinking",
                "model.factorised_5x5": True,
                "model.factorised_7x7": False,
            },
            note="The paper's Inception-v2 and recipe, tested with one view on 4 % of the training images. Wants accelerators.",
        ),
    },
    claims=(
        Claim(
            "Smoothing of 0.1 lowers the test error.",
            "test/error",
            {"without": 1, "smoothed": -1},
            paper="§7: about 0.2 points, top-1 and top-5; Table 3: 23.1 % and 22.8 %.",
        ),
        Claim(
            "It keeps the largest logit from growing far above the others.",
            "test/logit_gap",
            {"without": 1, "smoothed": -1},
            paper="§7, in words: it encourages the model to be less confident.",
        ),
        Claim(
            "Strong smoothing (0.3) leaves the network less sure than it is right: its calibration error is larger.",
            "test/calibration_error",
            {"strongly": 1, "without": -1},
            paper="Not in the paper: a consequence of its equation, whose best confidence is 1 − ε + ε / K.",
        ),
    ),
)
