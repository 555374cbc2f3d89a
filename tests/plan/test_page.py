"""The page of plans that is kept: what stands in it of a recipe is what the recipe says today."""

import math
import pathlib
import re
import shlex

import pytest

from cnnjax import config as configs
from cnnjax.data import pipeline
from cnnjax.plan.outline import outline

ROOT = pathlib.Path(__file__).parents[2]
SECTIONS = (ROOT / "experiments" / "PLANS.md").read_text().split("\n## ")[1:]


def read(section: str) -> tuple[list[str], dict[str, str]]:
    """The words of the command, and the rows of the first table."""
    title, rest = section.split("\n", 1)
    return shlex.split(title.strip("`")), dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", rest, re.M))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.split("\n", 1)[0].strip("`"))
def test_a_plan_is_of_its_recipe(section: str) -> None:
    (program, command, recipe, option, topology, *settings), rows = read(section)
    assert (program, command, option) == ("cnnjax", "plan", "--topology")
    chips = math.prod(map(int, topology.partition(":")[2].split("x")))
    assert rows["devices"].endswith(f" on {chips} chips")
    config = configs.load(ROOT / recipe)
    config = configs.override(config, configs.parse(config, settings))
    steps = pipeline.steps_per_epoch(len(outline(config, "train").labels), config.batch_size)
    assert rows["network"].startswith(f"{config.model.name}, ")
    assert rows["network"].endswith(f", {config.model.dtype}")
    assert rows["batch"].startswith(f"{config.batch_size:,}, ")
    assert (
        f" h for {configs.steps(config.duration, steps, config.batch_size):,} steps, " in rows["the recipe, estimated"]
    )
    assert float(rows["memory of a device"].split()[0]) < float(rows["memory of a device"].split()[3])


def test_the_networks_that_are_on_it() -> None:
    names = {read(section)[1]["network"].split(",")[0] for section in SECTIONS}
    assert {"resnet50", "vgg16", "inception_v3"} <= names
