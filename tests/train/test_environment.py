"""Where a run was made."""

import json
import os
import subprocess
import sys

import pytest

from cnnjax import config as configs
from cnnjax import machine
from cnnjax.train import environment
from cnnjax.train.run import EXACT


def test_holds_what_decides_about_bits(tiny) -> None:
    found = environment.describe(tiny)
    assert set(EXACT) - set(found) == {"compiler", "convolution", "data"}, "the program knows these"
    assert json.loads(json.dumps(found)) == found


def test_versions_are_those_that_are_installed(tiny) -> None:
    import jax
    import numpy

    packages = environment.describe(tiny)["packages"]
    assert (packages["jax"], packages["numpy"]) == (jax.__version__, numpy.__version__)


def test_execution_is_told(tiny) -> None:
    changed = configs.override(
        tiny, {"execution.devices": 0, "execution.parallel": "pmap", "execution.steps_per_dispatch": 7}
    )
    found = environment.describe(changed)
    assert (found["device_count"], found["parallel"], found["steps_per_dispatch"]) == (8, "pmap", 7)
    assert environment.describe(tiny)["device_count"] == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not pin processes")
def test_cores_are_those_the_process_may_use() -> None:
    script = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + (
        "from cnnjax import machine; print(len(machine.cores()))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "1\n"
    assert len(machine.cores()) == len(os.sched_getaffinity(0))


def test_commit_marks_a_changed_checkout(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    assert environment.commit() == ""
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    assert environment.commit() == "", "a repository that this code only lies in, as an installed package does"
    (tmp_path / "environment.py").write_text("1")
    git("add", "environment.py")
    git("commit", "-m", "two")
    head = git("rev-parse", "--short", "HEAD").strip()
    assert environment.commit() == head
    (tmp_path / "file").write_text("2")
    assert environment.commit() == head + "+changes"


def test_commit_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert environment.commit() == ""
