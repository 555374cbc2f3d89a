"""The command, on devices that every machine can compile for; and on TPUs, where their compiler is installed."""

import importlib.util
import json
import pathlib

import jax
import pytest

from cnnjax import cli, models
from cnnjax import config as configs
from cnnjax.analysis import cost
from cnnjax.plan import topology
from cnnjax.train.program import Program

ROOT = pathlib.Path(__file__).parents[2]
DIGITS = ROOT / "configs" / "resnet_cifar_digits.py"
SETTINGS = {"model.depth": 8, "model.width": 4, "batch_size": 64, "execution.devices": 1}
WORDS = [f"--config.{key}={value}" for key, value in SETTINGS.items()]
needs_libtpu = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="wants the extra tpu")


@pytest.fixture
def plan(tmp_path, monkeypatch, capsys):
    """Runs the command: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        capsys.readouterr()
        code = cli.main(["plan", *map(str, words)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def program():
    """What the trainer would run."""
    return Program(configs.override(configs.load(DIGITS), SETTINGS))


@pytest.mark.parametrize("mapping", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_on_two_cpu_devices(plan, program, tmp_path, mapping):
    page, mapped = tmp_path / "PLANS.md", f"--config.execution.parallel={mapping}"
    code, output, _ = plan(DIGITS, "--topology", "cpu:2", *WORDS, mapped, "--json", "--markdown", page)
    assert code == 0
    found = json.loads(output)
    assert (found["devices"], found["batch"], found["parameters"]) == (2, 64, program.parameters)
    assert found["steps"] == program.steps
    # A device has all of the state, and half of the batch: 64 pixels, a label and an index an image.
    state = sum(leaf.size * 4 for leaf in jax.tree.leaves(program.abstract.replace(rng=None)))
    key = 8
    assert found["memory"]["arguments"] == pytest.approx(state + key + 32 * (64 + 4 + 4), abs=64)
    # Forward, and two gradients; the first convolution has one only. What is not a product is a little beside that.
    products = 6 * 32 * cost.forward(models.create("resnet_cifar", depth=8, width=4, num_classes=10), (1, 8, 8, 1))
    assert products * 0.8 < found["flops"] < products * 1.5
    reduced = [each for each in found["collectives"] if each["kind"] == "all-reduce"]
    assert reduced[0]["bytes"] >= 4 * program.parameters
    assert {each["group"] for each in found["collectives"]} == {2}
    assert found["training_set_bytes"] == 1437 * 64
    assert found["largest_batch"] == 1436
    assert "64 and 32" in found["largest_batch_by"]
    assert "roofline" not in found
    assert f"cnnjax plan {DIGITS} --topology cpu:2 --config.model.depth=8" in page.read_text()


def test_of_an_experiment(plan, tmp_path):
    file = tmp_path / "question.py"
    file.write_text(
        "from cnnjax.sweep.experiment import Claim, Experiment, Scale\n"
        f"scale = Scale(config={str(DIGITS)!r}, seeds=(0, 1, 2), overrides={SETTINGS!r},\n"
        "    roles={'one': 'one', 'other': 'other'}, arms={'one': {'model.width': 2}, 'other': {}})\n"
        "claim = Claim('It is.', 'test/error', {'one': 1, 'other': -1})\n"
        "experiment = Experiment('Is it?', 'none', {'digits': scale}, (claim,))\n"
    )
    code, output, _ = plan(file, "--topology", "cpu", "--json")
    assert code == 0
    one, other = (arm["plan"] for arm in json.loads(output)["arms"])
    assert one["parameters"] < other["parameters"]
    assert one["flops"] < other["flops"]
    assert json.loads(output)["chip_hours"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((DIGITS, "--topology", "v9:2x2"), "unknown topology 'v9:2x2'; there are cpu,"),
        ((DIGITS.with_name("resnet_cifar_digit.py"), "--topology", "cpu"), "did you mean"),
        ((DIGITS, "--topology", "cpu", "--scale", "digits"), "--scale is of an experiment"),
        ((DIGITS, "--topology", "cpu:3", "--config.batch_size=32"), "3 devices do not divide batch_size = 32"),
        ((DIGITS, "--topology", "cpu", "--config.model.depth=9"), "depth"),
        ((DIGITS, "--topology", "cpu", "--config.dataset.name=flowers"), "flowers"),
    ],
)
def test_what_a_user_can_get_wrong(plan, words, message):
    code, output, error = plan(*words)
    assert (code, output) == (2, "")
    assert message in error.splitlines()[-1]


@pytest.mark.skipif(not topology._importable("jax_plugins.xla_cuda13"), reason="wants the extra cuda")
@pytest.mark.slow
def test_on_two_gpus(plan):
    code, output, _ = plan(DIGITS, "--topology", "gpu:2", *WORDS, "--json")
    assert code == 0
    found = json.loads(output)
    assert (found["flops"], found["bytes"]) == (None, None)
    assert "roofline" not in found
    assert 0 < found["memory"]["temporary"] < found["memory"]["limit"] == 84_978_434_048
    assert found["collectives"][0]["bytes"] >= 4 * found["parameters"]


COLLECTIVES = {0: 18, 16: 1}
"""Examples a group (0: the whole batch) → all-reduces in the step of ResNet-8, compiled quickly for eight chips of a TPU v5e by
libtpu 0.0.42.1: two of each of seven normalisations over the whole batch, and four for loss and gradients; where groups lie
within a device, one for all of these."""


@needs_libtpu
@pytest.mark.slow
@pytest.mark.parametrize("group", [0, 16])
def test_on_a_tpu(plan, group):
    small = ("--config.model.depth=8", f"--config.model.bn_group={group}")
    code, output, _ = plan(ROOT / "configs" / "resnet_cifar.py", "--topology", "v5e:2x4", *small, "--json")
    assert code == 0
    found = json.loads(output)
    assert found["memory"]["limit"] == 15.75 * 2**30
    assert sum(each["count"] for each in found["collectives"]) == COLLECTIVES[group]
    assert found["roofline"]["bound"] == "memory"
    assert found["images_per_second"] == pytest.approx(128 / found["roofline"]["memory"])
    assert found["hours"] == pytest.approx(64_000 * found["roofline"]["memory"] / 3600)


@needs_libtpu
@pytest.mark.slow
def test_what_does_not_fit_on_a_tpu(plan):
    words = (
        "--config.model.depth=8",
        "--config.model.width=128",
        "--config.batch_size=48000",
        "--config.evaluation.batch_size=1024",
    )
    code, output, error = plan(ROOT / "configs" / "resnet_cifar.py", "--topology", "v5e:2x4", *words)
    assert (code, output) == (2, "")
    assert "batch_size = 48,000 does not fit: a device of v5e:2x4 has 15.75 GiB" in error
    assert "would fit, by a line through the memory of batches 48,000 and" in error
