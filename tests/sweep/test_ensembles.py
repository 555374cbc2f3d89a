"""Arms asked together: by the command line, against a mean that is taken by hand, and where something is missing."""

import json

import jax
import numpy as np
import pytest

from cnnjax import cli, errors
from cnnjax.evaluate import evaluation, subject
from cnnjax.sweep import ensembles, experiment, outcome, plan, store
from cnnjax.sweep.experiment import Claim, Experiment, Scale

CLAIM = 'Claim("Both together are better.", "test/error", {"wide": 1, "both": -1})'


@pytest.fixture(scope="module")
def ran(tmp_path_factory, write_experiment):
    """An experiment with an ensemble, run; its file and its runs."""
    folder = tmp_path_factory.mktemp("ensembles")
    path = write_experiment(folder)
    text = path.read_text().replace("seeds=(0, 1))", 'seeds=(0, 1), ensembles={"both": ("thin", "wide")})')
    text = text.replace("'wide': 'wide'}", "'wide': 'wide', 'both': 'both'}").replace("claims=[", f"claims=[{CLAIM}, ")
    path.write_text(text)
    assert cli.main(["run", str(path), "--runs", str(folder / "runs"), "--workers", "2"]) == 0
    return path, folder / "runs"


def swept(ran, *arguments):
    path, runs = ran
    sweep = plan.make(experiment.load(path), "", (), arguments, runs)
    found = store.load(sweep.folder)
    return sweep, outcome.summarise(sweep, found)


def test_an_ensemble_says_the_mean_of_what_its_networks_say(ran):
    sweep, found = swept(ran)
    errors_by_hand = []
    for seed in (0, 1):
        shown = [subject.read(arm.run(seed)[0].path) for arm in sweep.arms]
        images, labels = next(shown[0].batches(360))
        logits = [each.model.apply(each.variables, images)[0] for each in shown]
        mean = sum(np.asarray(jax.nn.softmax(each), np.float64) for each in logits)
        errors_by_hand.append(np.mean(mean.argmax(1) != labels))
    written = json.loads((sweep.folder / ensembles.FILE).read_text())
    assert sorted(written.values()) == pytest.approx(sorted(errors_by_hand), abs=1e-9)
    frame = store.load(sweep.folder)
    wide = frame[frame["arm"] == "wide"].set_index("seed")["test/error"]
    verdict = next(each for each in found.verdicts if "both" in each.claim.contrast)
    assert verdict.values == pytest.approx([wide[seed] - errors_by_hand[seed] for seed in (0, 1)], abs=1e-6)
    arm = found.arms[-1]
    assert (arm.name, arm.finished, arm.outcome, arm.parameters) == ("both", 2, "completed", None)
    assert arm.errors["test/error"].startswith(f"{100 * np.mean(errors_by_hand):.2f}")


def test_what_is_there_is_not_asked_again(ran, monkeypatch):
    sweep, _ = swept(ran)
    monkeypatch.setattr(evaluation, "evaluate", None)
    assert [*ensembles.complete(sweep)] == []


def test_networks_that_are_trained_again_are_asked_again(ran):
    """Of the same settings, with other weights: those of another seed here."""
    sweep, _ = swept(ran)
    first, second = (sweep.arms[1].run(seed)[0].weights for seed in (0, 1))
    weights = second.read_bytes()
    second.write_bytes(first.read_bytes())
    assert swept(ran)[1].arms[-1].outcome == "1 completed, 1 not run"
    (line,) = ensembles.complete(sweep)
    assert line.startswith("both seed 1: thin, wide together")
    second.write_bytes(weights)
    assert [*ensembles.complete(sweep)] == []


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": "low"}', '{"a": true}', '{"a": NaN}', '{"a": 2.0}'])
def test_a_damaged_file_is_made_again(ran, content):
    sweep, before = swept(ran)
    file = sweep.folder / ensembles.FILE
    text = file.read_text()
    file.write_text(content)
    assert swept(ran)[1].arms[-1].outcome == "not run"
    assert len([*ensembles.complete(sweep)]) == 2
    assert json.loads(file.read_text()).items() <= json.loads(text).items()
    assert swept(ran)[1].verdicts == before.verdicts


def test_networks_with_other_settings_are_another_ensemble(ran):
    sweep, found = swept(ran, "--config.duration=12 steps")
    assert found.arms[-1].outcome == "not run"
    assert [*ensembles.complete(sweep)] == []


def test_with_a_network_that_has_diverged_there_is_no_verdict(ran):
    sweep, _ = swept(ran)
    runs = store.load(sweep.folder)
    runs.loc[(runs["arm"] == "thin") & (runs["seed"] == 1), "outcome"] = "diverged"
    found = outcome.summarise(sweep, runs)
    assert found.arms[-1].outcome == "1 completed, 1 diverged"
    verdict = next(each for each in found.verdicts if "both" in each.claim.contrast)
    assert verdict.verdict == "inconclusive"
    assert "both seed 1 diverged" in verdict.notes[0]


def test_what_was_said_before_a_network_is_trained_again_does_not_count(ran):
    sweep, _ = swept(ran)
    runs = store.load(sweep.folder)
    runs.loc[(runs["arm"] == "thin") & (runs["seed"] == 1), ["state", "outcome"]] = ["running", None]
    assert outcome.summarise(sweep, runs).arms[-1].outcome == "1 completed, 1 not run"


@pytest.mark.parametrize(
    ("together", "metric", "message"),
    [
        ({"both": ()}, "test/error", "the ensemble 'both' has no arms"),
        ({"both": ("a", "c")}, "test/error", "unknown arm of the ensemble 'both': 'c'"),
        ({"a": ("a", "b"), "both": ("a",)}, "test/error", "an arm and an ensemble of the name 'a'"),
        ({"both": ("a", "b")}, "train/error", "an ensemble has a test/error and no train/error"),
    ],
)
def test_ensembles_that_are_none(together, metric, message):
    claim = Claim("Both are better.", metric, {"a": 1, "both": -1})
    roles = {"a": "a", "both": "both"}
    scale = Scale(config="x.py", arms={"a": {}, "b": {}}, roles=roles, seeds=(0,), ensembles=together)
    with pytest.raises(errors.UserError, match=message):
        Experiment("?", "a paper", {"digits": scale}, (claim,))
