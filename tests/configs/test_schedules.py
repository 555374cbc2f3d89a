"""The learning rate of every recipe at the steps where it changes.

``schedules.json`` was written by hand, and powers of a factor with `decimal`: recipe → where its numbers are from; how many
examples its training set has and, with its batch, whole batches an epoch; how many steps the run is; the rate at some of them,
beside what plateaus make of it; and what is looked at for a plateau, and by what the rate is multiplied then.
"""

import json
import pathlib

import pytest

from cnnjax import config as configs
from cnnjax.data import pipeline
from cnnjax.train import schedule

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
GOLDENS = json.loads(pathlib.Path(__file__).with_name("schedules.json").read_text())
EXAMPLES = {
    "cifar10": 50_000,
    "digits": 1_437,
    "fashion_mnist": 60_000,
    "imagenet2012": 1_281_167,
}
"""Of training sets, as their publishers give them; the digits are divided here, see `cnnjax.data.digits`."""
TAKEN = {("mnist", "train[5000:]", ()): 55_000, ("digits", "train", (5, 6, 7, 8, 9)): 717}
"""Parts of them. Of the digits 5 to 9 there are 896, at places 901 to 1796 of all; every fifth place is a test example."""


def test_every_recipe_has_a_golden_and_every_golden_a_recipe():
    assert set(GOLDENS) == {path.stem for path in CONFIGS.glob("*.py")}


@pytest.mark.parametrize("name", GOLDENS)
def test_the_rate(name):
    config, golden = configs.load(CONFIGS / f"{name}.py"), GOLDENS[name]
    dataset = config.dataset
    examples = TAKEN.get((dataset.name, dataset.train, tuple(dataset.classes))) or EXAMPLES[dataset.name]
    assert golden["examples"] == examples
    epoch = pipeline.steps_per_epoch(examples, config.batch_size)
    assert golden["steps_per_epoch"] == epoch
    assert golden["steps"] == configs.steps(config.duration, epoch, config.batch_size)
    rate = schedule.make(config.schedule, epoch, config.batch_size)
    assert {step: float(rate(int(step))) for step in golden["rates"]} == pytest.approx(golden["rates"], rel=1e-6)
    assert golden.get("plateau", "") == config.schedule.plateau
    assert golden.get("factor", config.schedule.factor) == config.schedule.factor


def test_the_rates_end_with_the_runs():
    for name, golden in GOLDENS.items():
        assert max(map(int, golden["rates"])) < golden["steps"], name
