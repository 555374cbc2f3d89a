"""The index of all experiments, and claims about how soon something is reached."""

import json

import pytest

from cnnjax import cli, errors
from cnnjax.sweep import catalogue, experiment, plan, runner, store, words
from cnnjax.sweep.outcome import summarise


def finish(sweep, errors_of):
    """Writes what runs of a sweep would have left: arm → training error of each seed, and a curve down to it."""
    sweep.claim_folder()
    for arm in sweep.arms:
        for seed in arm.pending():
            error = errors_of[arm.name][seed]
            run = sweep.folder / arm.name / f"seed-{seed}"
            run.mkdir(parents=True)
            environment = {"packages": {"jax": "0.10.2", "flax": "0.12.8"}, "device": "cpu", "cores": 1}
            asked = {"config": {"seed": seed}, "hash": arm.digest(seed), "environment": environment}
            (run / "run.json").write_text(json.dumps(asked))
            curve = [{"step": 10 * at, "epoch": at / 2, "train/error": error + 0.1 * (3 - at)} for at in (1, 2, 3)]
            (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))
            status = {"state": "finished", "outcome": "completed", "step": 30, "steps": 30, "seconds": 1.0}
            summary = {"train/error": error, "test/error": error}
            (run / "status.json").write_text(json.dumps({**status, "error": None, "summary": summary}))


@pytest.fixture
def folder(tmp_path, write_experiment):
    path = write_experiment(tmp_path)
    sweep = plan.make(experiment.load(path), "digits", (), (), tmp_path / "runs")
    finish(sweep, {"thin": (0.5, 0.52), "wide": (0.2, 0.21)})
    return tmp_path


def test_what_was_run_is_judged_and_what_was_not_is_said(folder):
    judged, absent = catalogue.read(folder, folder / "runs")
    assert (judged.scale, absent.scale) == ("digits", "small")
    [(claim, measured, verdict)] = judged.rows()
    assert claim.metric == "train/error"
    assert measured.startswith("+30.50 [")
    assert measured.endswith("n = 2")
    assert verdict == "✓ reproduced"
    assert list(absent.rows()) == [(claim, "", "not run")]
    assert judged.conditions == "jax 0.10.2; flax 0.12.8; on cpu; cores a run: 1"


def test_the_page_has_every_claim_once(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert cli.main(["experiments", ".", "--markdown", "RESULTS.md"]) == 0
    printed = capsys.readouterr().out
    assert "tiny" in printed
    assert "1 not run" in printed
    text = (folder / "RESULTS.md").read_text()
    assert text.count("| Wide networks have a lower training error. |") == 1
    assert "✓ reproduced |" in text
    assert f"Not run: `cnnjax run {folder.name}/tiny.py --scale small`, 1 claims." in text
    assert str(folder.parent) not in text


def test_what_cannot_be_judged_says_why(folder):
    text = (folder / "tiny.py").read_text().replace('"train/error", {', f'"{METRIC}", {{')
    (folder / "tiny.py").write_text(text)
    [(_, measured, verdict)] = catalogue.read(folder, folder / "runs")[0].rows()
    assert verdict == "? inconclusive"
    assert "thin seed 0, 1 completed without a finite value" in measured


def test_a_folder_without_experiments(tmp_path):
    with pytest.raises(errors.UserError, match=r"no experiment's file"):
        catalogue.read(tmp_path, tmp_path)
    with pytest.raises(errors.UserError, match=r"no experiment's file"):
        catalogue.read(tmp_path / "none", tmp_path)


METRIC = "epochs to train/error 0.35"


def test_a_milestone_is_a_metric_and_a_level():
    assert experiment.milestone(METRIC) == ("train/error", 0.35)
    assert experiment.milestone("train/error") is None
    assert not words.is_fraction(METRIC)
    assert words.is_fraction("train/error")


def test_a_claim_about_how_soon_an_error_is_reached(folder):
    """The curves are 0.2, 0.1 and 0 above the final error after 0.5, 1 and 1.5 epochs."""
    text = (folder / "tiny.py").read_text().replace('"train/error", {', f'"{METRIC}", {{')
    (folder / "tiny.py").write_text(text)
    sweep = plan.make(experiment.load(folder / "tiny.py"), "digits", (), (), folder / "runs")
    [verdict] = summarise(sweep, store.load(sweep.folder)).verdicts
    assert verdict.verdict == "inconclusive"  # the thin one never gets there
    assert "without a finite value" in verdict.notes[0]
    text = text.replace("0.35", "0.63")
    (folder / "tiny.py").write_text(text)
    sweep = plan.make(experiment.load(folder / "tiny.py"), "digits", (), (), folder / "runs")
    [verdict] = summarise(sweep, store.load(sweep.folder)).verdicts
    assert verdict.values == (1.0 - 0.5, 1.0 - 0.5)


@pytest.mark.parametrize(
    ("thin", "rounds", "said"),
    [
        ((0.5, 0.51), [2, 4], "reproduced"),
        ((0.21, 0.19), [2, 4, 5], "inconclusive"),
        ((0.9, 0.1, 0.501, 0.5), [2, 4, 5], ""),
    ],
)
def test_seeds_are_added_until_the_claims_are_decided(
    thin, rounds, said, tmp_path, write_experiment, monkeypatch, capsys
):
    path, ran = write_experiment(tmp_path), []

    def run(sweep, workers, console):
        ran.append(len(sweep.seeds))
        finish(sweep, {"thin": [thin[each % len(thin)] for each in range(5)], "wide": [0.2] * 5})
        return []

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(path), "--until-decided", "5"]) == 0
    assert ran == rounds
    assert said in capsys.readouterr().out
    assert json.loads((tmp_path / "runs/tiny/digits/experiment.json").read_text())["looks"] == [2, 4, 5]
    assert cli.main(["report", str(path)]) == 0
    assert "--until-decided 5" in (tmp_path / "runs/tiny/digits/report.html").read_text()
