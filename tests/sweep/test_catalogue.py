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
            machine = {"machine": "Linux x86_64 Model 9", "device": "cpu", "cores": 1}
            environment = {"packages": {"jax": "0.10.2", "flax": "0.12.8"}, **machine}
            asked = {"config": {"seed": seed}, "hash": arm.digest(seed), "environment": environment}
            (run / "run.json").write_text(json.dumps(asked))
            curve = [{"step": 10 * at, "epoch": at / 2, "train/error": error + 0.1 * (3 - at)} for at in (1, 2, 3)]
            (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))
            timing = [{"step": 10 * at, "seconds": 20.0 * at + 100 * (seed == 0)} for at in (1, 2, 3)]
            (run / "timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in timing))
            status = {"state": "finished", "outcome": "completed", "step": 30, "steps": 30, "seconds": 1.0}
            status |= {"parameters": 1234, "macs": 56789}
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
    assert judged.conditions == (
        "jax 0.10.2; flax 0.12.8; seeds 0, 1; on cpu; machine: Linux x86_64 Model 9; cores a run: 1"
    )


def test_the_page_has_every_claim_once(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert cli.main(["experiments", ".", "--markdown", "RESULTS.md"]) == 0
    printed = capsys.readouterr().out
    assert "tiny" in printed
    assert "1 not run" in printed
    text = (folder / "RESULTS.md").read_text()
    assert text.count("| Wide networks have a lower training error. |") == 1
    assert "✓ reproduced |" in text
    assert "| arm | parameters | MACs | train error, % | test error, % |\n|---|---|---|---|---|\n" in text
    assert "| thin | 1,234 | 56,789 | 51.00 ± 1.41 | 51.00 ± 1.41 |\n" in text
    assert f"Not run: `cnnjax run {folder.name}/tiny.py --scale small`, 1 claims." in text
    assert str(folder.parent) not in text


def test_what_cannot_be_judged_says_why(folder):
    """A metric that no measure has given yet hides no other experiment."""
    text = (folder / "tiny.py").read_text().replace('"train/error", {', '"population/error", {')
    (folder / "tiny.py").write_text(text)
    [(_, measured, verdict)] = catalogue.read(folder, folder / "runs")[0].rows()
    assert verdict == "? inconclusive"
    assert "thin seed 0, 1 not measured; wide seed 0, 1 not measured: judged on 0 of 2 seeds" in measured


def test_notes_stand_beside_the_numbers(tmp_path, write_experiment):
    path = write_experiment(tmp_path)
    finish(
        plan.make(experiment.load(path), "digits", (), (), tmp_path / "runs"),
        {"thin": (0.5, 0.5), "wide": (0.25, 0.25)},
    )
    [(_, measured, _)] = catalogue.read(tmp_path, tmp_path / "runs")[0].rows()
    assert "n = 2; no spread between the seeds" in measured


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
    text = (folder / "tiny.py").read_text()
    assert '"thin": 1, "wide": -1' in text

    def judged(level, contrast):
        changed = text.replace('"train/error", {', f'"epochs to train/error {level}", {{')
        (folder / "tiny.py").write_text(changed.replace('"thin": 1, "wide": -1', contrast))
        sweep = plan.make(experiment.load(folder / "tiny.py"), "digits", (), (), folder / "runs")
        return summarise(sweep, store.load(sweep.folder)).verdicts[0]

    both = judged(0.63, '"thin": 1, "wide": -1')
    assert (both.values, both.notes[0][:9]) == ((1.0 - 0.5, 1.0 - 0.5), "no spread")
    # The thin one never gets there: it takes more than the 1.5 epochs that it has had.
    later = judged(0.35, '"thin": 1, "wide": -1')
    assert later.values == (1.5 - 1.0, 1.5 - 1.0)
    assert "thin seed 0, 1 never got there" in later.notes[0]
    assert "can only be reproduced" in later.notes[0]
    assert "can only be contradicted" in judged(0.35, '"thin": -1, "wide": 1').notes[0]
    neither = judged(0.1, '"thin": 1, "wide": -1')
    assert (neither.lost, "cannot be judged" in neither.notes[0]) == (True, True)


def test_how_soon_an_error_is_reached_stands_beside_the_arms(folder):
    """In epochs, and in seconds: the median, as the first seed of an arm compiles, for 100 s here."""
    text = (folder / "tiny.py").read_text()

    def cells(level, seeds):
        (folder / "tiny.py").write_text(text.replace('"train/error", {', f'"epochs to train/error {level}", {{'))
        sweep = plan.make(experiment.load(folder / "tiny.py"), "digits", seeds, (), folder / "runs")
        finish(sweep, {"thin": [0.5, 0.52, 0.5], "wide": [0.2, 0.21, 0.2]})
        arms = summarise(sweep, store.load(sweep.folder)).arms
        return [arm.figures[f"epochs to train/error {level} (time)"] for arm in arms]

    # Of training errors 0.7, 0.6 and 0.5 (0.72 ... of one seed), and 0.4 and less from the first evaluation on.
    assert cells(0.61, (0, 1, 2)) == ["1.17 ± 0.29 (1 min 00 s)", "0.50 ± 0.00 (20 s)"]
    assert cells(0.51, (0, 1, 2)) == ["2 of 3 get there", "0.50 ± 0.00 (20 s)"]


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


def test_a_run_that_goes_on_is_judged_at_the_looks_that_were_planned(tmp_path, write_experiment, monkeypatch, capsys):
    path = write_experiment(tmp_path)
    marker = tmp_path / "runs/tiny/digits/experiment.json"

    def run(sweep, workers, console):
        sweep.supersede()
        finish(sweep, {"thin": [0.9, 0.1, 0.501, 0.5, 0.3], "wide": [0.2] * 5})
        return []

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(path), "--seeds", "1,0", "--until-decided", "4"]) == 0
    page = (tmp_path / "runs/tiny/digits/report.html").read_text()
    assert cli.main(["run", str(path)]) == 0
    asked = json.loads(marker.read_text())
    assert (asked["looks"], asked["seeds"], asked["former"]) == ([2, 4], [1, 0, 2, 3], [])
    assert (tmp_path / "runs/tiny/digits/report.html").read_text() == page
    # Other seeds that are named are others; that there were looks before is said, also after runs of other settings.
    other = "--config.batch_size=16"
    for more in (["--seeds", "0-4"], [other], ["--seeds", "0-4"]):
        assert cli.main(["run", str(path), *more]) == 0
        said = "were judged before, at 2, 4 seeds" in (tmp_path / "runs/tiny/digits/report.html").read_text()
        assert said == (more != [other])
    capsys.readouterr()


