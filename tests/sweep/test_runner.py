"""Running a sweep: what is run, what is left alone, and what a kill, a failure or a second sweep does."""

import functools
import io
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas
import pytest
from rich.console import Console

from cnnjax import errors, machine
from cnnjax.signals import EXIT_INTERRUPTED
from cnnjax.sweep import experiment, plan, progress, runner, store, workers
from cnnjax.sweep.plan import Sweep
from cnnjax.train.run import folder_lock


def load(path: pathlib.Path, *settings: str) -> Sweep:
    return plan.make(experiment.load(path), "", (), settings, path.parent / "runs")


def run(sweep: Sweep, count: int = 2) -> tuple[list[str], str]:
    """The failures, and what was shown."""
    output = io.StringIO()
    return runner.run(sweep, workers.local(count), Console(file=output, width=200)), output.getvalue()


def results(folder: pathlib.Path) -> tuple[pandas.DataFrame, dict[str, bytes]]:
    """The results table, without what wall-clock is in, and the bytes of all metrics."""
    table = store.load(folder)
    columns = ["arm", "seed", "state", "outcome", "step", *(name for name in table if "/" in name), "hash"]
    metrics = {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/seed-*/metrics.jsonl"))
    }
    return table[columns], metrics


def assert_same(one: pathlib.Path, other: pathlib.Path, seeds: tuple[int, ...]) -> None:
    """Both arms of one sweep, with some seeds, are those of the other one."""
    (table, metrics), (expected_table, expected) = results(one), results(other)
    assert len(table) == 2 * len(seeds)
    expected_table = expected_table[expected_table["seed"].isin(seeds)].reset_index(drop=True)
    pandas.testing.assert_frame_equal(table, expected_table, check_exact=True)
    assert metrics == {name: content for name, content in expected.items() if int(name.split("/")[1][5:]) in seeds}


def everything(folder: pathlib.Path) -> dict[pathlib.Path, tuple[int, bytes]]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


@pytest.fixture(scope="module")
def finished(write_experiment, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, str]:
    """A sweep that nothing happened to, and what it showed."""
    sweep = load(write_experiment(tmp_path_factory.mktemp("finished")))
    failures, output = run(sweep)
    assert failures == []
    return sweep, output


@pytest.fixture
def copy(finished, write_experiment, tmp_path: pathlib.Path) -> Callable[..., Sweep]:
    """The finished sweep once more, elsewhere, with an experiment that may be changed."""

    def copy(**changes: Any) -> Sweep:
        shutil.copytree(finished[0].folder, tmp_path / "runs" / "tiny" / "digits")
        return load(write_experiment(tmp_path, **changes))

    return copy


def test_every_arm_and_seed_is_run(finished) -> None:
    sweep, output = finished
    table = store.load(sweep.folder)
    assert list(zip(table["arm"], table["seed"], strict=True)) == [
        (arm, seed) for arm in ("thin", "wide") for seed in (0, 1)
    ]
    assert set(table["state"]) == {"finished"}
    assert set(table["outcome"]) == {"completed"}
    assert set(table["step"]) == {11}
    assert list(table["config.model.width"]) == [2, 2, 3, 3]
    assert list(table["config.seed"]) == [0, 1, 0, 1]
    assert list(table["macs"]) == [progress.size(arm)[1] for arm in sweep.arms for _ in arm.seeds]
    assert table["train/error"].between(0, 1).all()
    assert table["train/loss"].nunique() == 4
    assert "4 runs in 2 arms, 0 finished before" in output
    for arm in ("thin", "wide"):
        assert f"{arm} seed 1: completed after" in output


