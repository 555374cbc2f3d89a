"""Wrong labels: how much of the ground truth may be wrong, and does label smoothing help against it?

cnnjax run experiments/label_noise.py                    # embedded digits, minutes on two CPU cores
cnnjax run experiments/label_noise.py --scale cifar10    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {f"wrong-{share}": {"dataset.wrong_labels": share} for share in (0.0, 0.1, 0.2, 0.4)}
SMOOTHED = {"wrong-0.4-smoothed": {"dataset.wrong_labels": 0.4, "task.label_smoothing": 0.1}}
ROLES = {
    "none": "wrong-0.0",
    "tenth": "wrong-0.1",
    "fifth": "wrong-0.2",
    "most": "wrong-0.4",
    "smoothed": "wrong-0.4-smoothed",
}

experiment = Experiment(
    question="How much of the training set may be labelled wrongly?",
    source="Not a table of these papers, which take their labels for true; smoothing: Szegedy et al. 2015, §7",
    scales={
        "digits": Scale(
            config="../configs/resnet_cifar_digits.py",
            arms={**ARMS, **SMOOTHED},
            roles=ROLES,
            seeds=range(5),
            note=(
                "ResNet-20 on 8×8 digits, 15 epochs. That share of the training labels is another class, each as likely, the "
                "same for every seed; the test set is as it was. Training errors are against the labels that were trained on."
            ),
        ),
        "cifar10": Scale(
            config="../configs/resnet_cifar.py",
            arms={**ARMS, **SMOOTHED},
            roles=ROLES,
            seeds=range(5),
            note="The recipe of ResNets on CIFAR-10. Wants an accelerator.",
        ),
    },
    claims=(
        Claim(
            "With two of five labels wrong the test error is higher.",
            "test/error",
            {"most": 1, "none": -1},
            paper="Not in the papers.",
        ),
        Claim(
            "A tenth of wrong labels costs less than a tenth in test error.",
            "test/error",
            {"none": 1, "tenth": -1},
            above=-0.1,
            paper="Not in the papers: wrong labels that are of no one class say little together.",
        ),
        Claim(
            "A fifth costs less than a fifth.",
            "test/error",
            {"none": 1, "fifth": -1},
            above=-0.2,
            paper="As above.",
        ),
        Claim(
            "Label smoothing lowers the test error where two of five labels are wrong.",
            "test/error",
            {"most": 1, "smoothed": -1},
            paper="Not in the paper, which smooths labels that are right: 0.2 points.",
        ),
    ),
)
