"""How far a sweep is, from what its runs have written."""

import io
import pathlib
from typing import Any

import pytest
from rich.console import Console

from cnnjax import config as configs
from cnnjax import errors, files
from cnnjax.sweep import experiment, plan, progress
from cnnjax.sweep.plan import Sweep


@pytest.fixture
def sweep(write_experiment, tmp_path: pathlib.Path) -> Sweep:
    return plan.make(experiment.load(write_experiment(tmp_path)), "", (), (), tmp_path / "runs")


def write(sweep: Sweep, arm: int, seed: int, **status: Any) -> None:
    sweep.arms[arm].run(seed)[0].set_status(**status)


def finish(sweep: Sweep, arm: int, seed: int, seconds: float, **more: Any) -> None:
    summary = {"train/error": 0.25, "test/error": 0.5, "test/loss": 1.0}
    folder, config = sweep.arms[arm].run(seed)
    files.write_json(folder.path / "run.json", {"config": {}, "hash": configs.digest(config)})
    status = {"state": "finished", "outcome": "completed", "step": 11, "steps": 11, "seconds": seconds}
    write(sweep, arm, seed, **{**status, "summary": summary, "row": summary, **more})


def shown(sweep: Sweep) -> str:
    output = io.StringIO()
    Console(file=output, width=160).print(progress.table(sweep))
    return output.getvalue()


def row(sweep: Sweep, arm: str) -> list[str]:
    (line,) = [line for line in shown(sweep).splitlines() if f" {arm} " in line]
    return [cell.strip() for cell in line.strip("│┃ ").split("│")]


def test_parameters_and_products(sweep: Sweep) -> None:
    """Eight layers of width w: stem of 9w, as digits are grey, blocks of two convolutions each, BN, 10 classes."""

    def count(w: int) -> int:
        convolutions = 9 * w + 18 * w**2 + 9 * (2 + 4) * w**2 + 9 * (8 + 16) * w**2
        return convolutions + 2 * (3 * w + 4 * w + 8 * w) + 10 * 4 * w + 10

    def products(w: int) -> int:
        return 64 * (9 * w + 18 * w**2) + 16 * 9 * (2 + 4) * w**2 + 4 * 9 * (8 + 16) * w**2 + 4 * w * 10

    assert [progress.size(arm) for arm in sweep.arms] == [(count(w), products(w)) for w in (2, 3)]


def test_work_grows_with_width_and_steps(sweep: Sweep, write_experiment, tmp_path: pathlib.Path) -> None:
    thin, wide = map(progress.work, sweep.arms)
    assert 1.5 * thin < wide < 2.25 * thin
    longer = plan.make(
        experiment.load(write_experiment(tmp_path)), "", (), ("--config.duration=3 epochs",), tmp_path / "runs"
    )
    assert progress.work(longer.arms[0]) == 3 * thin


def test_work_of_an_arm_that_cannot_be(write_experiment, tmp_path: pathlib.Path) -> None:
    made = experiment.load(write_experiment(tmp_path, arms={"odd": {"model.depth": 9}}))
    sweep = plan.make(made, "", (), (), tmp_path / "runs")
    with pytest.raises(errors.UserError, match=r"^arm odd: "):
        progress.work(sweep.arms[-1])


def test_estimate_before_and_after_a_measurement(sweep: Sweep) -> None:
    seconds, basis = progress.seconds(sweep)
    assert seconds["thin"] == progress.work(sweep.arms[0]) / progress.ASSUMED_FLOPS
    assert "assumed" in basis
    finish(sweep, 0, 0, 10.0)
    finish(sweep, 0, 1, 30.0)
    finish(sweep, 1, 0, 1.0, outcome="diverged")
    seconds, basis = progress.seconds(sweep)
    assert seconds["thin"] == pytest.approx(20.0)
    assert seconds["wide"] == pytest.approx(20.0 * progress.work(sweep.arms[1]) / progress.work(sweep.arms[0]))
    assert "from the finished runs here" in basis


def test_table_before_anything_runs(sweep: Sweep) -> None:
    assert row(sweep, "thin") == ["thin", "0/2", "", "", "", "", "", "waiting"]
    assert "tiny · digits" in shown(sweep)


