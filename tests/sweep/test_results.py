"""The page of results that is kept: it says of every experiment what its file says."""

import pathlib
import re

import pytest

from cnnjax.sweep import catalogue, experiment

FOLDER = pathlib.Path(__file__).parents[2] / "experiments"
PAGE = (FOLDER / "RESULTS.md").read_text()
SCALES = [(path, scale) for path in sorted(FOLDER.glob("*.py")) for scale in experiment.load(path).scales]
VERDICTS = {"✓ reproduced", "✗ contradicted", "? inconclusive"}


def sections(page):
    """The head, and the sections by their names, in order."""
    head, *parts = re.split(r"(?m)^## ", page)
    return head, {part.partition("\n")[0]: part for part in parts}


def test_every_scale_has_its_section_in_order():
    head, found = sections(PAGE)
    assert head.strip() == catalogue.markdown([]).strip()
    assert list(found) == [f"{path.stem}, {scale}" for path, scale in SCALES]


@pytest.mark.parametrize(("path", "scale"), [pytest.param(*each, id=f"{each[0].stem}-{each[1]}") for each in SCALES])
def test_a_section_says_what_the_file_says(path, scale):
    asked = experiment.load(path)
    kept = sections(PAGE)[1][f"{asked.name}, {scale}"]
    fresh = sections(catalogue.markdown([catalogue.Entry(asked, scale)]))[1][f"{asked.name}, {scale}"]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in kept.splitlines() if line.startswith("|")][2:]
    if not rows:
        assert kept.strip() == fresh.strip()
        return
    texts = fresh.partition("\nNot run:")[0]
    assert kept.startswith(texts)
    words = f"cnnjax run {path.parent.name}/{path.name} --scale {scale}"
    assert re.match(rf"`{re.escape(words)}[^`]*` \(jax \d.*on \w+.*\)\n", kept.removeprefix(texts).lstrip())
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[:2] for row in cells] == [
        [catalogue._cell(claim.text), catalogue._cell(claim.paper)] for claim in asked.claims
    ]
    assert {row[3] for row in cells} <= VERDICTS
    # A verdict has numbers, and those of one claim are on the side that it names.
    for row in cells:
        if row[3] != "? inconclusive":
            assert re.match(r"[+−]\d[\d.e+−]* \[[+−].*\].*, n = \d", row[2])
