"""Two towers: is AlexNet on two GPUs better than on one with half of the kernels, and what do the groups cost?

cnnjax run experiments/grouping.py                     # embedded digits, minutes on two CPU cores
cnnjax run experiments/grouping.py --scale imagenet    # wants accelerators
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale


def arms(width: float) -> dict[str, dict[str, object]]:
    """In two groups, in one, and in one with half of the kernels and as many hidden units."""
    return {
        "two-towers": {"model.name": "alexnet"},
        "ungrouped": {"model.name": "alexnet_ungrouped"},
        "half-width": {"model.name": "alexnet_ungrouped", "model.width_factor": width / 2, "model.hidden": 8192},
    }


ROLES = {name: name for name in arms(1.0)}

experiment = Experiment(
    question="Is a network on two GPUs, in two groups of kernels, better than one with half of them?",
    source="Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep CNNs (2012), §3.2",
    scales={
        "digits": Scale(
            config="../configs/alexnet_digits.py",
            arms=arms(0.125),
            roles=ROLES,
            seeds=range(5),
            note=(
                "AlexNet at an eighth of its width, on digits enlarged to 67×67, 15 epochs. The half has a sixteenth of the "
                "kernels, and as many hidden units as the others."
            ),
        ),
        "imagenet": Scale(
            config="../configs/alexnet.py",
            arms=arms(1.0),
            roles=ROLES,
            seeds=range(3),
            note=(
                "The paper's network and recipe, tested with one view on 4 % of the training images. Its half has all kernels "
                "of the last convolution; here it has half of them. Wants accelerators."
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
