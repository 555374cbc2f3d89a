"""A real Ray cluster of two nodes on this machine: the table is that of the local runner, whatever is killed."""

import os
import pathlib
import secrets
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'cnnjax[ray]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds its processes in /proc"),
]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes with a CPU each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own: of forks, of sockets that it leaves open
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        cluster.second = cluster.add_node(num_cpus=1)
        yield cluster
        cluster.shutdown()


def ancestors(pid: int) -> list[int]:
    """The processes that a process comes from."""
    found = []
    while pid > 1:
        pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def test_what_local_began_is_finished_with_a_worker_and_a_node_killed(launch, local, cluster) -> None:
    launch.stop(launch.start("cnnjax", "run"))
    process = launch.start("launch.ray", "--address", cluster.address)
    launch.wait(process, lambda: launch.workers("thin") and launch.workers("wide"))
    second = cluster.second.all_processes["raylet"][0].process.pid
    there, here = ("thin", "wide") if second in ancestors(launch.workers("thin")[0]) else ("wide", "thin")
    launch.kill(here)
    cluster.remove_node(cluster.second, allow_graceful=False)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "2 at a time on 2 Ray nodes" in output
    assert f"{here}: killed by signal 9" in output
    assert f"{there}: its node or its host process was lost" in output
    assert launch.results() == local


def test_local_finishes_what_ray_began(launch, local, cluster) -> None:
    launch.stop(launch.start("launch.ray", "--address", cluster.address))
    assert not launch.workers("thin")
    launch.here()
    assert launch.results() == local
