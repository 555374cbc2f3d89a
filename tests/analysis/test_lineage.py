"""The lineage: published numbers as other places of this project have them, costs as they are counted elsewhere."""

import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from cnnjax import cli, errors, models
from cnnjax.analysis import charts, description, lineage, memory, sizes

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COSTS = ROOT / "experiments" / "COSTS.md"

# Papers' own words for parameters and multiply-adds, in millions and billions, and their tables.
PAPERS = {
    "alexnet": (60, None),  # Krizhevsky et al. 2012, abstract
    "vgg16": (
        138,
        15.5,
    ),  # Simonyan & Zisserman 2014, Table 2; He et al. 2015, §3.3 (15.3 without the fully connected layers)
    "googlenet": (7, 1.6),  # Szegedy et al. 2014, Table 1: 1.5 billion
    "resnet50": (25.6, 3.9),  # He et al. 2015, Table 1: 3.8 × 10⁹
    "resnet152": (60.2, 11.3),  # He et al. 2015, Table 1
    "xception": (22.9, 8.4),  # Chollet 2016, Table 3: 22,855,952
    "seresnet50": (28.1, 3.9),  # Hu et al. 2017, Table 2: 3.87; Table 10: 28.1 M
    "senet154": (115, 20.7),  # Hu et al. 2017, appendix: 20.7 GFLOPs at 224
}


def test_the_table():
    assert all(name in models.entries() for name in lineage.NETWORKS)
    years = [each.year for each in lineage.NETWORKS.values()]
    assert years == sorted(years)
    for name, each in lineage.NETWORKS.items():
        assert each.source
        assert str(each.year) in models.entry(name).doc
        if each.top5 is not None:
            assert 0 < each.top5 < each.top1 < 50


def test_published_errors_are_those_of_the_recipes():
    """The README's table of recipes was written from the papers: its single views are the same."""
    rows = re.findall(r"^\| `(\w+)\.py` \| .* \| (?:[\w-]+ )?([\d.–]+) / ([\d.]+), one view \|$", README, re.M)
    names = {"senet": "seresnet50"}
    found = {names.get(recipe, recipe): (top1, float(top5)) for recipe, top1, top5 in rows}
    assert {"bn_inception", "inception_v3", "inception_v4", "xception", "seresnet50"} <= set(found)
    for name in set(found) & set(lineage.NETWORKS):
        top1, top5 = found[name]
        if top1 != "–":  # GoogLeNet's own paper gives no top-1 error
            published = lineage.NETWORKS[name]
            assert published.views == lineage.ONE_VIEW
            assert (published.top1, round(published.top5, 1)) == (float(top1), round(top5, 1))


@pytest.mark.parametrize("name", PAPERS)
def test_costs_are_the_papers(name):
    row = lineage.costs([name]).iloc[0]
    parameters, products = PAPERS[name]
    assert row.parameters / 1e6 == pytest.approx(parameters, rel=0.02)
    assert products is None or row.macs / 1e9 == pytest.approx(products, abs=0.06)
    assert row.macs_per_parameter == row.macs / row.parameters


def test_each_network_is_there_once():
    assert lineage.costs(["vgg16", "lenet5", "vgg16"])["network"].tolist() == ["vgg16", "lenet5"]


def test_auxiliary_classifiers_are_not_among_the_parameters():
    assert lineage.costs(["googlenet"]).iloc[0].parameters == 6_998_552
    assert sizes.known()["googlenet"].parameters == 13_378_280


def test_what_is_not_of_the_lineage():
    with pytest.raises(errors.UserError, match=r"unknown network of the lineage 'resnet5'; did you mean .*resnet50"):
        lineage.costs(["resnet5"])


