"""Receptive fields drawn at the size of the input."""

import json

import numpy as np
import pytest
from PIL import Image

from cnnjax import cli
from cnnjax.analysis import pictures
from cnnjax.analysis.receptive_field import Axis, Field


def test_each_feature_lies_at_its_centre():
    """AlexNet's first pool, by hand: windows of 19 pixels, 8 apart, the first from pixel 0 on; 27 places on 227 pixels."""
    axis = Axis(size=19, stride=8, start=0, places=27)
    narrow = Axis(size=19, stride=8, start=-4, places=3)
    (axes,) = pictures.windows({"pool1": Field(axis, narrow)}, (227, 24)).axes
    dots = axes.collections[0].get_offsets()
    assert dots.shape == (27 * 3, 2)
    np.testing.assert_array_equal(dots[0], [5, 9])  # column, row
    np.testing.assert_array_equal(dots[-1], [5 + 2 * 8, 9 + 26 * 8])
    image, first, middle = axes.patches
    assert (image.get_xy(), image.get_width(), image.get_height()) == ((-0.5, -0.5), 24, 227)
    assert (first.get_xy(), first.get_width(), first.get_height()) == ((-4.5, -0.5), 19, 19)
    assert middle.get_xy() == (-4 + 8 - 0.5, 13 * 8 - 0.5)
    assert axes.get_title() == "pool1: 27×3 features\nwindow 19 px, stride 8, padding 0"
    bottom, top = axes.get_ylim()
    assert bottom > 226  # rows are counted downwards, and the image is all there
    assert top <= -0.5
    assert axes.get_xlabel() == "column, px"


def test_of_many_features_every_few_have_a_dot():
    axis = Axis(size=3, stride=1, start=-1, places=224)
    (axes,) = pictures.windows({"conv1_1": Field(axis, axis)}, (224, 224)).axes
    dots = np.asarray(axes.collections[0].get_offsets())
    assert dots.shape == (32 * 32, 2)
    assert sorted(set(dots[:, 0])) == list(range(0, 224, 7))
    assert axes.get_title() == "conv1_1: 224×224 features, a dot every 7\nwindow 3 px, stride 1, padding 1"


@pytest.mark.parametrize("name", ["resnet20", "lenet5"])
def test_as_a_command(name, tmp_path, capsys):
    file = tmp_path / "windows.png"
    assert cli.main(["describe", name, "--picture", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == name
    image = np.asarray(Image.open(file).convert("L"))
    assert min(image.shape) > 200
    assert len(np.unique(image)) > 20


def test_a_network_without_windows(tmp_path, capsys):
    file = tmp_path / "windows.png"
    assert cli.main(["describe", "mlp_bn_mnist", "--picture", str(file)]) == 2
    assert "no layer of this network has windows" in capsys.readouterr().err
    assert not file.exists()