def test_each_number_of_seeds_that_was_judged_is_remembered(tmp_path, write_experiment, monkeypatch, capsys):
    """Seeds that are added by hand until a verdict is there are looks too."""
    path = write_experiment(tmp_path)

    def run(sweep, workers, console):
        finish(sweep, {"thin": [0.9, 0.1, 0.501, 0.5, 0.3], "wide": [0.2] * 5})
        return []

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "runs/tiny/digits/report.html"
    for more, said in ((["--seeds", "0-1"], []), (["--seeds", "0-2"], ["2"]), (["--until-decided", "4"], ["2", "3"])):
        assert cli.main(["run", str(path), *more]) == 0
        text = page.read_text()
        assert [count for count in "2345" if f"were judged before, at {count} seeds" in text] == said
    # The same again is the same plan, also where an argument is said twice.
    twice = ["--config.batch_size=32", "--config.batch_size=32"]
    assert cli.main(["run", str(path), *twice[:1], "--until-decided", "4", "--runs", "other"]) == 0
    assert cli.main(["run", str(path), *twice, "--runs", "other"]) == 0
    marker = json.loads((tmp_path / "other/tiny/digits/experiment.json").read_text())
    assert (marker["looks"], marker["former"]) == ([2, 4], [])
    capsys.readouterr()


def test_runs_that_cannot_be_judged_hide_no_others(folder):
    (folder / "second.py").write_text((folder / "tiny.py").read_text())
    marker = folder / "runs/tiny/digits/experiment.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "looks": [3, 0]}))
    found = {(entry.experiment.name, entry.scale): entry for entry in catalogue.read(folder, folder / "runs")}
    assert len(found) == 4
    [(_, why, verdict)] = found["tiny", "digits"].rows()
    assert verdict == "cannot be judged"
    assert "numbers of seeds grow from look to look, and [3, 0] do not" in why
    assert "numbers of seeds grow" in catalogue.markdown([*found.values()])


def test_the_command_of_looks_names_the_seeds_to_begin_with(tmp_path, write_experiment):
    asked = experiment.load(write_experiment(tmp_path))
    for seeds, words_ in (((0, 1, 2, 3), ""), ((5, 7, 0, 1), "--seeds 5,7")):
        sweep = plan.make(asked, "digits", seeds, (), tmp_path / "runs", (2, 4))
        finish(sweep, {"thin": [0.5] * 8, "wide": [0.2] * 8})
        command = summarise(sweep, store.load(sweep.folder)).command
        assert "--until-decided 4" in command
        assert command.endswith(words_) if words_ else "--seeds" not in command


def test_no_more_seeds_for_what_they_cannot_decide(tmp_path, write_experiment, monkeypatch):
    path, ran = write_experiment(tmp_path), []

    def run(sweep, workers, console):
        ran.append(len(sweep.seeds))
        finish(sweep, {"thin": [0.5] * 9, "wide": [0.2] * 9})
        file = sweep.folder / "thin" / "seed-0" / "status.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "outcome": "diverged"}))
        return []

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(path), "--until-decided", "9"]) == 0
    assert ran == [2]