def test_memory_in_the_formulas_terms(monkeypatch):
    """A compiler that keeps 3 copies of the parameters and one of the values: exactly those are found."""
    values = sum(memory.stored(models.create("lenet5"), (1, 32, 32, 1)).values())

    def compiled(model, shape, optimizer="sgd-momentum"):
        return memory.Compiled(2 * 4 * 60_000, 4 * 60_000 + shape[0] * 4 * values, 7e6 * shape[0])

    monkeypatch.setattr(memory, "compiled", compiled)
    row = lineage.footprints(["lenet5"], (2, 4, 8)).iloc[0]
    assert (round(row.copies, 4), round(row.kept, 4), round(row.off, 6)) == (3, 1, 0)
    assert row.formula == 12 * 60_000 + 8 * 8 * values
    assert row.ratio == row.compiled / row.formula
    assert row.compiled_flops == 7e6
    assert row.flops_ratio == 7e6 / (3 * description.describe(models.create("lenet5"), (32, 32, 1)).flops)
    assert (row.largest, row.fitted_largest) == ((2**34 - 720_000) // (8 * values), (2**34 - 720_000) // (4 * values))


def test_as_a_command(tmp_path, capsys):
    page, chart = tmp_path / "COSTS.md", tmp_path / "lineage.png"
    words = ["lineage", "lenet5", "alexnet", "vgg16", "zfnet", "--markdown", str(page), "--chart", str(chart)]
    assert cli.main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["costs"]
    assert [row["network"] for row in rows] == ["lenet5", "alexnet", "vgg16", "zfnet"]
    assert rows[0]["top1"] is None
    text = page.read_text()
    assert f"`cnnjax lineage lenet5 alexnet vgg16 zfnet --markdown {page}`" in text
    assert "| alexnet | 2012 | 42.9 | 19.8 | centre | 227 | 60,965,224 | 724,406,816 | 12 |" in text
    image = np.asarray(Image.open(chart).convert("L"))
    assert min(image.shape) > 500
    assert len(np.unique(image)) > 50
    assert cli.main(["lineage", "vgg16"]) == 0
    assert "138,357,544" in capsys.readouterr().out
    assert cli.main(["lineage", "vgg61"]) == 2
    assert "did you mean vgg16" in capsys.readouterr().err
    assert cli.main(["lineage", "lenet5", "--chart", str(tmp_path / "none.png")]) == 2
    assert "there is nothing to draw" in capsys.readouterr().err


def test_memory_as_a_command(capsys):
    """Compiled in truth: what is set aside holds at least weights and momentum, and grows with the images."""
    assert cli.main(["lineage", "lenet5", "--fit", "8,16,32", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["memory"][0]
    assert row["batch"] == 32
    assert row["compiled"] > 2 * 4 * 60_000
    assert 0.5 < row["ratio"] < 2
    assert 0.5 < row["flops_ratio"] < 2


def test_the_chart_has_a_point_and_a_name_for_each():
    axes = charts.lineage(lineage.costs()).axes[0]
    names = [name for name, each in lineage.NETWORKS.items() if each.top1 is not None]
    assert [text.get_text().partition(" ")[0] for text in axes.texts] == names
    places = {tuple(point) for each in axes.collections for point in np.round(each.get_offsets(), 3).tolist()}
    assert (0.724, 57.1) in places
    assert len(places) == len(names)
    assert axes.get_ylabel() == "published top-1 accuracy, %"


def test_the_page_that_is_kept():
    """Its costs are counted anew; of its memory, which depends on the compiler, its ratios are checked."""
    text = COSTS.read_text()
    command = re.search(r"`(cnnjax lineage [^`]*)`", text)[1]
    assert command == "cnnjax lineage --fit 4,8,16 --markdown experiments/COSTS.md"
    fresh = lineage.markdown([lineage.costs()], command)
    assert text.startswith(fresh.rstrip("\n"))
    rows = [line.strip("| \n").split(" | ") for line in text.removeprefix(fresh).splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == list(lineage.NETWORKS)
    for name, images, *numbers in rows[1:]:
        formula, compiled, ratio = (float(each.replace(",", "")) for each in numbers[:3])
        assert compiled / formula == pytest.approx(ratio, abs=0.006 + 0.1 / formula)
        assert float(numbers[-1]) == pytest.approx(float(numbers[-2]) * 1e9 / (6 * sizes.known()[name].macs), rel=0.1)
        assert formula * 2**20 > 12 * sizes.known()[name].parameters
        if name in ("lenet5", "alexnet", "vgg16"):  # quickly traced
            model = models.create(name)
            values = sum(memory.stored(model, (1, *model.input_shape)).values())
            exact = memory.training(sizes.known()[name].parameters, values).total(int(images))
            assert round(exact / 2**20, 1) == formula
