"""Writes keras.keras, keras.weights.h5 and keras_old.h5, one small model, and what is in them as keras_files.json.

KERAS_BACKEND=jax python tests/interop/goldens/make_keras_files.py        # needs keras and h5py
"""

import json
import pathlib

import keras
import numpy as np
from keras import layers

HERE = pathlib.Path(__file__).parent
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((6, 6, 2)),
        layers.Conv2D(3, 3, name="first"),
        layers.BatchNormalization(scale=False, name="first_bn"),
        layers.SeparableConv2D(4, 3, use_bias=False, name="second"),
        layers.BatchNormalization(name="second_bn"),
        layers.Flatten(),
        layers.Dense(2, name="last"),
    ]
)
model.save(HERE / "keras.keras")
model.save_weights(HERE / "keras.weights.h5")
model.save(HERE / "keras_old.h5")
values = {weight.path: [list(weight.shape), np.asarray(weight).ravel().tolist()] for weight in model.weights}
record = {"made_by": "tests/interop/goldens/make_keras_files.py", "keras": keras.__version__, "weights": values}
(HERE / "keras_files.json").write_text(json.dumps(record, indent=0) + "\n")
