"""The benchmark of loaders: its arithmetic on loaders whose times are known, and ours on real files."""

import functools
import json
import pathlib
import stat
import sys

import pytest

from cnnjax import cli, machine
from cnnjax.bench import input as inputs


def _python(tmp_path: pathlib.Path, missing: str) -> pathlib.Path:
    """A "Python" in which one of the loaders lacks its library, and the other takes 2 s a batch."""
    script = f"""#!{sys.executable}
import json, pathlib, sys
if {missing!r} in sys.argv[1]:
    sys.exit("ModuleNotFoundError: No module named {missing!r}")
asked = json.loads(sys.argv[2])
count = len(list(pathlib.Path(asked["folder"]).glob("*/*.jpg")))
open({str(tmp_path / "asked")!r}, "w").write(json.dumps({{**asked, "count": count}}))
print(json.dumps({{"version": "library 0"}}), flush=True)
for line in sys.stdin:
    print(json.dumps({{"seconds": 2.0 * json.loads(line)["steps"]}}), flush=True)
"""
    path = tmp_path / "python"
    path.write_text(script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def threads_only(monkeypatch):
    """Without the loader that starts processes: `tests/data/test_stream.py` has it."""
    monkeypatch.setattr(inputs, "LOADERS", tuple(each for each in inputs.LOADERS if not (each.ours and each.processes)))


def test_rates_and_ratios(threads_only, tmp_path, monkeypatch, capsys):
    results: list[inputs.Result] = []
    measure = functools.partial(inputs.measure, files=6, batch=4)
    monkeypatch.setattr(inputs, "measure", lambda *given: results.append(measure(*given)) or results[0])
    assert cli.main(["bench", "input", "--turns", "2", "--python", str(_python(tmp_path, "tensorflow"))]) == 0
    rates = results[0].rates
    assert rates["torch DataLoader"] == [2.0, 2.0]  # four images in two seconds
    ours = rates["cnnjax, threads"]
    assert len(ours) == 2
    assert min(ours) > 0
    assert results[0].ratio("torch DataLoader") == pytest.approx(sum(ours) / 2 / 2.0)
    asked = json.loads((tmp_path / "asked").read_text())
    assert (asked["count"], asked["batch"], asked["side"]) == (6, 4, 224)
    assert asked["workers"] == len(machine.cores())
    shown = capsys.readouterr().out
    assert shown.count("did not run") == 1
    assert "cnnjax, library 0" in shown
    assert "tf.data ended with status 1: ModuleNotFoundError: No module named 'tensorflow'" in shown
