"""Several processes, connected over loopback, train what one does; what happens to one of them is answered by all."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from jax._src.clusters.cluster import ClusterEnv

from cnnjax import errors
from cnnjax.train import hosts
from cnnjax.train.hosts import Place
from cnnjax.train.run import RunFolder

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
SMALL = {
    "model.widths": (16,),
    "model.batch_norm": True,
    "duration": "12 steps",
    "batch_size": 64,
    "evaluation.every": "6 steps",
    "evaluation.log": "6 steps",
    "execution.steps_per_dispatch": 2,
    "execution.checkpoint.every": "4 steps",
    "execution.checkpoint.keep": 9,
}
PRELUDE = """
import os, signal, sys
from cnnjax import cli
from cnnjax.train import checkpoint, hosts, program

def at_step(step, number):
    real = program.Program.run
    def run(self, state, sums, done, *rest):
        if done == step: os.kill(os.getpid(), number)
        return real(self, state, sums, done, *rest)
    program.Program.run = run

"""
RUN = "\nsys.exit(cli.main(sys.argv[1:]))\n"

Start = Callable[..., list[subprocess.Popen[str]]]


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Start:
    """Starts ``cnnjax train``: ``start(processes, devices_of_each, folder, {process: lines of Python}, **settings)``."""

    def run(
        count: int,
        devices: int,
        folder: RunFolder,
        doctored: Mapping[int, str] | None = None,
        recipe: str = "mlp_digits.py",
        own: Mapping[int, list[str]] | None = None,
        **settings: Any,
    ) -> list[subprocess.Popen[str]]:
        flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
        changed = {
            **(SMALL if recipe == "mlp_digits.py" else {}),
            **{k.replace("__", "."): v for k, v in settings.items()},
        }
        command = ["train", str(CONFIGS / recipe), "--run", str(folder.path)]
        command += [f"--config.{key}={value}" for key, value in changed.items()]
        if count > 1:
            command += ["--coordinator", f"127.0.0.1:{_port()}", "--processes", str(count)]
        started = []
        for number in range(count):
            script = PRELUDE + (doctored or {}).get(number, "") + RUN
            which = ["--process", str(number)] if count > 1 else []
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", script, *command, *which, *(own or {}).get(number, [])],
                    env={**os.environ, "XLA_FLAGS": flags},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        request.addfinalizer(lambda: [process.kill() for process in started])
        return started

    return run


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Status, output and errors of each."""
    found = [process.communicate(timeout=600) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, found, strict=True)]


def close(one: RunFolder, other: RunFolder) -> None:
    """Their metrics are the same, up to the order of sums."""
    assert [row["step"] for row in one.metrics()] == [row["step"] for row in other.metrics()]
    for row, expected in zip(one.metrics(), other.metrics(), strict=True):
        assert row.keys() == expected.keys()
        for name in ("batch/loss", "train/loss", "test/loss"):
            np.testing.assert_allclose(row[name], expected[name], rtol=1e-4)
        assert row["train/error"] == pytest.approx(expected["train/error"], abs=0.01)


