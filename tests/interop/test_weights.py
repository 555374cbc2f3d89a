"""Files of weights, and the way of other packages' files in and out."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from cnnjax import cli, errors, interop, models
from cnnjax.data.picture import Picture
from cnnjax.interop import convert, sources, weights
from cnnjax.interop.weights import Record
from cnnjax.nn import stacking

SMALL = {"depth": 14, "width": 4, "num_classes": 3}


def made(name="resnet_cifar", **fields):
    record = Record(name, {**SMALL, **fields}, (8, 8, 1), Picture(8, 8, (0.5,), (0.25,)), ("a", "b", "c"), "a test")
    return record, record.create().init(jax.random.key(1), np.zeros((1, 8, 8, 1), np.float32))


@pytest.fixture
def their_file(tmp_path):
    """A state dictionary of pytorchcv's resnet20_cifar10, with 3 classes."""
    counterpart = sources.find("pytorchcv", "resnet20_cifar10")
    model = models.create(counterpart.model, **counterpart.fields, num_classes=3)
    variables = model.init(jax.random.key(2), np.zeros((1, 32, 32, 3), np.float32))
    state = convert.to_theirs(model, variables, counterpart)
    state["features.init_block.bn.num_batches_tracked"] = np.zeros((), np.int64)
    path = tmp_path / "theirs.safetensors"
    safetensors.numpy.save_file(state, path)
    return path, state, variables


def same(one, other):
    one, other = stacking.names(one), stacking.names(other)
    assert set(one) == set(other)
    for name, leaf in one.items():
        np.testing.assert_array_equal(leaf, other[name], err_msg=name)


@pytest.mark.parametrize(("saved", "loaded"), [(False, False), (True, False), (False, True), (True, True)])
def test_what_is_saved_is_loaded_whether_stages_are_scanned_or_not(saved, loaded, tmp_path):
    record, variables = made(scan=saved)
    other = dataclasses.replace(record, fields={**record.fields, "scan": loaded})
    interop.save(tmp_path / "x.safetensors", record, variables)
    found, again = interop.read(tmp_path / "x.safetensors")
    assert found == record
    same(again, variables)
    interop.save(
        tmp_path / "y.safetensors", other, stacking.stack(stacking.unstack(variables), like=made(scan=loaded)[1])
    )
    model, again = interop.load(tmp_path / "y.safetensors")
    assert model == other.create()
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(model.apply(again, images)[0], record.create().apply(variables, images)[0], rtol=1e-5)


def test_a_mean_for_each_pixel_and_nested_fields(tmp_path):
    picture = Picture(8, (8, 6), tuple(tuple((x / 9 + y / 100,) for x in range(6)) for y in range(8)), (0.25,))
    fields = {"widths": (5, 6), "num_classes": 3}
    record = Record("mlp_cifar10", fields, (8, 6, 1), picture)
    variables = record.create().init(jax.random.key(1), np.zeros((1, 8, 6, 1), np.float32))
    interop.save(tmp_path / "x.safetensors", record, variables)
    assert interop.read(tmp_path / "x.safetensors")[0] == record


