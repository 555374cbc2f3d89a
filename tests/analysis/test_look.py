"""Pictures of a network that was trained here, by the command line."""

import pathlib

import numpy as np
import pandas
import pytest
from PIL import Image

from cnnjax import cli, errors
from cnnjax.analysis import charts, pictures
from cnnjax.analysis.occlusion import Occlusion
from cnnjax.analysis.receptive_field import Axis, Field
from cnnjax.commands import album

PICTURES = [
    "filters",
    "strongest",
    "methods",
    "occlusion",
    "correspondence",
    "invariance",
    "receptive_field",
    "grad_cam",
    "class_activation",
    "neighbours",
    "dead",
    "responses",
    "gradient_norms",
    "evolution",
    "percentiles",
    "activations",
    "gradients",
    "updates",
    "line",
]
"""In their order."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_settings):
    """A tiny ResNet with two checkpoints."""
    folder = tmp_path_factory.mktemp("looked") / "run"
    kept = ["--config.execution.checkpoint.every=6 steps", "--config.execution.checkpoint.keep=9"]
    words = [*tiny_settings, "--config.duration=12 steps", "--config.schedule.boundaries=()", *kept]
    assert cli.main(["train", "configs/resnet_cifar_digits.py", "--run", str(folder), *words]) == 0
    return folder


def test_every_picture_is_drawn(trained, tmp_path, capsys):
    words = ["--layer", "stage2", "--features", "1,0", "--against", str(trained)]
    assert cli.main(["look", str(trained), "--to", str(tmp_path), *words]) == 0
    files = sorted(tmp_path.glob("*.png"))
    assert {file.stem for file in files} == set(PICTURES)
    *named, said = capsys.readouterr().out.splitlines()
    assert named == [str(tmp_path / f"{name}.png") for name in PICTURES]
    assert said.startswith("what changes in training is seen from step 6 of 12 on: execution.checkpoint.every")
    for file in files:
        image = np.asarray(Image.open(file).convert("L"))
        assert min(image.shape) > 150
        assert len(np.unique(image)) > 20  # not a page that is blank


def test_without_checkpoints_nothing_grows(tmp_path, capsys):
    words = ["--config.duration=4 steps", "--config.schedule.boundaries=()"]
    run = tmp_path / "run"
    assert cli.main(["train", "configs/mlp_digits.py", "--run", str(run), *words]) == 0
    assert cli.main(["look", str(run), "--to", str(tmp_path / "to"), "--image", "3"]) == 0
    said = capsys.readouterr().out.splitlines()
    without = [line for line in said if line.startswith("no ")]
    # One line a reason: a network without maps has no filters, windows or places either.
    assert [line.partition(": ")[0] for line in without] == [
        "no filters",
        "no receptive_field",
        "no grad_cam, class_activation",
        "no responses",
        "no evolution, percentiles, activations, gradients, updates, line",
    ]
    assert "has kept 1 checkpoint;" in without[-1]
    drawn = {file.stem for file in (tmp_path / "to").glob("*.png")}
    assert drawn == {pathlib.Path(line).stem for line in said if line.endswith(".png")}
    assert {"strongest", "occlusion", "correspondence", "invariance", "neighbours", "gradient_norms"} <= drawn


def test_nothing_but_the_layer_that_was_asked_for(trained):
    scene = album.scene(trained, "classifier", (), 0, None)
    with pytest.raises(errors.UserError, match=r"classifier has no map$"):
        album.PICTURES["receptive_field"](scene)
    with pytest.raises(errors.UserError, match=r"classifier has no map: its shape is \(10,\)"):
        album.PICTURES["grad_cam"](scene)


def test_windows_of_the_layer_that_is_shown_are_smaller_than_the_image(trained):
    """On 8×8 pixels: 7 of the first stage, of one block; the next one sees 15."""
    scene = album.scene(trained, "", (), 0, None)
    assert scene.layer == "stage1"
    assert scene.fields["stage1"].height.size == 7
    assert scene.maps[-1] == "stage3"
    assert scene.code == "global_pool"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layer", "stage9"], "unknown tap 'stage9'; did you mean stage"),
        (["--features", "99"], "has no feature 99"),
        (["--against", "nowhere"], "there is no run and no file nowhere"),
        (["--image", "360"], "--image 360: there are 360 test images"),
        (["--image", "-1"], "expected a number from 0 on, not '-1'"),
        (["--features", "a"], "features are written 0-4 or 0,1,2, not 'a'"),
        (["--to", "pyproject.toml"], "expected the name of a folder, not 'pyproject.toml'"),
    ],
)
def test_what_cannot_be_looked_at(trained, tmp_path, words, message, capsys):
    try:
        code = cli.main(["look", str(trained), "--to", str(tmp_path), *words])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_no_line_to_another_network(trained, tmp_path, capsys):
    words = ["--config.duration=4 steps", "--config.schedule.boundaries=()"]
    other = tmp_path / "other"
    assert cli.main(["train", "configs/mlp_digits.py", "--run", str(other), *words]) == 0
    assert cli.main(["look", str(trained), "--to", str(tmp_path / "to"), "--against", str(other)]) == 2
    assert "these are parameters of different networks" in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


def test_no_run(tmp_path, capsys):
    assert cli.main(["look", str(tmp_path / "none"), "--to", str(tmp_path)]) == 2
    assert "there is no run" in capsys.readouterr().err


def test_axes_say_what_is_drawn():
    """Titles, units, and colour bars beside what has values, as high as the picture."""
    found = Occlusion(np.arange(-2, 8), np.arange(-2, 12), GRID / 140, GRID.astype(int) % 3, 5, GRID, (0.5, 7.0))
    figure = pictures.occlusion(np.zeros((8, 12, 1)), found, ("cat", "dog", "fox"), 1, "conv5")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "the image, and the square\n(3×3 pixels)",
        "probability of dog\n(0.50 on the whole)",
        "conv5, sum of feature 5\n(7.0 on the whole)",
        "most probable class",
    ]
    assert [len(axes.child_axes) for axes in figure.axes] == [0, 1, 1, 1]
    assert [text.get_text() for text in figure.axes[3].child_axes[0].get_yticklabels()] == ["cat", "dog", "fox"]
    for axes in figure.axes:
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("column, px", "row, px")
        assert (axes.get_xlim(), axes.get_ylim()) == ((-1.5, 12.5), (8.5, -1.5))


GRID = np.arange(140.0).reshape(10, 14)


def test_a_square_that_leaps_stands_at_its_middle():
    """Every second place of a square of four: the middles are from 1.5 before the image to 0.5 after its last pixel."""
    found = Occlusion(np.arange(-3, 8, 2), np.arange(-3, 8, 2), GRID[:6, :6], np.zeros((6, 6)), 0, GRID[:6, :6], (1, 1))
    figure = pictures.occlusion(np.zeros((8, 8, 1)), found, (), 0, "conv1")
    (drawn,) = figure.axes[1].images
    assert drawn.get_extent() == [-2.5, 9.5, 9.5, -2.5]


def test_beyond_the_edges_nothing_is_drawn():
    image = np.full((3, 3, 1), np.nan)
    image[1:, 1:, 0] = [[2, 4], [3, 2]]
    rows = pandas.DataFrame({"channel": [7], "rank": [0], "image": [0], "activation": [1.0]})
    figure = pictures.strongest(rows, [image], [image - 3], "conv1")
    for axes, expected in zip(figure.axes, ([[0, 1], [0.5, 0]], None), strict=False):
        (drawn,) = axes.images
        shown = np.asarray(drawn.get_array())
        assert shown[..., 3].tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]
        if expected:
            np.testing.assert_allclose(shown[1:, 1:, :3], np.array(expected)[..., None].repeat(3, -1))
    below = np.asarray(figure.axes[1].images[0].get_array())[1:, 1:]
    assert below[0, 1, 0] > below[0, 1, 2]  # red above zero
    assert below[0, 0, 0] < below[0, 0, 2]  # blue below
    assert np.ptp(below[1, 0, :3]) < 0.05  # and neither at it
    assert figure.axes[2].get_ylabel() == "share of the picture's own largest value"


def test_windows_are_drawn_whole():
    """Where a window reaches over the image's edges, the axes do."""
    axis = Axis(size=6, stride=4, start=-2, places=3)
    figure = pictures.receptive_field(np.zeros((10, 10, 1)), Field(axis, axis), (0, 2), np.zeros((10, 10)), "pool1")
    assert figure.get_suptitle() == "pool1, place (0, 2) of 3×3: 6×6 pixels, stride 4"
    for axes in figure.axes:
        (window,) = axes.patches
        assert (window.get_xy(), window.get_width(), window.get_height()) == ((5.5, -2.5), 6, 6)
        assert axes.get_xlim()[1] >= 11.5
        assert axes.get_ylim()[1] <= -2.5
    dots, cross = figure.axes[0].lines
    assert sorted(set(dots.get_xdata())) == sorted(set(dots.get_ydata())) == [0.5, 4.5, 8.5]
    assert (*cross.get_xdata(), *cross.get_ydata()) == (8.5, 0.5)
    many = Axis(size=3, stride=1, start=-1, places=32)
    crowded = pictures.receptive_field(np.zeros((32, 32, 1)), Field(many, many), (0, 2), np.zeros((32, 32)), "conv1")
    (cross,) = crowded.axes[0].lines  # 1,024 dots would hide the image
    assert (*cross.get_xdata(), *cross.get_ydata()) == (2, 0)


