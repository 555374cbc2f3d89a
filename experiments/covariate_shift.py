"""Covariate shift: do the inputs of a layer move less in training where they are normalised?

cnnjax run experiments/covariate_shift.py                  # embedded digits, minutes on two CPU cores
cnnjax run experiments/covariate_shift.py --scale mnist    # wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

# Each network at several rates: that the plain one is given a bad one should not be what is seen.
ARMS = {
    f"{name}-lr{rate}": {"model.batch_norm": norm, "schedule.learning_rate": rate}
    for name, norm in (("plain", False), ("normalised", True))
    for rate in (0.02, 0.1, 0.5)
}
ROLES = {"plain": "plain-lr0.1", "normalised": "normalised-lr0.1"}
NETWORK = {
    "model.name": "mlp_bn_mnist",
    "model.widths": (100, 100, 100),
    "model.activation": "sigmoid",
    "model.kernel_init": "",
    "batch_size": 60,
    "task.pad": 0,
}

experiment = Experiment(
    question="Do the inputs of sigmoids move less in training, and does it learn more, where layers are normalised?",
    source="Ioffe, Szegedy: Batch Normalization (2015), §4.1, Fig. 1",
    scales={
        "digits": Scale(
            config="../configs/mlp_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={
                **NETWORK,
                "execution.steps_per_dispatch": 23,
                "execution.checkpoint.every": "1 epochs",
                "execution.checkpoint.keep": 15,
            },
            note=(
                "The paper's network, three layers of 100 sigmoids, and its batch of 60, on digits enlarged to 16×16, for 15 "
                "epochs; 50,000 steps on MNIST in the paper. Moved: how far the 15th, 50th and 85th percentile of a unit's "
                "input range over the epochs, in its distance from the 15th to the 85th, the mean over the last hidden layer."
            ),
        ),
        "mnist": Scale(
            config="../configs/mlp_digits.py",
            arms=ARMS,
            roles=ROLES,
            seeds=range(5),
            overrides={
                **NETWORK,
                "dataset.name": "mnist",
                "dataset.side": 0,
                "duration": "50000 steps",
                "schedule.boundaries": (),
                "execution.steps_per_dispatch": 50,
                "execution.checkpoint.every": "1000 steps",
                "execution.checkpoint.keep": 50,
            },
            note="The paper's set, network, batch and number of steps; its rate is not given. Wants the set, and hours.",
        ),
    },
    claims=(
        Claim(
            "The inputs of the last hidden layer's sigmoids move less in the normalised network.",
            "percentiles/moved",
            {"plain": 1, "normalised": -1},
            paper="Fig. 1 (b, c), curves only: without they change over time, in mean and variance; with they are more stable.",
        ),
        Claim(
            "The normalised network has a lower test error.",
            "test/error",
            {"plain": 1, "normalised": -1},
            paper="Fig. 1 (a), curves only: higher test accuracy, and sooner.",
        ),
    ),
)
