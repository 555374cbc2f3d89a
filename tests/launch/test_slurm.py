"""A real SLURM of one node on this machine: the table is that of the local runner, whatever is killed or pre-empted."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

START = pathlib.Path(__file__).with_name("start_slurm.sh")
PATH = f"{os.environ['PATH']}:/usr/sbin"
missing = [each for each in ("munged", "slurmctld", "slurmd", "sbatch", "srun") if not shutil.which(each, path=PATH)]

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'cnnjax[slurm]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)}: apt-get install slurm-wlm munge"),
    pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="SLURM's daemons want root"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``SLURM_CONF`` of a cluster of one node."""
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run([START, folder], capture_output=True, text=True)
    assert started.returncode == 0, started.stdout + started.stderr
    yield str(folder / "slurm.conf")
    subprocess.run([START, "--stop", folder], check=True, capture_output=True)


def call(conf: str, *words: str) -> str:
    done = subprocess.run(words, env={**os.environ, "SLURM_CONF": conf}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def running(conf: str) -> list[str]:
    return call(conf, "squeue", "-h", "-r", "-t", "running", "-o", "%i").split()


def test_a_worker_killed_and_a_job_requeued(launch, local, slurm: str) -> None:
    process = launch.start("launch.slurm", SLURM_CONF=slurm)
    launch.wait(process, lambda: launch.begun("thin") and launch.begun("wide"))
    launch.kill("thin")
    (worker,) = launch.workers("wide")
    words = pathlib.Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    variables = dict(each.decode().split("=", 1) for each in words if b"=" in each)
    job = "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}".format(**variables)
    # As SLURM does before it takes the node away.
    call(slurm, "scancel", "--signal=TERM", job)
    call(slurm, "scancel", "--signal=USR2", job)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "2 at a time as jobs of SLURM" in output
    assert "thin: killed by signal 9" in output
    assert "wide:" not in output
    assert "Requeued job" in "".join(
        path.read_text() for path in (launch.sweep.folder / ".slurm").glob(f"{job}_*_log.*")
    )
    assert launch.results() == local


def test_local_finishes_what_slurm_began(launch, local, slurm: str) -> None:
    launch.stop(launch.start("launch.slurm", SLURM_CONF=slurm))
    launch.here()
    assert launch.results() == local


def test_jobs_of_a_launcher_that_was_killed_end_before_the_next_goes_on(launch, local, slurm: str) -> None:
    first = launch.start("launch.slurm", SLURM_CONF=slurm)
    launch.wait(first, lambda: launch.begun("thin"))
    first.kill()
    first.wait()
    assert running(slurm)
    second = launch.start("launch.slurm", SLURM_CONF=slurm)
    output = second.communicate()[0]
    assert second.returncode == 0, output
    assert launch.results() == local


def test_what_slurm_refuses(launch, slurm: str) -> None:
    process = launch.start("launch.slurm", "--sbatch=partition=none", SLURM_CONF=slurm)
    output = process.communicate()[0]
    assert process.returncode == 2, output
    assert "cnnjax: error: SLURM takes no job: invalid partition specified: none; is there a controller" in output
