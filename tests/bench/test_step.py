"""The benchmark's arithmetic, on a peer whose times are known. Its own times decide nothing here."""

import io
import json
import pathlib
import stat
import sys

import pytest
from rich.console import Console

from cnnjax import cli, errors, models
from cnnjax.analysis import cost
from cnnjax.bench import step

TINY = step.Case("tiny", {"name": "resnet_cifar", "depth": 8, "width": 4, "scan": True}, 8, required=1.0, batch=4)
PARAMETERS = cost.size(models.create(**TINY.network), (1, 8, 8, 3))[0]


def fake_torch(tmp_path: pathlib.Path, parameters: int = PARAMETERS) -> pathlib.Path:
    """A "Python with torch" that says of itself what it was asked for, and always takes 1 s a step; not for compile."""
    script = f"""#!{sys.executable}
import json, sys
asked = json.loads(sys.argv[2])
if asked["mode"] == "compile":
    sys.exit("no compiler here")
print(json.dumps({{"version": "torch 0", "parameters": {parameters}}}), flush=True)
open({str(tmp_path / "asked")!r}, "a").write(json.dumps(asked) + "\\n")
for line in sys.stdin:
    n = json.loads(line)["steps"]
    print(json.dumps({{"seconds": n * (2.0 if asked["mode"] == "nchw" else 1.0)}}), flush=True)
"""
    path = tmp_path / "python"
    path.write_text(script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize("form", ["onednn", "canonical"])
def test_ratio_is_the_best_of_theirs_over_ours(tmp_path, form):
    said: list[str] = []
    result = step.compare(TINY, fake_torch(tmp_path), form, turns=3, say=said.append)
    assert result.theirs == {"nchw": [2.0] * 3, "channels_last": [1.0] * 3}
    assert result.ratio == pytest.approx(1.0 / sorted(result.ours)[1])
    assert len(result.ours) == 3
    assert min(result.ours) > 0
    assert "no compiler here" in result.failed["compile"]
    assert len(said) == 1
    asked = [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]
    assert [each["network"] for each in asked] == [{"name": "resnet_cifar", "depth": 8, "width": 4}] * 2

    out = io.StringIO()
    Console(file=out, width=200).print(step.table([result]))
    assert "1000–1000" in out.getvalue()
    assert "did not run" in out.getvalue()
    assert "torch 0" in out.getvalue()


def test_another_network_is_not_compared(tmp_path):
    message = rf"tiny: not the same network .* 7 \(torch, nchw\), {PARAMETERS:,} \(cnnjax\)$"
    with pytest.raises(errors.UserError, match=message):
        step.compare(TINY, fake_torch(tmp_path, 7), "canonical", turns=1, say=lambda line: None, modes=("nchw",))


def test_a_python_without_torch_is_one_line():
    with pytest.raises(
        errors.UserError, match=r"PyTorch does not run: torch, nchw ended with status 1: .*No module named"
    ):
        step.compare(TINY, pathlib.Path(sys.executable), "canonical", turns=1, say=lambda line: None, modes=("nchw",))


def test_a_python_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(errors.UserError, match=r"torch, nchw: .*none cannot be run: No such file or directory"):
        step.compare(TINY, tmp_path / "none", "canonical", turns=1, say=lambda line: None, modes=("nchw",))


REQUIRED = {"ResNet-20, 8×8": 1.0, "ResNet-56, 8×8": 1.0, "ResNet-20, 32×32": 0.7, "ResNet-56, 32×32": 0.7}


@pytest.mark.parametrize(
    ("slow", "gate", "status"),
    [
        ("", True, 0),
        ("ResNet-56, 8×8", True, 1),
        ("ResNet-20, 32×32", True, 1),
        ("ResNet-56, 8×8", False, 0),
        ("VGG-16-BN, 32×32", True, 0),  # nothing is required of it
    ],
)
def test_the_gate_by_the_command_line(slow, gate, status, monkeypatch, capsys):
    """A ratio just below what is required fails, one just above it does not."""

    def compare(case, python, form, turns, say):
        ratio = case.required + 0.01 if case.name != slow else max(case.required - 0.01, 0.01)
        return step.Result(case, [1.0] * turns, {"nchw": [ratio] * turns}, ("jax 0", "torch 0"), {})

    monkeypatch.setattr(step, "compare", compare)
    assert {case.name: case.required for case in step.CASES if case.required} == REQUIRED
    assert cli.main(["bench", "step", "--against", "torch", *(["--gate"] if gate else [])]) == status
    complaint = capsys.readouterr().err
    assert (slow in complaint) if status else not complaint


def test_a_peer_that_says_more_than_it_should(tmp_path):
    path = fake_torch(tmp_path)
    path.write_text(
        path.read_text().replace("import json, sys\n", "import json, sys\nprint('{not json')\nprint('[1]')\n")
    )
    result = step.compare(TINY, str(path), "canonical", turns=1, say=lambda line: None)
    assert result.theirs["nchw"] == [2.0]
