"""Files of Keras and of Darknet. Keras's were written by it; see goldens/make_keras_files.py."""

import json
import pathlib
import struct

import jax
import numpy as np
import pytest

from cnnjax import cli, errors, interop, models
from cnnjax.interop import keras_file, sources
from cnnjax.nn import stacking

GOLDENS = pathlib.Path(__file__).parent / "goldens"
WEIGHTS = {
    "/".join(path.split("/")[-2:]): each  # without the model's name
    for path, each in json.loads((GOLDENS / "keras_files.json").read_text())["weights"].items()
}
FILES = ("keras.keras", "keras.weights.h5", "keras_old.h5")


@pytest.mark.parametrize("name", FILES)
def test_what_keras_has_written(name):
    found = keras_file.read(GOLDENS / name)
    assert set(found) == set(WEIGHTS)
    for key, (shape, values) in WEIGHTS.items():
        assert list(found[key].shape) == shape
        np.testing.assert_array_equal(found[key].ravel(), np.float32(values))


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_of_keras(name, tmp_path):
    data = (GOLDENS / name).read_bytes()
    path = tmp_path / "cut.h5"
    for end in (0, 3, 100, len(data) // 2, len(data) - 500):
        path.write_bytes(data[:end])
        with pytest.raises(errors.UserError, match=r"cut\.h5"):
            keras_file.read(path)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [((4, 5, 6), ("", "_1", "_2")), ((0, 1), ("", "_1")), ((2, 4), ("_2", "_4")), ((10, 9), ("_1", ""))],
)
def test_layers_that_a_session_has_numbered(numbers, expected, tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        for number in numbers:
            file[f"conv2d{f'_{number}' if number else ''}/x/kernel:0"] = np.full(3, number, np.float32)
        file["conv2d_transpose_7/x/kernel:0"] = np.zeros(3, np.float32)
    found = keras_file.read(tmp_path / "x.h5")
    assert {name: array[0] for name, array in found.items()} == {
        **{f"conv2d{end}/kernel": number for end, number in zip(expected, numbers, strict=True)},
        "conv2d_transpose_7/kernel": 0,
    }


def test_numbers_that_lie_in_another_file_are_not_read(tmp_path):
    """HDF5 can take a data set's bytes from any file, or assemble it of other files' sets."""
    import h5py

    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(16)))
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("layer/layer/kernel:0", (4,), "f4", external=[(str(secret), 0, 16)])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(4, np.float32)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (4,))
        file.create_virtual_dataset("layer/layer/kernel:0", layout)
    for name in ("external.h5", "virtual.h5"):
        with pytest.raises(errors.UserError, match=r"kernel:0 lies in another file"):
            keras_file.read(tmp_path / name)


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ([f"layers/conv2d/vars/{number}" for number in range(3)], "conv2d has 3 variables; .* has kernel, bias"),
        (["fc/x/kernel:0", "fc/y/kernel:0", "fc/y/bias:0"], "its layer fc has more than one kernel"),
    ],
)
def test_one_too_many(datasets, message, tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in datasets:
            file[name] = np.ones(3)
        if "layers" in file:
            file["layers/conv2d/vars"].attrs["name"] = "conv2d"
    with pytest.raises(errors.UserError, match=message):
        keras_file.read(tmp_path / "x.h5")


@pytest.mark.parametrize("path", ["layers", "layers/conv2d", "layers/conv2d/vars", "model_weights", "huge", "text"])
def test_files_of_another_layout(path, tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        if path == "huge":
            file.create_dataset("layer/kernel:0", (2**40,), "f4", chunks=(2**16,))
        elif path == "text":
            file["layer/kernel:0"] = ["a", "b"]
        else:
            file[path] = np.ones(3)
    with pytest.raises(errors.UserError, match=r"x\.h5 (is no file of Keras|holds no weights)"):
        keras_file.read(tmp_path / "x.h5")


def test_a_network_of_keras_by_the_command_line(tmp_path, capsys):
    """The layers of VGG-16, by Keras's names in an older file; everything else of Keras is in `test_parity.py`."""
    import h5py

    counterpart = sources.find("keras", "VGG16")
    path = tmp_path / "vgg.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "model_weights/block1_conv1/block1_conv1/kernel:0", data=np.zeros((3, 3, 3, 64), np.float32)
        )
    words = ["weights", "import", "keras", str(path), "--model", "VGG16", "--to", str(tmp_path / "x.safetensors")]
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert "not the weights of VGG16: these are missing: block1_conv1/bias 64, " in error
    assert counterpart.model == "vgg16"


def darknet_file(variables, order, version=(0, 2, 0)):
    """As darknet writes it, number by number."""
    leaves = {name: np.asarray(leaf, np.float32) for name, leaf in stacking.names(variables).items()}
    content = struct.pack("<iii", *version) + struct.pack("<q" if version >= (0, 2, 0) else "<i", 12345)
    for number in order:
        if f"params/norm{number}/scale" in leaves:
            for leaf in (f"params/norm{number}/bias", f"params/norm{number}/scale", f"batch_stats/norm{number}/mean"):
                content += leaves[leaf].tobytes()
            content += leaves[f"batch_stats/norm{number}/var"].tobytes()
        else:
            content += leaves[f"params/conv{number}/bias"].tobytes()
        kernel = leaves[f"params/conv{number}/kernel"]
        maps = [kernel[:, :, into, out] for out in range(kernel.shape[3]) for into in range(kernel.shape[2])]
        content += b"".join(each.tobytes() for each in maps)
    return content


@pytest.fixture(scope="module")
def darknet():
    model = models.create("darknet19", num_classes=3)
    variables = model.init(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))
    noise = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: leaf + 0.1 * noise.random(leaf.shape, np.float32), variables)


@pytest.mark.parametrize("version", [pytest.param((0, 1, 0), marks=pytest.mark.slow), (0, 2, 0)])
def test_what_darknet_would_have_written(version, darknet, tmp_path):
    path = tmp_path / "darknet19.weights"
    path.write_bytes(darknet_file(darknet, range(1, 20), version))
    words = ["weights", "import", "darknet", str(path), "--model", "darknet19", "num_classes=3"]
    assert cli.main([*words, "--to", str(tmp_path / "x.safetensors")]) == 0
    record, found = interop.read(tmp_path / "x.safetensors")
    assert record.fields["num_classes"] == 3
    found = stacking.names(found)
    for name, leaf in stacking.names(darknet).items():
        np.testing.assert_array_equal(found[name], leaf, err_msg=name)


def test_a_file_of_darknet_that_does_not_fit(darknet, tmp_path):
    content = darknet_file(darknet, range(1, 20))
    path = tmp_path / "x.weights"
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match=r"x\.weights: a file of numbers without names, which is darknet's"):
        sources.read("pytorchcv", path, "darknet19", {"num_classes": 3})
    for data in (content[:-4], content + b"\0" * 4, content[:1000], b""):
        path.write_bytes(data)
        with pytest.raises(errors.UserError, match=r"numbers after its header, and the network has [0-9,]+"):
            sources.read("darknet", path, "darknet19", {"num_classes": 3})
