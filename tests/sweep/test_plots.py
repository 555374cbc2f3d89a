import math

import numpy as np
import pandas
import pytest

from cnnjax.sweep import plots, store
from cnnjax.sweep.experiment import Claim
from cnnjax.sweep.verdict import Verdict


@pytest.fixture
def scale_folder(write_run):
    for arm, error in (("plain20", 0.1), ("plain56", 0.3), ("resnet20", 0.09), ("resnet56", 0.05)):
        for seed in range(3):
            run = write_run(arm, seed, error + 0.01 * seed, evaluations=3 if (arm, seed) == ("plain56", 2) else 5)
    return run.parents[1]


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        (["plain20", "plain56", "resnet20"], {"plain": ["plain20", "plain56"], "resnet": ["resnet20"]}),
        (["plain-20", "plain-56"], {"plain": ["plain-20", "plain-56"]}),
        (["resnet56-a", "resnet56-b"], {"resnet": ["resnet56-a", "resnet56-b"]}),
        (["lr0.1", "lr0.05"], {"lr": ["lr0.1", "lr0.05"]}),
        (["none", "dropout"], {"": ["none", "dropout"]}),
        (["lenet5", "alexnet8"], {"": ["lenet5", "alexnet8"]}),
        ({"Plain": ("plain20",)}, {"Plain": ["plain20"]}),
    ],
)
def test_arms_are_grouped_by_what_stands_before_the_last_number(arms, expected):
    assert plots.panels(arms) == expected


def test_learning_curves_have_a_panel_a_group_and_a_colour_a_depth(scale_folder):
    figure = plots.learning_curves(store.load_curves(scale_folder))
    left, right = figure.axes
    assert [left.get_title("left"), right.get_title("left")] == ["plain", "resnet"]
    assert sorted(texts(left)) == ["plain20", "plain56"]
    colours = [[line.get_color() for line in axes.lines if line.get_marker() != "x"] for axes in (left, right)]
    assert colours[0] == colours[1]
    assert len(set(colours[0])) == 2
    thin, bold = left.lines[:2]
    assert thin.get_linestyle() == "--"
    assert thin.get_linewidth() < bold.get_linewidth()


def test_learning_curves_are_means_in_per_cent_with_bands_over_seeds(scale_folder):
    curves = store.load_curves(scale_folder)
    axes = plots.learning_curves(curves, {"": ["plain20"]}, ("test/error",)).axes[0]
    chosen = curves[(curves["arm"] == "plain20") & (curves["metric"] == "test/error")]
    by_epoch = 100 * chosen.pivot(index="epoch", columns="seed", values="value")
    np.testing.assert_allclose(axes.lines[0].get_xdata(), by_epoch.index)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), by_epoch.mean(axis=1))
    band = axes.collections[0].get_paths()[0].vertices
    for epoch, row in by_epoch.iterrows():
        heights = band[band[:, 0] == epoch][:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((row.min(), row.max()))


def test_a_seed_that_ends_early_is_marked(scale_folder):
    left, right = plots.learning_curves(store.load_curves(scale_folder)).axes
    crosses = [line for line in left.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[3.0], [3.0]]
    assert not [line for line in right.lines if line.get_marker() == "x"]


def test_styles_override(scale_folder):
    figure = plots.learning_curves(store.load_curves(scale_folder), styles={"plain20": {"color": "#123456"}})
    assert figure.axes[0].lines[0].get_color() == "#123456"


def test_labels_of_lines_that_end_together_do_not_overlap():
    places = plots._apart(np.array([0.02, 0.021, 0.022, 0.9]), 0.05)
    assert np.all(np.diff(places) >= 0.05 - 1e-3)
    assert places[0] >= 0
    assert places[-1] == pytest.approx(0.9)


def test_final_errors_are_means_with_t_intervals_over_depth(scale_folder):
    axes = plots.final_errors(store.load(scale_folder), "train/error").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["20", "56"]
    means = {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}
    assert means["plain"] == pytest.approx([11, 31])
    assert means["resnet"] == pytest.approx([10, 6])
    (bar,) = axes.containers[0].lines[2][0].get_segments()
    assert bar[:, 1] == pytest.approx([11 - 4.302653 / math.sqrt(3), 11 + 4.302653 / math.sqrt(3)], abs=1e-5)


def test_final_errors_leave_out_runs_that_did_not_complete(scale_folder):
    rows = store.load(scale_folder)
    rows.loc[(rows["arm"] == "plain56") & (rows["seed"] == 2), "outcome"] = "diverged"
    axes = plots.final_errors(rows, "train/error").axes[0]
    (plain,) = [line for line in axes.lines if line.get_label() == "plain"]
    assert plain.get_ydata() == pytest.approx([11, 30.5])
    assert texts(axes) == ["1 diverged"]


def verdict(name, mean, low, high, values=(), above=0.0, metric="train/error"):
    claim = Claim(rf"claim $\frac$ {name}", metric, {"a": 1}, above)
    return Verdict(claim, name, mean, low, high, 0.95, 0.01, 0.02, tuple(range(len(values))), values)


def test_contrasts_show_every_claim_its_numbers_and_axes_for_each_unit():
    nan = math.nan
    figure = plots.contrasts(
        [
            verdict("reproduced", 0.05, 0.04, 0.06, (0.045, 0.055)),
            verdict("contradicted", -0.05, -9.0, 8.9, (-0.06, -0.04), above=0.01),
            verdict("inconclusive", nan, nan, nan),
            verdict("reproduced", 0.5, 0.4, 0.6, (0.4, 0.6), metric="train/loss"),
        ]
    )
    per_cent, other = figure.axes
    assert [label.get_text() for label in per_cent.get_yticklabels()] == [
        rf"claim $\frac$ {name}" for name in ("reproduced", "contradicted", "inconclusive")
    ]
    assert texts(per_cent)[:3] == ["+5.00 [+4.00, +6.00]", "−5.00 [−900.00, +890.00]", "no estimate"]
    assert texts(other)[0] == "+0.5000 [+0.4000, +0.6000]"
    assert per_cent.get_xlim()[1] < 100  # an absurdly wide interval does not squeeze the others
    arrows = [line.get_marker() for line in per_cent.lines if line.get_marker() in ("<", ">")]
    assert arrows == ["<", ">"]
    colours = {line.get_color() for line in per_cent.lines}
    assert set(plots.VERDICT_COLOURS.values()) <= colours
    figure.draw_without_rendering()  # text with a $ is not mathematics


def test_curves_without_epochs_are_drawn_over_steps():
    rows = [("e", "s", "net", 0, step, math.nan, math.nan, "train/loss", 1 / step) for step in (1, 2, 3)]
    figure = plots.learning_curves(pandas.DataFrame(rows, columns=store.CURVE_COLUMNS), metrics=("train/loss",))
    assert figure.axes[0].get_xlabel() == "step"
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([1, 1 / 2, 1 / 3])
