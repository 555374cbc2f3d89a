"""What kernels, pools and layers do to a photograph: against loops in NumPy, and by the command line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnjax import cli, errors, models
from cnnjax.analysis import kernels, shifts
from cnnjax.analysis.layers import captured, unrolled
from cnnjax.analysis.partial_sums import partial_sums
from cnnjax.data import picture

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("name", kernels.KERNELS)
def test_kernels_by_a_loop(name):
    image, kernel = RANDOM.random((9, 11)), kernels.KERNELS[name]
    half = kernel.shape[0] // 2
    wide = np.pad(image, half)
    expected = [
        [(wide[y : y + 2 * half + 1, x : x + 2 * half + 1] * kernel).sum() for x in range(11)] for y in range(9)
    ]
    np.testing.assert_allclose(kernels.respond(image, kernel), expected, rtol=1e-5, atol=1e-5)


def test_what_the_kernels_are_for():
    """Blurs keep the brightness, edges see none of it; a line of white is strongest under its own line of ones."""
    flat, line = np.full((15, 15), 0.5), np.zeros((15, 15))
    line[:, 7] = 1
    middle = {name: kernels.respond(flat, kernel)[7, 7] for name, kernel in kernels.KERNELS.items()}
    for name in ("identity", "box blur", "Gaussian blur", "sharpen", "emboss"):
        assert middle[name] == pytest.approx(0.5)
    for name in ("edges", "Sobel, vertical edges", "Sobel, horizontal edges"):
        assert middle[name] == pytest.approx(0)
    assert kernels.respond(line, kernels.KERNELS["vertical lines"])[7, 7] == 7
    assert kernels.respond(line, kernels.KERNELS["horizontal lines"])[7, 7] == 1
    assert kernels.respond(line, kernels.KERNELS["Sobel, vertical edges"])[7].tolist() == [0] * 6 + [4, 0, -4] + [0] * 6
    assert np.abs(kernels.respond(line, kernels.KERNELS["Sobel, horizontal edges"])[2:-2]).max() == 0


def made(name, shape, **fields):
    model = models.create(name, **fields)
    images = jnp.asarray(RANDOM.normal(size=shape), jnp.float32)
    variables = model.init(jax.random.key(0), images)
    # Biases that are not all zero.
    params = jax.tree.map(lambda leaf: leaf + 0.1 if leaf.ndim == 1 else leaf, variables["params"])
    return model, {**variables, "params": params}, images


@pytest.mark.parametrize(
    ("network", "shape", "fields", "name", "feature", "first", "channels"),
    [
        ("alexnet", (1, 227, 227, 3), {"width_factor": 1 / 16}, "conv1", 3, 0, 3),
        ("alexnet", (1, 227, 227, 3), {"width_factor": 1 / 16}, "conv4", 20, 12, 12),  # the second of two groups
        ("resnet_cifar", (2, 16, 16, 3), {"width": 4, "depth": 14, "scan": True}, "stage2/block1/conv1", 5, 0, 4),
        ("tiny_vgg", (1, 64, 64, 3), {}, "conv1_2", 9, 0, 10),
    ],
)
def test_partial_sums_add_up_to_the_map(network, shape, fields, name, feature, first, channels):
    model, variables, images = made(network, shape, **fields)
    found = partial_sums(model, variables, images, name, feature)
    assert (found.first, found.channels.shape[-1]) == (first, channels)
    np.testing.assert_allclose(found.channels.sum(-1) + found.bias, found.output, rtol=1e-4, atol=1e-5)
    assert np.abs(found.channels).max() > 0
    output = dict(captured(*unrolled(model, variables), images))[name][..., feature]
    np.testing.assert_allclose(found.output, output, rtol=1e-5, atol=1e-6)


def test_one_part_by_a_loop():
    """The kernel's slice of a channel, over its own channel alone."""
    model, variables, images = made("tiny_vgg", (1, 64, 64, 3))
    found = partial_sums(model, variables, images, "conv1_1", 4)
    kernel = np.asarray(variables["params"]["conv1_1"]["kernel"])[..., 1, 4]
    x = np.asarray(images)[0, :, :, 1]
    pad = (found.channels.shape[1] - x.shape[0] + kernel.shape[0] - 1) // 2
    x = np.pad(x, pad)
    expected = (x[20:23, 30:33] * kernel).sum()
    assert found.channels[0, 20, 30, 1] == pytest.approx(expected, rel=1e-5)


def test_what_has_no_parts():
    model, variables, images = made("resnet_cifar", (1, 16, 16, 3), depth=8, width=4)
    with pytest.raises(
        errors.UserError, match="unknown convolution 'stage2/block1/conv3'; did you mean stage2/block1/conv"
    ):
        partial_sums(model, variables, images, "stage2/block1/conv3", 0)
    with pytest.raises(errors.UserError, match="unknown convolution 'stage2'"):
        partial_sums(model, variables, images, "stage2", 0)
    with pytest.raises(errors.UserError, match="conv1 has no feature 4; they are numbered 0 to 3"):
        partial_sums(model, variables, images, "conv1", 4)


