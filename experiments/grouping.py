"""Two towers: is AlexNet on two GPUs better than on one with half of the kernels, and what do the groups cost?

cnnjax run experiments/grouping.py    # embedded digits, minutes on two CPU cores
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

ARMS = {
    "two-towers": {"model.name": "alexnet"},
    "ungrouped": {"model.name": "alexnet_ungrouped"},
    "half-width": {"model.name": "alexnet_ungrouped", "model.width_factor": 0.0625, "model.hidden": 8192},
}
ROLES = {name: name for name in ARMS}

experiment = Experiment(
    question="Is a network on two GPUs, in two groups of kernels, better than one with half of them?",
    source="Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep CNNs (2012), §3.2",
    scales={
        "digits": Scale(
            config="../configs/alexnet_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            note=(
                "AlexNet at an eighth of its width, on digits enlarged to 67×67, 15 epochs. The half has a sixteenth of the "
                "kernels, and as many hidden units as the others."
            ),
        ),
    },
    claims=(
        Claim(
            "Two towers have a lower test error than one with half of the kernels.",
            "test/error",
            {"half-width": 1, "two-towers": -1},
            paper="§3.2: top-1 and top-5 lower by 1.7 and 1.2 points.",
        ),
        Claim(
            "They are no worse than a network without groups (by more than one point).",
            "test/error",
            {"ungrouped": 1, "two-towers": -1},
            above=-0.01,
            paper="Not in the paper.",
        ),
    ),
)