def test_of_a_window_beyond_the_image_half_a_side_is_drawn():
    axis = Axis(size=101, stride=4, start=-48, places=3)
    figure = pictures.receptive_field(np.zeros((10, 10, 1)), Field(axis, axis), (1, 1), np.zeros((10, 10)), "stage3")
    assert figure.get_suptitle() == "stage3, place (1, 1) of 3×3: 101×101 pixels, stride 4: all of the image"
    for axes in figure.axes:
        assert (axes.get_xlim(), axes.get_ylim()) == ((-6, 15), (15, -6))


def test_evidence_covers_the_image():
    """Each map over all of its image; a row in one scale, whose colours say what the bar does."""
    images, maps = np.random.default_rng(0).random((2, 8, 12, 3)), np.zeros((2, 2, 2, 3))
    maps[0, 0, 1, 2], maps[0, 1, 0, 0], maps[1, 1] = 4, 2, 1
    for sign, least in ((1, 0), (-1, -4)):
        figure = pictures.evidence(images, sign * maps, [["a", "b", "c"], ["d", "e", "f"]], "stage3: Grad-CAM")
        assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", "d", "e", "f"]
        assert [len(axes.child_axes) for axes in figure.axes] == [0, 1, 1, 0, 1, 1]
        drawn = [axes.images[-1] for axes in figure.axes]
        for each in (1, 2):
            assert drawn[each].get_extent() == [-0.5, 11.5, 7.5, -0.5] == drawn[0].get_extent()
            assert drawn[each].get_clim() == (least, 4)
        assert drawn[5].get_clim() == (-1 if sign < 0 else 0, 1)
        np.testing.assert_allclose(np.asarray(drawn[1].get_alpha()), 0.75 * maps[0, 0] / 4)