def test_import_and_export_are_inverse(their_file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, state, variables = their_file
    assert cli.main(["weights", "import", "pytorchcv", str(path), "--model", "resnet20_cifar10"]) == 0
    assert "resnet20.safetensors: resnet20, 3 classes" in capsys.readouterr().out
    record, found = interop.read("resnet20.safetensors")
    assert record.fields == {"shortcut": "B", "bn_momentum": 0.9, "bn_epsilon": 1e-5, "num_classes": 3}
    same(found, variables)
    assert cli.main(["weights", "export", "resnet20.safetensors", "pytorchcv", "--to", "back.safetensors"]) == 0
    back = safetensors.numpy.load_file("back.safetensors")
    assert set(back) == {name for name in state if not name.endswith("num_batches_tracked")}
    assert all(np.array_equal(back[name], state[name]) for name in back)
    assert cli.main(["weights", "export", "resnet20.safetensors", "cnnjax", "--to", "ours.safetensors"]) == 0
    same(interop.read("ours.safetensors")[1], variables)


def test_our_name_does_too(their_file):
    path, _, variables = their_file
    same(sources.read("pytorchcv", path, "resnet20")[1], variables)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("features.stage2.unit1.body.conv1.conv.weight"),
            "missing: features.stage2.unit1.body.conv1.conv.weight 32×16×3×3$",
        ),
        (lambda s: s.update(extra=np.zeros((2, 3), np.float32)), "too many: extra 2×3$"),
        (
            lambda s: s.update({"features.init_block.conv.weight": np.zeros((16, 3, 5, 5), np.float32)}),
            "shape: features.init_block.conv.weight is 16×3×5×5, not 16×3×3×3$",
        ),
        (lambda s: s.update({"output.bias": np.zeros(4, np.float32)}), "shape: output.weight is 3×64, not 4×64$"),
        (lambda s: s.clear(), "missing: .* and [0-9]+ more$"),
    ],
    ids=["missing", "surplus", "shape", "classes", "empty"],
)
def test_a_state_that_is_not_the_networks(change, message, their_file, tmp_path, capsys):
    path, state, _ = their_file
    state = dict(state)
    change(state)
    safetensors.numpy.save_file(state, path)
    out = tmp_path / "x.safetensors"
    words = ["weights", "import", "pytorchcv", str(path), "--model", "resnet20_cifar10", "--to", str(out)]
    assert cli.main(words) == 2
    with pytest.raises(errors.UserError, match=message):
        sources.read("pytorchcv", path, "resnet20_cifar10")
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_a_cut_file_is_refused(their_file, tmp_path, capsys):
    data = their_file[0].read_bytes()
    path = tmp_path / "cut.safetensors"
    for end in (0, 7, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        assert cli.main(["weights", "import", "pytorchcv", str(path), "--model", "resnet20_cifar10"]) == 2
        assert "cut.safetensors is no safetensors file, damaged, or cut short" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["import", "torchvison", "x.pth", "--model", "resnet50"],
            "unknown source 'torchvison'; did you mean torchvision",
        ),
        (["import", "timm", "x.pth", "--model", "resnet50"], "unknown network of timm: 'resnet50'"),
        (["import", "torchvision", "x.pth", "--model", "resnet50"], "No such file or directory: x.pth"),
        (["import", "torchvision", "x.pth", "--model", "resnet50", "depht=3"], "unknown field"),
        (["export", "x", "torchvision", "--to", "y.safetensors"], "there is no file x"),
        (["export", "x", "torchvision", "--to", "y.pth"], "--to names a .safetensors file, not y.pth"),
        (["export", ".", "torchvision", "--to", "y.safetensors"], "has no weights.safetensors"),
    ],
)
def test_what_a_user_can_get_wrong(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["weights", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_scale_that_is_missing_is_missing_where_the_package_has_one():
    """Keras's Inception v3 has none, and takes ones; a file of its ResNet without one is not whole."""
    for name, refused in (("InceptionV3", False), ("ResNet50", True)):
        counterpart = sources.find("keras", name)
        model = models.create(counterpart.model, **counterpart.fields, num_classes=2)
        like = convert.shapes(model, (96, 96, 3))
        state = {
            place.theirs: np.zeros(place.their_shape, np.float32) for place in convert.places(model, counterpart, like)
        }
        first = next(key for key in state if key.endswith("/gamma"))
        del state[first]
        if refused:
            with pytest.raises(errors.UserError, match=f"these are missing: {first} 64$"):
                convert.to_ours(model, state, counterpart, (96, 96, 3))
        else:
            found = stacking.names(convert.to_ours(model, state, counterpart, (96, 96, 3)))
            assert sum(leaf.min() == 1 for path, leaf in found.items() if path.endswith("/scale")) == 1


@pytest.mark.parametrize("source", ["darknet", "keras"])
def test_what_is_only_read_is_not_written(source, tmp_path):
    record, variables = made()
    with pytest.raises(
        errors.UserError, match=f"weights of {source} are read, not written; written are pytorchcv, timm"
    ):
        sources.write(source, tmp_path / "x.safetensors", record, variables)
    assert not list(tmp_path.iterdir())


def test_weights_that_compute_something_else_there(tmp_path):
    record = Record("resnet20", {"shortcut": "A"}, (32, 32, 3), Picture(32, 32))
    variables = record.create().init(jax.random.key(1), np.zeros((1, 32, 32, 3), np.float32))
    with pytest.raises(errors.UserError, match="resnet20_cifar10 has shortcut = 'B', and these weights have 'A'"):
        sources.write("pytorchcv", tmp_path / "x.safetensors", record, variables)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("alexnet_owt", {"activation": "tanh"}, "has activation = 'relu', and these weights have 'tanh'"),
        ("resnet18", {"shortcut": "B", "padded_pool": False}, "has padded_pool = True"),
        ("vgg11", {"head": "convolutional"}, "has head = 'connected'"),
        ("inception_v3", {"factorised_5x5": True, "count_padding": True}, "has factorised_5x5 = False"),
    ],
)
def test_weights_that_would_compute_something_else(name, fields, message, tmp_path):
    """Most of these states have the same names and shapes as theirs."""
    record = Record(name, {**fields, "num_classes": 3}, (224, 224, 3), Picture(256, 224))
    with pytest.raises(errors.UserError, match=message):
        sources.write("torchvision", tmp_path / "x.safetensors", record, {})