def test_two_processes_train_what_one_does(start: Start, tmp_path: pathlib.Path) -> None:
    one, two = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two")
    ((status, _, problems),) = ended(start(1, 2, one))
    assert (status, problems) == (0, "")
    first, second = ended(start(2, 1, two))
    assert (first[0], first[2], second[0], second[2]) == (0, "", 0, "")
    assert first[1].startswith("process 0 of 2 (given): 1 of 2 devices\n")
    assert "completed at step 12" in first[1]
    assert second[1] == "process 1 of 2 (given): 1 of 2 devices\n"
    close(two, one)
    assert [row["step"] for row in two.metrics()] == [6, 12]
    assert [path.name for path in sorted(two.checkpoints.iterdir())] == sorted(
        [f"{step}{kind}" for step in (4, 8, 12) for kind in ("", ".json")]
    )
    environment = json.loads((two.path / "run.json").read_text())["environment"]
    assert (environment["device_count"], environment["processes"]) == (2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("mapping", ["jit", "pmap"])
def test_eight_devices_of_any_number_of_processes(mapping: str, start: Start, tmp_path: pathlib.Path) -> None:
    """Four of them read streams, each its own part of a batch."""
    folders = {count: RunFolder(tmp_path / str(count)) for count in (1, 2, 4)}
    for count, folder in folders.items():
        done = ended(start(count, 8 // count, folder, execution__parallel=mapping, execution__stream=count == 4))
        assert [(status, problems) for status, _, problems in done] == [(0, "")] * count
    close(folders[2], folders[1])
    close(folders[4], folders[1])


@pytest.mark.slow
def test_convolutions_and_groups_of_several_processes(start: Start, tmp_path: pathlib.Path) -> None:
    """Groups of batch normalisation that lie within a device, and those that two processes share."""
    small = {
        "model__depth": 8,
        "model__width": 2,
        "duration": "4 steps",
        "evaluation__every": "2 steps",
        "batch_size": 32,
    }
    for group in (8, 32):
        folders = [RunFolder(tmp_path / f"{count}-{group}") for count in (1, 2)]
        for count, folder in enumerate(folders, start=1):
            more = {**small, "model__bn_group": group, "execution__steps_per_dispatch": 2}
            done = ended(start(count, 4 // count, folder, recipe="resnet_cifar_digits.py", **more))
            assert [(status, problems) for status, _, problems in done] == [(0, "")] * count
        close(*folders)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (["--config.model.widths=(8,)"], "config.model.widths is [8] there, and [16] at process 0"),
        pytest.param(
            ["--config.dataset.wrong_labels=0.1"],
            "config.dataset.wrong_labels is 0.1 there, and 0.0 at process 0",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_processes_that_would_train_something_else(own, words, start: Start, tmp_path: pathlib.Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for status, _, problems in ended(start(2, 1, folder, own={1: own})):
        assert (status, problems) == (2, f"cnnjax: error: process 1 does not train what process 0 does: {words}\n")
    assert not (folder.path / "run.json").exists()


@pytest.mark.slow
def test_data_that_differ(start: Start, tmp_path: pathlib.Path) -> None:
    lines = """
import dataclasses
from cnnjax import data
real = data.load
data.load = lambda *words: dataclasses.replace(real(*words), fingerprint="another")
"""
    for status, _, problems in ended(start(2, 1, RunFolder(tmp_path / "run"), {1: lines})):
        assert status == 2
        assert "process 1 does not train what process 0 does: the fingerprint of the test set is" in problems


@pytest.mark.slow
def test_other_parameters_to_begin_with(start: Start, tmp_path: pathlib.Path) -> None:
    lines = """
real = program.Program._init
program.Program._init = lambda self, seed: real(self, seed + 1)
"""
    for status, _, problems in ended(start(2, 1, RunFolder(tmp_path / "run"), {1: lines})):
        assert status == 2
        assert "process 1 does not train what process 0 does: the state before the first step is" in problems


@pytest.mark.slow
def test_what_one_process_alone_cannot_do(start: Start, tmp_path: pathlib.Path) -> None:
    """A batch that the devices do not divide is everyone's error; data that one host has not is that one's."""
    (status, _, problems), other = ended(start(2, 1, RunFolder(tmp_path / "run"), batch_size=63))
    assert (status, problems) == (2, "cnnjax: error: 2 devices of 2 processes do not divide batch_size = 63\n")
    assert other[::2] == (status, problems)
    lines = """
from cnnjax import data, errors
def load(*_): raise errors.UserError("digits are not here")
data.load = load
"""
    for status, _, problems in ended(start(2, 1, RunFolder(tmp_path / "run"), {1: lines})):
        assert (status, problems) == (2, "cnnjax: error: process 1: digits are not here\n")


@pytest.mark.slow
def test_a_folder_that_is_in_use(start: Start, tmp_path: pathlib.Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        for status, _, problems in ended(start(2, 1, folder)):
            assert (status, problems) == (2, f"cnnjax: error: {folder.path} is in use by another process\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_told_to_stop_one_process_all_save_at_the_same_step(number: int, start: Start, tmp_path: pathlib.Path) -> None:
    undisturbed, folder = RunFolder(tmp_path / "undisturbed"), RunFolder(tmp_path / "run")
    ended(start(2, 1, undisturbed))
    stopped = ended(start(2, 1, folder, {number: "at_step(4, signal.SIGTERM)"}))
    assert [(status, problems) for status, _, problems in stopped] == [(75, "")] * 2
    assert f"{folder.path}: stopped and saved at step 6 of 12" in stopped[0][1]
    assert folder.status()["state"] == "interrupted"
    assert (folder.checkpoints / "6.json").exists()
    again = ended(start(2, 1, folder))
    assert [(status, problems) for status, _, problems in again] == [(0, "")] * 2
    assert "bit-exact" not in again[0][1]
    assert (folder.path / "metrics.jsonl").read_bytes() == (undisturbed.path / "metrics.jsonl").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_killed_one_process_the_other_ends_and_both_go_on(number: int, start: Start, tmp_path: pathlib.Path) -> None:
    undisturbed, folder = RunFolder(tmp_path / "undisturbed"), RunFolder(tmp_path / "run")
    ended(start(2, 1, undisturbed))
    processes = start(2, 1, folder, {number: "at_step(10, signal.SIGKILL)"})
    processes[number].wait(timeout=600)
    began = time.monotonic()
    done = ended(processes)
    assert time.monotonic() - began < hosts.HEARTBEAT_S
    assert done[number][0] == -signal.SIGKILL
    status, _, problems = done[1 - number]
    assert (status, problems.count("\n")) == (75, 1)
    assert problems.startswith(f"cnnjax: error: process {1 - number} of 2: another process was lost (")
    assert problems.endswith("start all of them again, and they go on from the last checkpoint\n")
    assert (folder.checkpoints / "4.json").exists()
    again = ended(start(2, 1, folder))
    assert [(status, problems) for status, _, problems in again] == [(0, "")] * 2
    assert (folder.path / "metrics.jsonl").read_bytes() == (undisturbed.path / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_a_process_that_hangs_is_lost(start: Start, tmp_path: pathlib.Path) -> None:
    """Its connections stay open: only its heartbeat is missing."""
    short = "hosts.HEARTBEAT_S = 10\n"
    first, second = start(2, 1, RunFolder(tmp_path / "run"), {0: short, 1: short + "at_step(6, signal.SIGSTOP)"})
    ((status, _, problems),) = ended([first])
    second.kill()
    assert (status, ended([second])[0][0]) == (75, -signal.SIGKILL)
    assert problems.startswith("cnnjax: error: process 0 of 2: another process was lost")
    assert problems.count("\n") == 1


@pytest.mark.slow
def test_resnet_of_two_processes_killed_and_started_again(start: Start, tmp_path: pathlib.Path) -> None:
    small = {
        "model__depth": 20,
        "duration": "6 steps",
        "evaluation__every": "6 steps",
        "execution__steps_per_dispatch": 2,
        "execution__checkpoint__every": "2 steps",
    }
    undisturbed, folder = RunFolder(tmp_path / "undisturbed"), RunFolder(tmp_path / "run")
    ended(start(2, 1, undisturbed, recipe="resnet_cifar_digits.py", **small))
    killed = ended(start(2, 1, folder, {1: "at_step(4, signal.SIGKILL)"}, recipe="resnet_cifar_digits.py", **small))
    assert [status for status, *_ in killed] == [75, -signal.SIGKILL]
    again = ended(start(2, 1, folder, recipe="resnet_cifar_digits.py", **small))
    assert [(status, problems) for status, _, problems in again] == [(0, "")] * 2
    assert (folder.path / "metrics.jsonl").read_bytes() == (undisturbed.path / "metrics.jsonl").read_bytes()
    found, expected = (safetensors.numpy.load_file(each.weights) for each in (folder, undisturbed))
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


@pytest.mark.slow
def test_checkpoints_of_two_processes_are_read_by_one_and_by_four(start: Start, tmp_path: pathlib.Path) -> None:
    plain = RunFolder(tmp_path / "plain")
    ended(start(1, 4, plain))
    for count in (1, 4):
        folder = RunFolder(tmp_path / f"run-{count}")
        stopped = ended(start(2, 2, folder, {1: "at_step(6, signal.SIGTERM)"}))
        assert [status for status, *_ in stopped] == [75, 75]
        again = ended(start(count, 4 // count, folder))
        assert [(status, problems) for status, _, problems in again] == [(0, "")] * count
        assert f"resumed in another environment, not bit-exact (processes: 2 -> {count}" in again[0][1]
        close(folder, plain)


SLURM = {
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_NODELIST": "node[03-04]",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}


@pytest.mark.parametrize(
    ("environment", "given", "place"),
    [
        pytest.param({}, {}, None, id="alone"),
        pytest.param(SLURM, {}, Place("SLURM", "slurm", None, 2, 1), id="slurm"),
        pytest.param(
            {**SLURM, "SLURM_STEP_NUM_TASKS": "1"}, {}, None, id="a shell inside of an allocation of two tasks"
        ),
        pytest.param(
            {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, {}, None, id="a batch script itself"
        ),
        pytest.param(SLURM, {"processes": 1}, None, id="the user says that it is alone"),
        pytest.param(OPEN_MPI, {}, Place("Open MPI", "ompi", None, 4, 3), id="open mpi"),
        pytest.param(
            {"JOB_COMPLETION_INDEX": "2"},
            {"coordinator": "train-0.train:8476", "processes": 4},
            Place("Kubernetes", "", "train-0.train:8476", 4, 2),
            id="kubernetes",
        ),
        pytest.param({"JOB_COMPLETION_INDEX": "2"}, {}, None, id="an indexed job of processes that are alone"),
        pytest.param(
            {}, {"coordinator": "a:1", "processes": 2, "process": 0}, Place("given", "", "a:1", 2, 0), id="flags alone"
        ),
    ],
)
def test_recognised(environment: dict[str, str], given: dict[str, Any], place: Place | None) -> None:
    assert hosts.recognise(**given, environment=environment, tpu_hosts=lambda: 1) == place


def test_tpu_slices_of_several_hosts_are_recognised() -> None:
    assert hosts.recognise(environment={}, tpu_hosts=lambda: 4) == Place("TPU slice", "", None, None, None)
    assert hosts.recognise(environment={}) is None, "there is no TPU here"


@pytest.mark.parametrize(
    ("environment", "coordinator"), [(SLURM, "node03:61517"), (OPEN_MPI, "10.96.0.1:62624")], ids=["slurm", "open mpi"]
)
def test_jax_finds_the_coordinator(environment: dict[str, str], coordinator: str, monkeypatch) -> None:
    """What JAX reads is what was recognised. The port is 61440 + the job's number modulo 4096; Open MPI's is 373920."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    place = hosts.recognise()
    assert place is not None
    found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, place.method, 1)
    assert found[:3] == (coordinator, place.processes, place.process)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"coordinator": "a:1"}, "--coordinator and --process want --processes too, at least 2"),
        ({"process": 0}, "--coordinator and --process want --processes too, at least 2"),
        ({"coordinator": "a:1", "processes": 2}, "of 2 processes, which is this? --process says it, 0 ... 1"),
        ({"processes": 2, "process": 1}, "--processes 2 wants --coordinator HOST:PORT, an address of process 0"),
        ({"coordinator": "a:1", "processes": 2, "process": 2}, "--process is 0 ... 1 with --processes 2, not 2"),
    ],
)
def test_what_is_not_enough(given: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.UserError) as caught:
        hosts.recognise(**given, environment={}, tpu_hosts=lambda: 1)
    assert str(caught.value) == words


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "a b:1", "host:port"])
def test_addresses(address: str, cnnjax) -> None:
    done = cnnjax("train", "x.py", "--coordinator", address)
    assert done.returncode == 2
    assert f"an address is written HOST:PORT, not {address!r}" in done.stderr


@pytest.mark.slow
def test_others_that_do_not_come(start: Start, tmp_path: pathlib.Path) -> None:
    lines = "hosts.CONNECT_S = 5\n"
    first, second = start(2, 1, RunFolder(tmp_path / "run"), {0: lines, 1: "sys.exit(0)"})
    ended([second])
    ((status, _, problems),) = ended([first])
    assert status == 75
    assert problems == "cnnjax: error: process 0 of 2: the others were not there within 5 s\n"
