"""Kinds of convolution: what books and papers work out by hand."""

import json
import math

import pytest

from cnnjax import cli, errors
from cnnjax.analysis import convolutions


def macs(*arguments, **options):
    return convolutions.table(*arguments, **options).set_index("kind")["macs"]


def test_a_reduction_by_1x1():
    """A 5×5-free branch of an Inception module, as tutorials work it out: 32×32×192 to 256 maps, through 96 or not."""
    found = macs((32, 32, 192), 256, reduced=96)
    assert (found["regular"], found["reduced by 1×1"]) == (452_984_832, 245_366_784)


def test_1x1_before_and_after_a_pool():
    """Szegedy et al. 2015 (Inception v3), §5: from 35×35×320 to 17×17×640, counted as a product a channel."""
    assert macs((35, 35, 320), 640)["1×1"] == 250_880_000
    assert macs((17, 17, 320), 640)["1×1"] == 59_187_200


# Shares of a regular convolution's products, 1 / maps + 1 / window², in per cent.
SEPARABLE = {3: {16: 17.4, 32: 14.2, 64: 12.7, 128: 11.9, 256: 11.5, 512: 11.3, 1024: 11.2}, 5: {16: 10.3, 1024: 4.1}}


@pytest.mark.parametrize(("window", "maps"), [(window, maps) for window, each in SEPARABLE.items() for maps in each])
def test_depthwise_separable(window, maps):
    share = convolutions.table((8, 8, 6), maps, window).set_index("kind")["share"]["depthwise separable"]
    assert share == pytest.approx(1 / maps + 1 / window**2)
    assert 100 * share == pytest.approx(SEPARABLE[window][maps], abs=0.0501)


def test_factors_of_large_windows():
    """Szegedy et al. 2015 (Inception v3), §3.1 and §3.2: two 3×3 save 28 % of a 5×5, 3×1 and 1×3 a third of a 3×3."""
    five = convolutions.table((17, 17, 64), 64, 5).set_index("kind")["share"]
    three = convolutions.table((17, 17, 64), 64, 3).set_index("kind")["share"]
    seven = convolutions.table((17, 17, 64), 64, 7).set_index("kind")["share"]
    assert five["3×3, stacked"] == pytest.approx(1 - 0.28)
    assert three["spatially separable"] == pytest.approx(2 / 3)
    assert seven["3×3, stacked"] == pytest.approx(27 / 49)
    assert three["3×3, stacked"] == 1


def test_every_column_by_arithmetic():
    """Parameters k² · inputs / groups · maps; each is used once a place; values of all steps."""
    found = convolutions.table((5, 7, 12), 18, 3, groups=6, reduced=4).set_index("kind")
    parameters = {
        "regular": 9 * 12 * 18,
        "grouped": 9 * 2 * 18,
        "depthwise separable": 9 * 12 + 12 * 18,
        "spatially separable": 3 * 12 * 18 + 3 * 18 * 18,
        "3×3, stacked": 9 * 12 * 18,
        "reduced by 1×1": 12 * 4 + 9 * 4 * 18,
        "1×1": 12 * 18,
    }
    assert found["parameters"].to_dict() == parameters
    assert found["macs"].to_dict() == {kind: 35 * count for kind, count in parameters.items()}
    values = {"depthwise separable": 12 + 18, "spatially separable": 36, "reduced by 1×1": 4 + 18}
    assert found["values"].to_dict() == {kind: 35 * values.get(kind, 18) for kind in parameters}
    assert found["steps"]["depthwise separable"] == "3×3 12→12 in 12 groups, 1×1 12→18"


def test_as_a_command(capsys):
    assert cli.main(["convolution", "32x32x192", "256", "--reduce", "96", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in rows] == list(convolutions.KINDS)
    assert {row["kind"]: row["macs"] for row in rows}["reduced by 1×1"] == 245_366_784
    assert cli.main(["convolution", "32x32x192", "256", "--window", "5"]) == 0
    printed = capsys.readouterr().out
    assert f"{5 * 5 * 192 * 256 * 1024:,}" in printed
    assert f"{math.prod((5, 5, 192, 256)):,}" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["32x24", "8"], "a map is height, width and channels, 32x32x192, not 32x24"),
        (["32x32x190", "256", "--groups", "3"], "3 groups do not divide both 190 and 256 channels"),
        (["32x32x4", "4", "--window", "4"], "a window has an odd side from 3 on, not 4"),
    ],
)
def test_what_is_no_convolution(words, message, capsys):
    assert cli.main(["convolution", *words]) == 2
    assert message in capsys.readouterr().err


def test_even_windows_are_refused():
    with pytest.raises(errors.UserError, match="odd side"):
        convolutions.table((8, 8, 4), 4, 1)