def test_workers_have_the_same_number_of_cores(finished) -> None:
    cores = store.load(finished[0].folder)["environment.cores"]
    assert set(cores) == {max(1, len(machine.cores()) // 2)}


def test_finished_sweep_is_left_alone(finished) -> None:
    sweep, _ = finished
    before = everything(sweep.folder)
    failures, output = run(sweep)
    assert failures == []
    assert "all 4 runs are finished: nothing to do" in output
    assert everything(sweep.folder) == before


def test_only_what_changed_is_run_again(copy) -> None:
    sweep = copy(arms={"wide": {"model.width": 4}}, seeds=(0,))
    before = everything(sweep.folder)
    old = store.load(sweep.folder).query("arm == 'wide'").set_index("seed")["hash"]
    failures, output = run(sweep)
    assert failures == []
    assert "settings changed: the old run is now" in output
    assert "2 runs in 2 arms, 1 finished before" in output
    table = store.load(sweep.folder)
    assert list(table.query("seed == 0")["config.model.width"]) == [2, 4]
    after = everything(sweep.folder)
    for path, content in before.items():
        if path.parts[0] == "wide" and path.parts[1].startswith("seed-"):
            assert after[pathlib.Path("superseded", old[int(path.parts[1][-1])], path)] == content
        elif path.name not in ("worker.log", "experiment.json"):  # which says what was asked
            assert after[path] == content


def test_another_experiments_folder(copy) -> None:
    sweep = copy()
    (sweep.folder / plan.MARKER).write_text('{"experiment": "other", "scale": "digits"}')
    before = everything(sweep.folder)
    with pytest.raises(errors.UserError, match=r"holds the runs of another experiment \(other · digits\)"):
        run(sweep)
    assert everything(sweep.folder) == before


def test_second_sweep_on_one_folder(finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "folder_lock", functools.partial(folder_lock, wait_s=0.1))
    sweep, _ = finished
    with folder_lock(sweep.folder, "in use"), pytest.raises(errors.UserError) as caught:
        run(sweep)
    assert str(caught.value) == f"another sweep is running in {sweep.folder}"


def test_arm_that_cannot_be_is_told_before_anything_is_made(write_experiment, tmp_path: pathlib.Path) -> None:
    sweep = load(write_experiment(tmp_path, arms={"huge": {"batch_size": 5000}}))
    with pytest.raises(errors.UserError, match="arm huge: batch size 5000 does not fit a set of 1437 examples"):
        run(sweep)
    assert not sweep.folder.exists()


def test_damaged_status_does_not_stop_the_others(copy) -> None:
    sweep = copy(seeds=(0,))
    status = sweep.folder / "thin" / "seed-0" / "status.json"
    status.write_text("{")
    failures, _ = run(sweep)
    (failure,) = failures
    assert failure.startswith("thin: exit status 2: ")
    assert "status.json is damaged" in failure
    assert status.read_text() == "{"


def test_failing_and_diverging_arms(copy, tmp_path: pathlib.Path, cnnjax) -> None:
    """The one is an error that the others survive; the other is a finding."""
    arms = {"failing": {"model.bn_group": 7}, "absurd": {"schedule.learning_rate": 1e30}}
    sweep = copy(arms=arms, seeds=(0,))
    done = cnnjax("run", sweep.experiment.path, "--workers", 1)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("cnnjax: failed: failing: exit status 2: BN groups of 7 do not divide a batch of 128 (see ")
    table = store.load(tmp_path / "runs" / "tiny").query("seed == 0").set_index("arm")
    assert table["state"].to_dict() == {
        "thin": "finished",
        "wide": "finished",
        "absurd": "finished",
        "failing": "failed",
    }
    assert table["error"]["failing"] == "exit status 2: BN groups of 7 do not divide a batch of 128"
    assert table["outcome"]["absurd"] == "diverged"
    assert table["outcome"]["thin"] == table["outcome"]["wide"] == "completed"
    assert (tmp_path / "runs" / "tiny" / "digits" / "report.html").is_file()


@pytest.fixture
def start(write_experiment, tmp_path: pathlib.Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``cnnjax run`` on the experiment of `finished` with some of its seeds, in an empty folder."""
    started: list[subprocess.Popen[str]] = []

    def start(*seeds: int) -> subprocess.Popen[str]:
        path = write_experiment(tmp_path, seeds=seeds)
        command = [sys.executable, "-m", "cnnjax", "run", str(path), "--workers", "2"]
        started.append(
            subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def wait(condition: Callable[[], object]) -> None:
    """Waits for what must come; how long it takes decides nothing."""
    for _ in range(60000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it never came")


def children(process: subprocess.Popen[str]) -> list[int]:
    return [int(pid) for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def states(folder: pathlib.Path) -> list[str]:
    try:
        return list(store.load(folder)["state"])
    except errors.UserError:
        return []


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads processes from /proc")


@needs_proc
def test_told_to_stop_it_saves_and_goes_on(start, finished, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "runs" / "tiny" / "digits"
    process = start(0)
    wait(lambda: states(folder).count("running") == 2 or process.poll() is not None)
    process.terminate()
    output = process.communicate()[0]
    assert process.returncode == EXIT_INTERRUPTED, output
    assert "stopped; the same command goes on from here" in output
    table = store.load(folder)
    assert "interrupted" in set(table["state"])
    assert set(table["state"]) <= {"interrupted", "finished"}
    assert not any(folder.glob("*/seed-*/checkpoints/*tmp*"))

    assert run(load(tmp_path / "tiny.py"))[0] == []
    assert_same(folder, finished[0].folder, (0,))


@pytest.mark.slow
@needs_proc
def test_killed_workers_end_and_it_goes_on(start, finished, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "runs" / "tiny" / "digits"
    process = start(0)
    wait(lambda: states(folder).count("running") == 2 or process.poll() is not None)
    pids = children(process)
    assert len(pids) == 2
    process.kill()
    process.wait()
    wait(lambda: not any(map(alive, pids)))
    assert run(load(tmp_path / "tiny.py"))[0] == []
    assert_same(folder, finished[0].folder, (0,))


@needs_proc
@pytest.mark.slow
def test_killed_three_times(start, finished, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "runs" / "tiny" / "digits"
    moments = (
        lambda: any(folder.glob("*/seed-0/checkpoints")),
        lambda: any(folder.glob("*/seed-0/metrics.jsonl")),
        lambda: states(folder).count("finished") >= 1,
    )
    for moment in moments:
        process = start(0, 1)
        wait(lambda moment=moment, process=process: moment() or process.poll() is not None)
        pids = children(process) if process.poll() is None else []
        process.kill()
        assert process.wait() == -signal.SIGKILL
        wait(lambda pids=pids: not any(map(alive, pids)))
    process = start(0, 1)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "bit-exact" not in "".join(log.read_text() for log in folder.glob("*/worker.log"))
    assert_same(folder, finished[0].folder, (0, 1))


def test_an_arm_waits_for_the_one_that_it_begins_with(write_experiment, tmp_path: pathlib.Path) -> None:
    """Although it is the longest, and a worker is free; and each seed begins with the run of the same seed."""
    still = {"schedule.learning_rate": 0.0, "init.freeze_bn": "always", "duration": "2 epochs"}
    later = {"model.width": 3, "init.weights": "arm:wide", **still}
    sweep = load(write_experiment(tmp_path, arms={"later": later}))
    failures, _ = run(sweep, 3)
    assert failures == []
    table = store.load(sweep.folder).set_index(["arm", "seed"])
    for seed in (0, 1):
        assert table.loc["later", seed]["train/loss"] == table.loc["wide", seed]["train/loss"]
    assert table.loc["later", 0]["train/loss"] != table.loc["later", 1]["train/loss"]


def test_an_arm_whose_source_has_failed_says_so(write_experiment, tmp_path: pathlib.Path) -> None:
    arms = {"wide": {"model.width": 3, "optimizer.decay_multipliers": (("nothing", 1.0),)}}
    later = {"model.width": 3, "init.weights": "arm:wide"}
    sweep = load(write_experiment(tmp_path, arms={**arms, "later": later}))
    failures, _ = run(sweep)
    assert [failure.partition(":")[0] for failure in failures] == ["wide", "later"]
    assert "no" in failures[1]
    assert set(store.load(sweep.folder).query("state == 'finished'")["arm"]) == {"thin"}
