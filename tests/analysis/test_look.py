"""Pictures of a network that was trained here, by the command line."""

import numpy as np
import pandas
import pytest
from PIL import Image

from cnnjax import cli
from cnnjax.analysis import pictures
from cnnjax.analysis.occlusion import Occlusion

PICTURES = {"filters", "strongest", "occlusion", "invariance", "receptive_field", "evolution", "percentiles"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_settings):
    """A tiny ResNet with two checkpoints."""
    folder = tmp_path_factory.mktemp("looked") / "run"
    kept = ["--config.execution.checkpoint.every=6 steps", "--config.execution.checkpoint.keep=9"]
    words = [*tiny_settings, "--config.duration=12 steps", "--config.schedule.boundaries=()", *kept]
    assert cli.main(["train", "configs/resnet_cifar_digits.py", "--run", str(folder), *words]) == 0
    return folder


def test_every_picture_is_drawn(trained, tmp_path, capsys):
    assert cli.main(["look", str(trained), "--to", str(tmp_path), "--layer", "stage2", "--features", "1,0"]) == 0
    files = sorted(tmp_path.glob("*.png"))
    assert {file.stem for file in files} == PICTURES
    assert capsys.readouterr().out.split() == [str(tmp_path / f"{name}.png") for name in _in_order()]
    for file in files:
        image = np.asarray(Image.open(file).convert("L"))
        assert min(image.shape) > 150
        assert len(np.unique(image)) > 20  # not a page that is blank


def _in_order():
    return ["filters", "strongest", "occlusion", "invariance", "receptive_field", "evolution", "percentiles"]


def test_without_checkpoints_nothing_grows(tmp_path, capsys):
    words = ["--config.duration=4 steps", "--config.schedule.boundaries=()"]
    run = tmp_path / "run"
    assert cli.main(["train", "configs/mlp_digits.py", "--run", str(run), *words]) == 0
    assert cli.main(["look", str(run), "--to", str(tmp_path / "to"), "--image", "3"]) == 0
    assert "has kept 1 checkpoint;" in capsys.readouterr().out
    # Nor has a network without maps filters or windows.
    assert {file.stem for file in (tmp_path / "to").glob("*.png")} == {"strongest", "occlusion", "invariance"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layer", "stage9"], "unknown tap 'stage9'; did you mean stage"),
        (["--features", "99"], "has no feature 99"),
        (["--image", "360"], "--image 360: there are 360 test images"),
        (["--image", "-1"], "expected a number from 0 on, not '-1'"),
        (["--features", "a"], "features are written 0-4 or 0,1,2, not 'a'"),
    ],
)
def test_what_cannot_be_looked_at(trained, tmp_path, words, message, capsys):
    try:
        code = cli.main(["look", str(trained), "--to", str(tmp_path), *words])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_no_run(tmp_path, capsys):
    assert cli.main(["look", str(tmp_path / "none"), "--to", str(tmp_path)]) == 2
    assert "there is no run" in capsys.readouterr().err


def test_axes_say_what_is_drawn():
    """Titles, units, and colour bars beside what has values."""
    grid = np.arange(12.0).reshape(3, 4)
    found = Occlusion(np.arange(3), np.arange(4), grid / 12, grid.astype(int) % 3, 5, grid, (0.5, 7.0))
    figure = pictures.occlusion(np.zeros((8, 8, 1)), found, ("cat", "dog", "fox"), 1, "conv5")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["the image", "probability of dog (0.50 on the whole)"]
    assert any(title.startswith("conv5, feature 5") for title in titles)
    assert len(figure.axes) == 4 + 3  # a bar beside each map
    assert sum("px" in axes.get_xlabel() for axes in figure.axes) == 3


def test_percentiles_are_drawn_over_steps():
    rows = [
        (step, unit, each, step * unit + each) for step in (10, 20) for unit in (0, 3) for each in (15.0, 50.0, 85.0)
    ]
    figure = pictures.percentiles(pandas.DataFrame(rows, columns=("step", "unit", "percentile", "value")), "fc3")
    assert [axes.get_title() for axes in figure.axes] == ["unit 0", "unit 3"]
    lines = figure.axes[1].get_lines()
    assert [line.get_label() for line in lines] == ["15 %", "50 %", "85 %"]
    np.testing.assert_array_equal(lines[2].get_xydata(), [[10, 30 + 85], [20, 60 + 85]])