def _with(file, **changes):
    """The file's metadata, changed."""
    arrays = safetensors.numpy.load_file(file)
    with safetensors.safe_open(file, "numpy") as opened:
        metadata = {**opened.metadata(), **changes}
    safetensors.numpy.save_file(arrays, file, metadata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "pt"}, "does not say what network it is of"),
        ({"record": "{"}, "cannot be read"),
        ({"record": "[]"}, "cannot be read"),
        ({"record": json.dumps({"model": "resnet20"})}, "cannot be read"),
        ("model", r"x\.safetensors is damaged: .*unknown model 'nonesuch'"),
        ("num_classes", "it names 3 classes, and the network has 4"),
    ],
)
def test_a_damaged_record(change, message, tmp_path):
    path = tmp_path / "x.safetensors"
    record, variables = made()
    if change == "model":
        record = dataclasses.replace(record, model="nonesuch")
    if change == "num_classes":
        record = dataclasses.replace(record, fields={**record.fields, "num_classes": 4})
    interop.save(path, record, variables)
    if isinstance(change, dict):
        _with(path, **change)
    with pytest.raises(errors.UserError, match=message):
        interop.read(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("classes",), ["a"]),
        (("classes",), [1] * 10),
        (("input_shape",), ["a", 1, 1]),
        (("input_shape",), [32, 32]),
        (("input_shape",), [10**9, 10**9, 3]),
        (("fields", "width"), -1),
        (("fields", "depth"), 10**40),
        (("picture", "crop"), 10**6),
        (("picture", "crop"), [1, 2, 3]),
        (("picture", "mean"), ["a"]),
        (("picture", "mean"), [1e999]),
        (("picture", "std"), [0]),
        (("picture", "threshold"), "x"),
    ],
)
def test_a_record_of_what_is_no_network(place, value, tmp_path):
    path = tmp_path / "x.safetensors"
    interop.save(path, *made())
    with safetensors.safe_open(path, "numpy") as opened:
        found = json.loads(opened.metadata()["record"])
    owner = found
    for key in place[:-1]:
        owner = owner[key]
    owner[place[-1]] = value
    _with(path, record=json.dumps(found))
    with pytest.raises(errors.UserError, match=r"x\.safetensors is damaged: what it says of its network") as caught:
        interop.read(path)
    assert "\n" not in str(caught.value)


def test_half_precision_becomes_single(their_file, tmp_path):
    path, state, variables = their_file
    safetensors.numpy.save_file({name: array.astype(np.float16) for name, array in state.items()}, path)
    _, found = sources.read("pytorchcv", path, "resnet20")
    for name, leaf in stacking.names(found).items():
        assert leaf.dtype == np.float32
        np.testing.assert_allclose(leaf, stacking.names(variables)[name], atol=1e-3)


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_a_fully_connected_layer_as_a_convolution(layout):
    """Simonyan & Zisserman 2014, §3.2: on a map of its size it gives what the layer gives on the flattened map."""
    rng = np.random.default_rng(0)
    image, shape = rng.normal(size=(3, 4, 5)), (3, 4, 5, 6)
    place = convert.Place("params/fc6/kernel", shape, "fc", layout=layout, connected=True)
    theirs = rng.normal(size=place.their_shape)
    # PyTorch flattens channels first and has outputs first; Keras the other way round in both.
    expected = theirs @ image.transpose(2, 0, 1).ravel() if layout == "torch" else image.ravel() @ theirs
    ours = place.to_ours(theirs)
    assert ours.shape == shape
    np.testing.assert_allclose(np.einsum("hwc,hwcf->f", image, ours), expected, rtol=1e-12)
    np.testing.assert_array_equal(place.to_theirs(ours), theirs)


