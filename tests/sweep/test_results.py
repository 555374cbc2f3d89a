"""The page of results that is kept: it says of every experiment what its file says, and of every arm what it costs."""

import pathlib
import re

import pytest

from cnnjax.sweep import catalogue, experiment, plan, progress

FOLDER = pathlib.Path(__file__).parents[2] / "experiments"
PAGE = (FOLDER / "RESULTS.md").read_text()
SCALES = [(path, scale) for path in sorted(FOLDER.glob("*.py")) for scale in experiment.load(path).scales]
NUMBER = r"\d+\.\d\d( ± \d+\.\d\d)?|—"
VERDICTS = {"✓ reproduced", "✗ contradicted", "? inconclusive"}


def sections(page):
    """The head, and the sections by their names, in order."""
    head, *parts = re.split(r"(?m)^## ", page)
    return head, {part.partition("\n")[0]: part for part in parts}


def tables(section):
    """The cells of each table, row by row, the first its headings."""
    found = [[]]
    for line in section.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [[rows[0], *rows[2:]] for rows in found if rows]


def test_every_scale_has_its_section_in_order():
    head, found = sections(PAGE)
    assert head.strip() == catalogue.markdown([]).strip()
    assert list(found) == [f"{path.stem}, {scale}" for path, scale in SCALES]


@pytest.mark.parametrize(("path", "scale"), [pytest.param(*each, id=f"{each[0].stem}-{each[1]}") for each in SCALES])
def test_a_section_says_what_the_file_says(path, scale):
    asked = experiment.load(path)
    kept = sections(PAGE)[1][f"{asked.name}, {scale}"]
    fresh = sections(catalogue.markdown([catalogue.Entry(asked, scale)]))[1][f"{asked.name}, {scale}"]
    if not (found := tables(kept)):
        assert kept.strip() == fresh.strip()
        return
    texts = fresh.partition("\nNot run:")[0]
    assert kept.startswith(texts)
    words = f"cnnjax run {path.parent.name}/{path.name} --scale {scale}"
    assert re.match(
        rf"`{re.escape(words)}[^`]*` \((commit [^;]+; )?jax \d.*on \w+.*\)\n", kept.removeprefix(texts).lstrip()
    )
    (_, *cells), *arms = found
    assert [row[:3] for row in cells] == [
        [catalogue._cell(claim.text), f"`{claim.metric}`", catalogue._cell(claim.paper)]
        for claim in asked.claims_at(scale)
    ]
    assert {row[4] for row in cells} <= VERDICTS
    # A verdict has numbers, and those of one claim are on the side that it names.
    for row in cells:
        if row[4] != "? inconclusive":
            assert re.match(r"[+−]\d[\d.e+−]* \[[+−].*\].*, n = \d", row[3])
    assert len(arms) == 1
    for headings, *rows in arms:
        assert re.search(
            r"`[^`]*` \((commit [^;]+; )?jax [^;]+; flax [^;]+; seeds \d[\d, ]*; on [^;]+; machine: [^;]+; cores a run: \d",
            kept,
        )
        costs = {arm.name: progress.size(arm) for arm in plan.make(asked, scale, (), (), pathlib.Path("runs")).arms}
        assert headings[:5] == ["arm", "parameters", "MACs", "train error, %", "test error, %"]
        assert [row[0] for row in rows] == [*costs, *asked.scales[scale].ensembles]
        for name, parameters, macs, *reached in rows:
            assert [parameters, macs] == [f"{each:,}" for each in costs[name]] if name in costs else ["—", "—"]
            assert all(re.fullmatch(NUMBER, each) for each in reached[:2])
            assert len(reached) == len(headings) - 3