def test_table(sweep: Sweep) -> None:
    finish(sweep, 0, 0, 10.0)
    now = {"train/error": 0.125}
    write(sweep, 0, 1, state="running", step=1, steps=11, seconds=2.0, examples_per_second=640.4, row=now)
    write(sweep, 1, 0, state="failed", error="x")
    # 12 steps in 12 s; 10 of 22 are left.
    assert row(sweep, "thin") == ["thin", "1/2", "1/11", "12.50 %", "", "640", "10 s", "running"]
    assert row(sweep, "wide") == ["wide", "0/2", "", "", "", "", "", "failed"]
    finish(sweep, 0, 1, 12.0, outcome="diverged", summary={}, row={})
    assert row(sweep, "thin") == ["thin", "2/2", "11/11", "", "", "", "0 s", "diverged"]


def test_line(sweep: Sweep) -> None:
    finish(sweep, 0, 0, 10.0)
    write(sweep, 0, 1, state="running", step=5, steps=11)
    assert progress.line(sweep).split("  ")[1:] == ["thin 1/2 +45%", "wide 0/2"]


def test_finished_runs(sweep: Sweep) -> None:
    finish(sweep, 0, 1, 75.0)
    finish(sweep, 1, 0, 3700.0, outcome="diverged", summary={})
    write(sweep, 1, 1, state="running")
    assert progress.finished(sweep) == {
        ("thin", 1): "thin seed 1: completed after 1 min 15 s, train/error 25.00 %, test/error 50.00 %",
        ("wide", 0): "wide seed 0: diverged after 1 h 01 min",
    }


DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"state": "finished"}',
    b'{"state": "finished", "outcome": "completed", "step": 1, "seconds": 1, "summary": {"test/error": "low"}}',
    b'{"state": "running", "step": "ten"}',
]


@pytest.mark.parametrize("content", DAMAGED)
def test_status_that_cannot_be_read_is_not_finished_and_named(content: bytes, sweep: Sweep) -> None:
    finish(sweep, 0, 0, 10.0)
    (sweep.arms[0].folder / "seed-0" / "status.json").write_bytes(content)
    assert progress.finished(sweep) == {}
    assert "thin 0/2" in progress.line(sweep)
    assert "assumed" in progress.seconds(sweep)[1]
    assert row(sweep, "thin")[1::6] == ["0/2", "unreadable"]
    assert "thin seed 0: status.json is damaged" in shown(sweep)


def test_notes(sweep: Sweep) -> None:
    for seed in range(2):
        finish(sweep, 0, seed, 10.0, notes=[f"a b/thin/seed-{seed}: resumed, not bit-exact [1]"])
    assert "thin seed 0, 1: resumed, not bit-exact [1]" in shown(sweep)
    assert progress.finished(sweep)["thin", 1].endswith("\n  note: resumed, not bit-exact [1]")


def test_estimate_after_runs_with_other_settings(sweep: Sweep, write_experiment, tmp_path: pathlib.Path) -> None:
    finish(sweep, 0, 0, 10.0)
    made = experiment.load(write_experiment(tmp_path, arms={"thin": {"model.width": 4}}))
    assert "assumed" in progress.seconds(plan.make(made, "", (), (), tmp_path / "runs"))[1]


@pytest.mark.parametrize(
    ("rate", "words"),
    [(3e13, "30 TFLOP/s"), (3e9, "3 GFLOP/s"), (3.14e6, "3.14 MFLOP/s"), (3e3, "3 kFLOP/s"), (3, "3 F")],
)
def test_unit_of_the_rate(rate: float, words: str, sweep: Sweep) -> None:
    finish(sweep, 0, 0, progress.work(sweep.arms[0]) / rate)
    assert progress.seconds(sweep)[1].startswith(words)


def test_outputs_are_the_classes_of_the_set(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    (parameters, macs), work = progress.size(sweep.arms[0]), progress.work(sweep.arms[0])
    found = progress._set(sweep.arms[0])
    monkeypatch.setattr(progress, "_set", lambda arm: (*found[:2], 100))
    channels = 4 * 2  # width 2, two doublings
    assert progress.size(sweep.arms[0]) == (parameters + 90 * (channels + 1), macs + 90 * channels)
    steps, batch = 11, sweep.arms[0].config.batch_size
    assert progress.work(sweep.arms[0]) - work == 6 * 90 * channels * steps * batch
