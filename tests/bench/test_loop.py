"""What surrounds the step: each part is really run, and the bounds are ratios of images a second."""

import io
import pathlib

import pytest
from rich.console import Console

from cnnjax import errors
from cnnjax.bench import loop
from cnnjax.bench.loop import Row

RECIPE = pathlib.Path(__file__).parents[2] / "configs" / "resnet_cifar.py"
SMALL = [f"--config.{each}" for each in ("model.depth=8", "model.width=1", "batch_size=8", "execution.devices=1")]


@pytest.mark.slow
def test_every_part_is_timed() -> None:
    rows = loop.measure(RECIPE, SMALL, turns=2, say=lambda line: None)
    assert [row.images for row in rows] == [64, 64, 64, 64, 64, loop.EXAMPLES, loop.EXAMPLES]
    assert all(len(row.seconds) == 2 and min(row.seconds) > 0 for row in rows)
    assert {name for name, _, _ in loop.BOUNDS} <= {row.name for row in rows}
    out = io.StringIO()
    Console(file=out, width=120).print(loop.table(rows, "a caption"))
    assert "evaluation" in out.getvalue()
    assert "a caption" in out.getvalue()


def test_bounds_compare_times_of_an_image() -> None:
    rows = [
        Row("one step a dispatch", 64, [1.0, 2.0, 9.0]),
        Row(loop.BOUNDS[0][0], 64, [0.25]),
        Row(loop.BOUNDS[1][0], 128, [2.0]),
        Row("one step, BN groups of a piece", 64, [4.0]),
        Row(loop.BOUNDS[2][0], 64, [3.0]),
    ]
    assert [(bound.ratio, bound.kept) for bound in loop.bounds(rows)] == [
        (0.125, False),
        (0.5, True),
        (0.75, True),
    ]


def test_a_batch_that_has_no_pieces() -> None:
    with pytest.raises(errors.UserError, match="does not divide a batch of 6"):
        loop.measure(RECIPE, [*SMALL, "--config.batch_size=6"], turns=1, say=lambda line: None)
