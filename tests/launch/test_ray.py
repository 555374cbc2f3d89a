"""A real Ray cluster of two nodes on this machine: the table is that of the local runner, whatever is killed."""

import dataclasses
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'cnnjax[ray]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds its processes in /proc"),
]


class Node:
    """A node of a cluster, as a user starts it, with a CPU."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--block", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        said = ""
        while "Ray runtime started" not in said:
            line = self.process.stdout.readline()
            said += line
            assert line, said

    @property
    def raylet(self) -> int:
        """The process that has the others of the node started."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        (found,) = [each for each in children if b"raylet/raylet" in pathlib.Path(f"/proc/{each}/cmdline").read_bytes()]
        return int(found)

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate()


@dataclasses.dataclass
class Cluster:
    """Two nodes."""

    address: str
    first: Node
    second: Node


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    variables = {
        "USAGE_STATS_ENABLED": "0",
        "worker_niceness": "0",
        "AUTH_MODE": "token",
        "AUTH_TOKEN": secrets.token_hex(32),
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"RAY_{name}", value)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first = Node("--head", f"--port={port}", "--include-dashboard=false")
    second = Node(f"--address=127.0.0.1:{port}")
    yield Cluster(f"127.0.0.1:{port}", first, second)
    second.end()
    first.end()


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
    second = cluster.second.raylet
    there, here = ("thin", "wide") if second in ancestors(launch.workers("thin")[0]) else ("wide", "thin")
    launch.kill(here)
    os.kill(second, signal.SIGKILL)
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
