"""Adds to parity.json what the networks of `keras.applications` compute, in float64; see make_parity.py.

KERAS_BACKEND=jax JAX_ENABLE_X64=1 python tests/interop/goldens/make_parity_keras.py        # needs keras and jax
"""

import importlib.metadata
import json
import pathlib

import keras
import numpy as np
from rule import CASES, digest, draw, images, keras_parameter

keras.config.set_floatx("float64")


def golden(case):
    keras.backend.clear_session()
    build = getattr(keras.applications, case.theirs)
    shape = (case.side, case.side, 3)
    model = build(weights=None, classes=10, classifier_activation=None, input_shape=shape)
    values = {weight.path: keras_parameter(weight.path, tuple(weight.shape)) for weight in model.weights}
    for weight in model.weights:
        weight.assign(values[weight.path])
    x = images(case.side)
    tapped = keras.Model(
        model.inputs, [model.outputs[0], *(model.get_layer(theirs).output for theirs in case.taps.values())]
    )
    evaluated, *seen = (np.asarray(each) for each in tapped(x, training=False))
    trained = np.asarray(model(x, training=True))
    assert evaluated.dtype == np.float64
    return {
        "state": digest({name: value.shape for name, value in values.items()}),
        "eval": evaluated.tolist(),
        "train": trained.tolist(),
        "taps": {
            ours: [
                list(array.shape),
                float((array**2).sum() ** 0.5),
                float((array * draw(f"tap/{ours}", array.shape)).sum()),
            ]
            for ours, array in zip(case.taps, seen, strict=True)
        },
    }


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("parity.json")
    record = json.loads(path.read_text())
    for name, case in CASES.items():
        if case.source == "keras":
            print(name, flush=True)
            record["networks"][name] = golden(case)
    record["versions"]["keras"] = importlib.metadata.version("keras")
    path.write_text(json.dumps(record, indent=0, sort_keys=True) + "\n")
