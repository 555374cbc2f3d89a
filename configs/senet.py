"""SE-ResNets on ILSVRC-2012, as in *Squeeze-and-Excitation Networks* (Hu et al. 2017).

    cnnjax data prepare imagenet2012 --from FOLDER    # with the original archives
    cnnjax train configs/senet.py --run runs/seresnet50

The paper (§5.1): SGD in step on many devices, momentum 0.9, batches of 1,024; learning rate 0.6, divided by 10 every 30
epochs; 100 epochs; He's initialisation; a ratio of 16. Random parts by scale and aspect made 224×224, mirrored at random; mean
colour subtracted; at test time the middle 224 pixels of images with a shorter side of 256.

To expect (paper, ILSVRC-2012 validation set, one view, top-1 / top-5 error; without and with squeeze-and-excitation):
ResNet-50 24.80 / 7.48 % and 23.29 / 6.62 %, -101 23.17 / 6.52 % and 22.38 / 6.07 %, -152 22.42 / 6.34 % and 21.57 / 5.73 %.
The first of each:

    --config.model.name=resnet50 --config.model.se_ratio=0

Its ablations (§6) begin at 0.1, train until the validation loss stays (about 300 epochs), then at a tenth, and so on, three
times; labels are smoothed, by an amount that it does not give, and the gates have no biases, which they have here. Ratios of
2, 4, 8, 16, 32 give SE-ResNet-50 22.29, 22.25, 22.26, 22.28, 22.72 % top-1 error (ResNet-50: 23.30 %), places (standard, pre,
post, identity, inside) 22.28, 22.23, 22.78, 22.20, 22.48 %; maxima in place of means 22.57 %; tanh and ReLU in place of the
logistic function 23.00 and 23.47 %; in its stage 2, 3, 4 only (here 1, 2, 3) 23.03, 23.04, 22.68 %. Of these:

    --config.model.se_ratio=32 --config.batch_size=256 --config.schedule.learning_rate=0.1 --config.schedule.every='0 steps' \
        --config.schedule.plateau=test/loss --config.duration='400 epochs' --config.task.label_smoothing=0.1
    --config.model.se_place=pre        # and the same, as in what follows
    --config.model.se_squeeze=max
    --config.model.se_gate=tanh
    --config.model.se_stages='(1,)'

Not run here. The authors' released networks were trained again, and are better than the paper's: batches of 256 at 0.1,
longer, with rotations of ±10° and a jitter of ±20 on pixels, which do not exist here. Several sources give 2.25 %: that is the
top-5 error of an ensemble in the contest. On less memory the rate in proportion:

    --config.batch_size=256 --config.schedule.learning_rate=0.15

Ours: weight decay 0.0001 on every parameter, ResNet's, of which the paper says nothing; parts of 8 % to 100 % of the area, 3/4
to 4/3 wide, as in the released settings; batch normalisation over 32 examples at once.
"""

import pathlib

import ml_collections

from cnnjax import config


def get_config() -> ml_collections.ConfigDict:
    return config.override(
        config.load(pathlib.Path(__file__).with_name("resnet_imagenet.py")),
        {
            "dataset.name": "imagenet2012",
            "dataset.test": "validation",
            "dataset.side": 256,
            "duration": "100 epochs",
            "batch_size": 1024,
            "task.mean": "channel",
            "task.jitter": (),
            "task.area": (0.08, 1.0),
            "task.aspect": (3 / 4, 4 / 3),
            "task.colour": 0.0,
            "model.name": "seresnet50",  # or seresnet18, seresnet34, seresnet101, seresnet152
            "model.se_ratio": 16,
            "schedule.learning_rate": 0.6,
            "schedule.plateau": "",
            "schedule.every": "30 epochs",
            "evaluation.every": "5 epochs",
            "execution.stream": True,
        },
    )
