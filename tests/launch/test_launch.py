"""What launchers say of what they are given, and the files for clusters that cannot be started here."""

import argparse
import os
import pathlib
import pickle
import shlex
import subprocess
import sys
import types

import pytest
import yaml

from cnnjax import cli, errors, machine
from cnnjax.signals import EXIT_INTERRUPTED
from cnnjax.sweep import pool
from cnnjax.sweep.work import Work
from cnnjax.train import hosts
from launch import command, ray, slurm

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"
SCRIPTS = [LAUNCH / "tpu.sh", pathlib.Path(__file__).with_name("start_slurm.sh")]


@pytest.mark.parametrize(("launcher", "package"), [(ray, "ray"), (slurm, "submitit")])
def test_not_installed(launcher, package: str, launch, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None if name == package else object())
    assert launcher.main([str(launch.path)]) == 2
    extra = "ray" if package == "ray" else "slurm"
    assert capsys.readouterr().err == (
        f"cnnjax: error: {package} is not installed; pip install 'cnnjax[{extra}]' brings it\n"
    )
    assert not launch.sweep.folder.exists()


def test_no_slurm_here(launch, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("PATH", "")
    assert slurm.main([str(launch.path)]) == 2
    assert "SLURM is not installed here: there is no sbatch; its login nodes have it" in capsys.readouterr().err


@pytest.mark.parametrize("launcher", [ray, slurm])
def test_options_are_those_of_run(launcher, launch, monkeypatch, capsys) -> None:
    """And nothing is started for a look at the arms."""
    monkeypatch.setattr(launcher, "_pool", lambda options: None)
    words = [str(launch.path), "--seeds", "0-4", "--scale", "small", "--dry-run", "--config.duration=3 epochs"]
    assert launcher.main(words) == 0
    assert "small" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        launcher.main([str(launch.path), "--sedes", "1"])
    assert f"`python -m {launcher.__name__} --help` lists what there is" in capsys.readouterr().err


def test_what_slurm_is_asked_for(tmp_path: pathlib.Path) -> None:
    """A scale's lines go before the default ones, and those that were typed before both."""
    assert slurm.resources(slurm.RESOURCES, "digits", {}) == {"cpus-per-task": 1, "time": "4:00:00"}
    found = slurm.resources(slurm.RESOURCES, "cifar10", {"time": "1:00:00", "partition": "gpu"})
    assert found == {"cpus-per-task": 4, "gres": "gpu:1", "time": "1:00:00", "partition": "gpu"}
    file = tmp_path / "mine.toml"
    for text, problem in (
        ("time = 1", "time stands in no table"),
        ("[default", "mine.toml: "),
        ("[default]\ncpus-per-task = 0", "cpus-per-task is a number from 1 on, not 0"),
    ):
        file.write_text(text)
        with pytest.raises(errors.UserError, match=problem):
            slurm.resources(file, "digits", {})
    with pytest.raises(argparse.ArgumentTypeError, match="is written partition=gpu, not 'partition'"):
        slurm._line("partition")


def test_a_machine_that_does_not_see_the_launchers_files(tmp_path: pathlib.Path) -> None:
    work = Work(["models"], tmp_path / "worker.log", tmp_path / "runs" / "experiment.json", 1)
    with pytest.raises(errors.UserError, match=r"experiment.json: launchers want a shared file system"):
        work()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not pin processes")
def test_processes_claim_cores_that_are_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(machine, "cores", lambda: [3, 5, 7])
    monkeypatch.setattr(machine.tempfile, "gettempdir", lambda: str(tmp_path))
    with machine.claimed(3) as all_of_them, machine.claimed(2) as first:
        assert (all_of_them, first) == ([], [3, 5])
        taken = f"from cnnjax import machine; machine.cores = lambda: [3, 5, 7]; machine.tempfile.tempdir = {str(tmp_path)!r}\n"
        for count, expected in ((1, [7]), (2, [3, 5])):  # where too few are left, they are shared
            code = f"{taken}with machine.claimed({count}) as mine: print(mine)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            assert done.stdout == f"{expected}\n"
    with machine.claimed(1) as mine:
        assert mine == [3]


def test_the_manifest_of_kubernetes() -> None:
    """Its pods are recognised as processes of one training, and their command line is one of ours."""
    service, job = yaml.safe_load_all((LAUNCH / "kubernetes.yaml").read_text())
    spec = job["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    options, unknown = cli._parser().parse_known_args(container["args"])
    assert [each for each in unknown if not each.startswith("--config.")] == []
    place = hosts.recognise(options.coordinator, options.processes, options.process, {"JOB_COMPLETION_INDEX": "3"})
    assert place == ("Kubernetes", "", "train-0.train:8476", 4, 3)
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == options.processes
    host, _, port = options.coordinator.partition(":")
    assert host == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["ports"] == [{"port": int(port)}]
    shared = container["volumeMounts"][0]["mountPath"]
    assert str(options.run_folder).startswith(f"{shared}/")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_bash(script: pathlib.Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)


GCLOUD = """#!/usr/bin/env bash
printf '%s\\037' "$@" >> {log}; printf '\\036' >> {log}
case "$*" in
  *describe*) cat {folder}/state ;;
  *"cat cnnjax/status "*) sed -n 1p {folder}/answers; sed -i 1d {folder}/answers ;;
  *create*) echo READY > {folder}/state ;;
esac
"""


@pytest.fixture
def tpu(tmp_path: pathlib.Path):
    """Runs ``tpu.sh`` with a ``gcloud`` that only writes down what it is told: the exit status, and the lines."""

    def run(*words: str, state: str = "READY", answers: tuple[str, ...] = ("0",)) -> tuple[int, list[str]]:
        log = tmp_path / "log"
        (tmp_path / "gcloud").write_text(GCLOUD.format(log=log, folder=tmp_path))
        (tmp_path / "gcloud").chmod(0o755)
        (tmp_path / "state").write_text(f"{state}\n")
        (tmp_path / "answers").write_text("".join(f"{each}\n" for each in answers))
        variables = {"TPU": "pod", "ZONE": "here", "TYPE": "v5litepod-16", "SHARED": "nfs:/x", "PAUSE": "0"}
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(
            [LAUNCH / "tpu.sh", *words],
            env={**os.environ, **variables, "PATH": path},
            cwd=LAUNCH.parent,
            capture_output=True,
            text=True,
        )
        return done.returncode, _calls(log.read_text()) if log.exists() else []

    return run


def _calls(log: str) -> list[list[str]]:
    return [call.split("\37")[:-1] for call in log.split("\36")[:-1]]


def verbs(calls: list[list[str]]) -> list[str]:
    """Of ``gcloud compute tpus tpu-vm VERB``."""
    assert all(each[:3] == ["compute", "tpus", "tpu-vm"] for each in calls)
    return [each[3] for each in calls]


def test_a_slice_of_tpus_trains_until_it_is_done(tpu) -> None:
    status, calls = tpu("train", "configs/resnet_imagenet.py", "--run", "/shared/a b", answers=("75", "2"))
    assert status == 2
    starts = [each[-1] for each in calls if ".venv/bin/cnnjax train" in each[-1]]
    assert len(starts) == 2
    line = starts[0].partition(".venv/bin/cnnjax ")[2].partition("&")[0]
    options = cli._parser().parse_args(shlex.split(line))
    assert str(options.run_folder) == "/shared/a b"
    assert all("--worker=all" in each for each in calls if ".venv/bin/cnnjax train" in each[-1])


def test_a_slice_of_tpus_that_was_taken_away_is_made_anew(tpu) -> None:
    status, calls = tpu("train", "configs/resnet_imagenet.py", state="PREEMPTED", answers=("", "0"))
    assert status == 0
    made = [each for each in verbs(calls) if each in ("delete", "create", "scp")]
    assert made == ["delete", "create", "scp"]


def test_a_slice_of_tpus_that_was_told_to_stop_stays_so(tpu) -> None:
    status, calls = tpu("train", "configs/resnet_imagenet.py", answers=("75 stopped",))
    assert status == 75
    assert sum(".venv/bin/cnnjax train" in each[-1] for each in calls) == 1


def test_what_a_slice_of_tpus_can_do(tpu) -> None:
    status, calls = tpu("trian")
    assert status == 2
    assert calls == []


class Queue(slurm.Queue):
    """One that is looked at when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.now = "PENDING"

    def state(self, job: str) -> str:
        return self.now

    def look(self, state: str) -> None:
        self.now = state
        self.looks += 1


@pytest.fixture
def job(launch, tmp_path: pathlib.Path) -> tuple[slurm.Worker, Queue, pathlib.Path]:
    """A job of the first arm, the queue, and the file of its result."""
    arm, queue, result = launch.sweep.arms[0], Queue(), tmp_path / "result.pkl"
    submitted = types.SimpleNamespace(job_id="7_0", paths=types.SimpleNamespace(result_pickle=result))
    return slurm.Worker(arm, (0,), submitted, queue), queue, result


@pytest.mark.parametrize(
    ("state", "lost"),
    [("NODE_FAIL", True), ("FAILED", True), (slurm._GONE, True), ("CANCELLED", False), ("OUT_OF_MEMORY", False)],
)
def test_a_job_that_left_no_result(state: str, lost: bool, job) -> None:
    worker, queue, _ = job
    queue.now = state
    assert worker.end() is None  # nobody has looked since it was submitted
    for active in ("PENDING", "RUNNING", state, "PENDING", "RUNNING", state):  # put back into the queue
        queue.look(active)
        assert worker.end() is None
    queue.look(state)
    assert worker.end() == pool.End(f"SLURM says of its job 7_0: {state}", lost)


@pytest.mark.parametrize(
    ("result", "end"),
    [
        (("success", 0), pool.End()),
        (("success", -9), pool.End("killed by signal 9", lost=True)),
        (
            ("error", "Traceback\n  x\ncnnjax.errors.UserError: node7 does not see it\n"),
            pool.End("node7 does not see it"),
        ),
    ],
)
def test_a_job_that_left_a_result(result: tuple[str, object], end: pool.End, job) -> None:
    worker, _, file = job
    file.write_bytes(pickle.dumps(result))
    assert worker.end() == end


def test_a_job_that_saved_and_ended_by_itself_was_told_to_by_slurm_or_by_someone(job) -> None:
    worker, queue, file = job
    file.write_bytes(pickle.dumps(("success", EXIT_INTERRUPTED)))
    for state in ("COMPLETING", "CANCELLED"):
        queue.look(state)
        assert worker.end() is None
    queue.look("CANCELLED")
    assert worker.end() == pool.End("SLURM says of its job 7_0: CANCELLED")