def test_a_shift_within_the_windows_is_not_seen():
    """Géron 2019, Fig. 14-9: moved by a pixel the pattern stays in its windows of two, moved by two it leaves them."""
    maps = np.zeros((64, 65))
    maps[10::4, 1::4] = 1  # behind a shift to the left in the first pixel of the same window
    one = shifts.shifts(maps, 1, count=1)
    assert (
        one.loc[(one["pools"] == 1) & one["pool"].str.contains("2×2"), ["change", "unchanged"]].to_numpy().tolist()
        == [[0, 1]] * 2
    )
    assert (one.loc[one["pools"] == 0, "change"] > 1).all()
    two = shifts.shifts(np.pad(maps, ((0, 0), (0, 1))), 2, count=1).set_index(["pool", "pools"])
    assert two.loc[("max 2×2", 1), "unchanged"] < 0.8


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**16), st.sampled_from(list(shifts.POOLS)))
def test_a_shift_by_the_stride_moves_the_map_by_one(seed, name):
    """Two pixels are one place behind a pool of stride 2, whatever the kind: nothing else changes."""
    maps = np.random.default_rng(seed).normal(size=(20, 24))
    change = shifts.differences(maps, 2)[name]
    whole = shifts.differences(np.concatenate([maps, maps[:, :1]], 1), 1)  # only for its shape
    assert change.shape[0] == whole[name].shape[0]
    kind, window = shifts.POOLS[name]
    places = (22 - window) // 2 + 1
    reduce = np.max if kind == "max" else np.mean
    rows = (20 - window) // 2 + 1
    pooled = np.array(
        [[reduce(maps[2 * y : 2 * y + window, 2 * x : 2 * x + window]) for x in range(places + 1)] for y in range(rows)]
    )
    np.testing.assert_allclose(change, pooled[:, 1:] - pooled[:, :-1], rtol=1e-4, atol=1e-5)


def test_overlap_makes_smaller_changes_and_maxima_keep_more():
    """On a photograph: what the picture is there to show."""
    grey = np.asarray(picture.sample().convert("L"), np.float32) / 255
    edges = np.maximum(kernels.respond(grey, kernels.KERNELS["Sobel, vertical edges"]), 0)
    found = shifts.shifts(edges, 1, count=2).set_index(["pool", "pools"])
    for kind in ("max", "average"):
        assert found.loc[(f"{kind} 3×3, overlapping", 1), "change"] < 0.8 * found.loc[(f"{kind} 2×2", 1), "change"]
    assert found.loc[("max 2×2", 2), "unchanged"] > 2 * found.loc[("average 2×2", 2), "unchanged"]


def test_too_small_or_constant():
    with pytest.raises(errors.UserError, match="a map of 20×20 is too small for a shift of 1 and 4 pools"):
        shifts.shifts(np.zeros((20, 20)))
    with pytest.raises(errors.UserError, match="constant"):
        shifts.shifts(np.zeros((80, 80)))


def test_as_a_command(tmp_path, capsys):
    photo = tmp_path / "photo.jpg"
    Image.fromarray(RANDOM.integers(0, 255, (90, 120, 3)).astype(np.uint8)).save(photo)
    words = ["explain", str(photo), "--to", str(tmp_path / "to"), "--network", "tiny_vgg", "--layer", "conv1_2"]
    assert cli.main([*words, "--feature", "3"]) == 0
    out = capsys.readouterr().out
    assert "weights that have learned nothing" in out
    files = {file.stem: file for file in (tmp_path / "to").glob("*.png")}
    assert set(files) == {"kernels", "pools", "maps", "sums"}
    for file in files.values():
        image = np.asarray(Image.open(file).convert("L"))
        assert min(image.shape) > 150
        assert len(np.unique(image)) > 20


def test_a_photograph_too_small_for_pools(tmp_path, capsys):
    Image.fromarray(RANDOM.integers(0, 255, (30, 40, 3)).astype(np.uint8)).save(tmp_path / "photo.png")
    assert cli.main(["explain", str(tmp_path / "photo.png"), "--to", str(tmp_path / "to")]) == 0
    assert "no pools: a map of 30×40 is too small for a shift of 1 and 4 pools" in capsys.readouterr().out
    assert [file.stem for file in (tmp_path / "to").glob("*.png")] == ["kernels"]
    assert cli.main(["explain", str(tmp_path / "photo.png"), "--to", str(tmp_path / "to"), "--shift", "9"]) == 2
    assert "error: a map of 30×40 is too small for a shift of 9 and 4 pools" in capsys.readouterr().err


def test_maps_of_a_trained_network(tmp_path, tiny_settings, capsys):
    """By a run's folder; a stage has maps, and is no sum of its input's channels."""
    words = [*tiny_settings, "--config.duration=4 steps", "--config.schedule.boundaries=()"]
    run = tmp_path / "run"
    assert cli.main(["train", "configs/resnet_cifar_digits.py", "--run", str(run), *words]) == 0
    assert cli.main(["explain", "--to", str(tmp_path / "to"), "--network", str(run), "--layer", "stage3"]) == 0
    assert "no partial sums: stage3 is no convolution; conv1 is" in capsys.readouterr().out
    assert {file.stem for file in (tmp_path / "to").glob("*.png")} == {"kernels", "pools", "maps"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", "resnet57"], "unknown network 'resnet57'; did you mean"),
        (["--network", "resnet20", "--layer", "stage4"], "unknown tap 'stage4'; did you mean stage"),
        (["--network", "resnet20", "--layer", "global_pool"], "global_pool has no maps: its shape is (64,)"),
        (["--network", "resnet20", "--feature", "16"], "conv1 has no feature 16; they are numbered 0 to 15"),
        (["--network", "mlp_cifar10"], "mlp_cifar10 has no convolution"),
        (["--layer", "conv1"], "--layer is one of a network, which --network names"),
        (["none.jpg"], "No such file or directory: none.jpg"),
        (["README.md"], "README.md is no picture that can be read"),
    ],
)
def test_what_cannot_be_explained(tmp_path, words, message, capsys):
    assert cli.main(["explain", *words, "--to", str(tmp_path / "to")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "to").exists()
