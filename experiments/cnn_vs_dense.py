"""Convolutions: what do shared weights gain over a fully connected network with as many of them?

cnnjax run experiments/cnn_vs_dense.py                  # embedded digits, minutes on two CPU cores
cnnjax run experiments/cnn_vs_dense.py --scale mnist    # wants an accelerator
"""

from cnnjax.sweep.experiment import Claim, Experiment, Scale

experiment = Experiment(
    question="At equal parameters, what do convolutions gain over full connection, and where images are moved?",
    source="LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition (1998), §II and Fig. 9",
    scales={
        "digits": Scale(
            config="../configs/pattern_digits.py",
            arms={
                "convolutional": {"model.layers": "conv3-16 pool2 conv3-32 pool2 fc-32"},
                "dense": {"model.widths": (80,)},
                "dense-wide": {"model.widths": (512, 512)},
            },
            roles={"convolutional": "convolutional", "dense": "dense", "dense-wide": "dense-wide"},
            seeds=range(10),
            overrides={"task.pad": 0},
            recipes={"dense": "../configs/mlp_digits.py", "dense-wide": "../configs/mlp_digits.py"},
            note=(
                "Two convolutions (21,546 parameters), one hidden layer (21,370) or two of 512 (399,370), on digits enlarged "
                "to 16×16, 15 epochs; no network has seen moved images in training. Moved: by two pixels."
            ),
        ),
        "mnist": Scale(
            config="../configs/pattern_digits.py",
            arms={
                "convolutional": {"model.layers": "conv5-6 pool2 conv5-16 pool2 fc-120 fc-84"},
                "dense": {"model.widths": (136,)},
                "dense-wide": {"model.widths": (1000,)},
            },
            roles={"convolutional": "convolutional", "dense": "dense", "dense-wide": "dense-wide"},
            seeds=range(5),
            overrides={"dataset.name": "mnist", "dataset.side": 0, "task.pad": 0},
            recipes={"dense": "../configs/mlp_digits.py", "dense-wide": "../configs/mlp_digits.py"},
            note=(
                "LeNet-5's layers with ReLUs and maximum pools (107,786 parameters), one hidden layer (108,130) or 1000 units "
                "(795,010), 15 epochs of MNIST, not the paper's recipe. Moved: by three pixels. Wants the set, and hours."
            ),
        ),
    },
    claims=(
        Claim(
            "The convolutional network has a lower test error than a dense one with as many parameters.",
            "test/error",
            {"dense": 1, "convolutional": -1},
            paper="On MNIST, not at equal parameters: 300 and 100 hidden units 3.05 %, LeNet-5 0.95 %.",
        ),
        Claim(
            "And than one with many more.",
            "test/error",
            {"dense-wide": 1, "convolutional": -1},
            paper="1000 hidden units 4.5 %, LeNet-5 0.95 %.",
        ),
        Claim(
            "On images that are moved by an eighth of their side it has a lower error too.",
            "shifted/error",
            {"dense": 1, "convolutional": -1},
            paper="§II-A, in words: shared weights give some invariance to shifts, which full connection has to learn.",
        ),
        Claim(
            "Moving them costs it less.",
            "shifted/error_added",
            {"dense": 1, "convolutional": -1},
            paper="As above.",
        ),
    ),
)