def test_neighbours_of_other_classes_are_marked():
    images = np.arange(5.0)[:, None, None, None] + np.random.default_rng(0).random((5, 4, 4, 1))
    figure = pictures.neighbours(images, [3, 0], np.array([[1, 2], [4, 1]]), ["a", "b", "a", "b", "a"], "pool")
    assert [axes.get_title() for axes in figure.axes] == [
        f"image {number}\nclass {label}"
        for number, label in ((3, "b"), (1, "b"), (2, "a"), (0, "a"), (4, "a"), (1, "b"))
    ]
    black = [axes.title.get_color() == "black" for axes in figure.axes]
    assert black == [True, True, False, True, True, False]


def test_measures_by_depth():
    names = [f"conv{number}" for number in range(90)]
    lines = {f"step {step}": pandas.Series(step * np.arange(1.0, 91), names) for step in (10, 20)}
    figure = charts.by_depth({"norm": lines, "ratio": lines}, "gradients")
    assert [axes.get_ylabel() for axes in figure.axes] == ["norm", "ratio"]
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["step 10", "step 20"]
        np.testing.assert_array_equal(axes.lines[1].get_xydata()[[0, 89]], [[0, 20], [89, 1800]])
        assert axes.get_yscale() == "log"
        # Every third layer has its name.
        assert [text.get_text() for text in axes.get_xticklabels()] == names[::3]
    (axes,) = charts.by_depth({"dead": lines}, "dead", log=False).axes
    assert (axes.get_yscale(), axes.get_ylim()[0]) == ("linear", 0)