def test_a_trained_vgg_is_evaluated_densely():
    """The head of a network that was trained with fully connected layers, on the same image: the same logits."""
    counterpart = sources.find("torchvision", "vgg11")
    fields = {"num_classes": 3, "hidden": 400, "width_factor": 0.05, "kernel_init": "he"}
    model, dense = (models.create("vgg11", **fields, head=each) for each in ("connected", "convolutional"))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(1, 224, 224, 3)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), images)
    state = convert.to_theirs(model, variables, counterpart)
    again = convert.to_ours(dense, state, counterpart, (224, 224, 3))
    expected = model.apply(variables, images)[0]
    np.testing.assert_allclose(dense.apply(again, images)[0], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected).max() > 1e-3


def test_a_negative_variance_is_not_imported():
    counterpart = sources.find("torchvision", "resnet18")
    model = models.create("resnet18", **{**counterpart.fields, "num_classes": 2})
    places = convert.places(model, counterpart, convert.shapes(model, model.input_shape))
    state = {each.theirs: np.zeros(each.their_shape, np.float32) for each in places}
    state["layer1.0.bn1.running_var"][3] = -1e-3
    with pytest.raises(errors.UserError, match=r"negative variances: layer1\.0\.bn1\.running_var$"):
        convert.to_ours(model, state, counterpart, model.input_shape)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_what_is_no_number_is_not_read(tmp_path, value):
    record, variables = made()
    leaves = jax.tree.map(np.array, variables)
    leaves["params"]["conv1"]["kernel"][0, 1] = value
    interop.save(tmp_path / "x.safetensors", record, leaves)
    with pytest.raises(errors.UserError, match=r"x\.safetensors is damaged: no finite numbers in params/conv1/kernel$"):
        interop.read(tmp_path / "x.safetensors")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_not_imported(value):
    counterpart = sources.find("torchvision", "resnet18")
    model = models.create("resnet18", **{**counterpart.fields, "num_classes": 2})
    places = convert.places(model, counterpart, convert.shapes(model, model.input_shape))
    state = {each.theirs: np.zeros(each.their_shape, np.float32) for each in places}
    assert convert.to_ours(model, state, counterpart, model.input_shape)
    state["layer2.0.conv1.weight"][1, 2] = value
    with pytest.raises(errors.UserError, match=r"no finite numbers in float32: layer2\.0\.conv1\.weight"):
        convert.to_ours(model, state, counterpart, model.input_shape)
    state["layer2.0.conv1.weight"] = np.full(state["layer2.0.conv1.weight"].shape, 1e60)
    with pytest.raises(errors.UserError, match=r"no finite numbers in float32: layer2\.0\.conv1\.weight"):
        convert.to_ours(model, state, counterpart, model.input_shape)
    state["layer2.0.conv1.weight"] = np.zeros(state["layer2.0.conv1.weight"].shape, np.int32)
    with pytest.raises(errors.UserError, match=r"no finite numbers in float32: layer2\.0\.conv1\.weight"):
        convert.to_ours(model, state, counterpart, model.input_shape)


def test_equal_weights_are_equal_files(tmp_path):
    """The library alone writes metadata in any order: of sixteen files some would differ."""
    arrays, metadata = {"a": np.arange(3.0), "ü": np.ones((2, 2))}, {"format": "é", "record": '"\\\u001b/', "z": ""}
    for number in range(16):
        weights.write_safetensors(tmp_path / f"{number}", arrays, metadata)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    found, read = weights.read_safetensors(tmp_path / "0")
    assert found == metadata
    assert read.keys() == arrays.keys()
    assert all((read[name] == arrays[name]).all() for name in arrays)