def test_the_line_between_two():
    frame = pandas.DataFrame({"share": [0.0, 0.5, 1.0], "loss": [2.0, 3.0, 1.0], "error": [0.1, 0.5, 0.0]})
    figure = charts.line(frame, "one", "other")
    assert figure.get_suptitle() == "along the line from one (0) to other (1)"
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "error, %"]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_xydata(), [[0, 10], [0.5, 50], [1, 0]])
    assert [line.get_xdata()[0] for line in figure.axes[0].lines[1:]] == [0, 1]


def test_correspondence_is_drawn_beside_its_opposite():
    rows = [
        (layer, part, value + shift)
        for shift, layer in ((0.0, "conv2"), (0.4, "conv1"))
        for part, value in (("same", 0.1), ("same", 0.3), ("other", 0.5))
    ]
    (axes,) = charts.correspondence(pandas.DataFrame(rows, columns=("layer", "part", "difference")), "zeros").axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["conv2", "conv1"]
    same, other = axes.lines
    np.testing.assert_allclose(same.get_ydata(), [0.1, 0.3, 0.5, 0.7])
    assert (same.get_xdata()[[0, 2]] < [0, 1]).all()
    assert (other.get_xdata() > [0, 1]).all()
    means = [segment[0, 1] for lines in axes.collections for segment in lines.get_segments()]
    np.testing.assert_allclose(means, [0.2, 0.6, 0.5, 0.9])


def test_histograms_are_shares_by_layer_and_step():
    """Columns that add up to one, what is far outside in the last bin, and the median's path."""
    steps, values = [0, 10, 20], {"conv1": [np.arange(1000.0) + at for at in (0, 500, 5000)], "fc": [np.zeros(7)] * 3}
    figure = charts.histograms(steps, values, "activations")
    shown = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in shown] == ["conv1", "fc"]
    assert [label.get_text() for label in shown[0].get_xticklabels()] == ["0", "10", "20"]
    for axes in shown:
        shares = axes.collections[0].get_array().reshape(60, 3)
        np.testing.assert_allclose(shares.sum(0), 1)
    np.testing.assert_allclose(shown[0].lines[0].get_ydata(), [499.5, 999.5, 5499.5])
    shares = shown[0].collections[0].get_array().reshape(60, 3)
    assert shares[:20, 0].sum() > 0.9
    assert shares[:45, 2].sum() == 0


def test_percentiles_are_drawn_over_steps():
    rows = [
        (step, unit, each, step * unit + each) for step in (10, 20) for unit in (0, 3) for each in (15.0, 50.0, 85.0)
    ]
    figure = charts.percentiles(pandas.DataFrame(rows, columns=("step", "unit", "percentile", "value")), "fc3")
    assert [axes.get_title() for axes in figure.axes] == ["unit 0", "unit 3"]
    lines = figure.axes[1].get_lines()
    assert [line.get_label() for line in lines] == ["15 %", "50 %", "85 %"]
    np.testing.assert_array_equal(lines[2].get_xydata(), [[10, 30 + 85], [20, 60 + 85]])
