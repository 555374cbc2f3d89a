"""The command line: what it prints, how it exits, and one line for whatever a user gets wrong."""

import json
import os
import pathlib
import re
import shutil
import signal
from collections.abc import Callable, Iterator

import pytest

from cnnjax import arguments, cli, models

ROOT = pathlib.Path(__file__).parents[1]
DIGITS, DEGRADATION = ROOT / "configs" / "resnet_cifar_digits.py", ROOT / "experiments" / "degradation.py"


@pytest.fixture
def call(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs a command in this process, in an empty folder: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = cli.main([str(each) for each in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    yield call
    signal.signal(signal.SIGTERM, before)


def tree(folder: pathlib.Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


BAD: dict[str, tuple[list[object], str]] = {
    "no command": ([], "the following arguments are required: COMMAND"),
    "command": (["trian"], "'trian'"),
    "option": (["models", "--al"], "unknown argument '--al'"),
    "setting where none is taken": (["models", "--config.a=1"], "unknown argument '--config.a=1'"),
    "settings of a report": (["report", DEGRADATION, "--config.seed=1"], "unknown argument '--config.seed=1'"),
    "benchmark": (["bench", "steps"], "'steps'"),
    "page of results": (["experiments", "--markdown", ""], "expected the name of a file, not ''"),
    "memory": (["describe", "resnet20", "--memory", "16 apples"], "memory is written 16GiB or 16GB, not '16 apples'"),
    "memory for nothing": (
        ["describe", "resnet20", "--memory", "1KiB"],
        "not even one image fits into 1,024 bytes: the",
    ),
    "optimiser of a description": (["describe", "resnet20", "--optimizer", "adm"], "unknown optimiser 'adm'"),
    "benchmark without a Python": (
        ["bench", "input", "--python", "/nope"],
        "expected a program that can be run here, not '/nope'",
    ),
    "no turns": (["bench", "growth", "--turns", "0"], "expected a number from 1 on, not '0'"),
    "settings of a benchmark without any": (
        ["bench", "growth", "--config.seed=1"],
        "unknown argument '--config.seed=1'",
    ),
    "recipe of the growth of sweeps": (["bench", "growth", "--recipe", "no.py"], "unknown recipe 'no.py'"),
    "recipe of a benchmark": (["bench", "loop", "--recipe", "no.py"], "unknown recipe 'no.py'"),
    "what is kept": (
        ["train", DIGITS, "--config.execution.keep=block"],
        "unknown execution.keep 'block'; did you mean blocks?",
    ),
    "pieces": (["train", DIGITS, "--config.execution.accumulate=5"], "accumulate = 5 does not divide a batch of 32"),
    "no recipe": (["train"], "the following arguments are required: config"),
    "recipe": (["train", DIGITS.with_name("resnet_cifar_digit.py")], "did you mean"),
    "recipe that is a folder": (["train", DIGITS.parent], "unknown recipe"),
    "experiment": (["run", DEGRADATION.with_name("degradatoin.py")], "did you mean"),
    "recipe for an experiment": (["run", DIGITS], "an experiment's file defines"),
    "experiment for a recipe": (["train", DEGRADATION], "a recipe defines get_config()"),
    "scale": (["run", DEGRADATION, "--scale", "digit"], "unknown scale 'digit'; did you mean digits?"),
    "scale of a report": (
        ["report", DEGRADATION, "--scale", "x"],
        "unknown scale 'x'; available: cifar10, digits, imagenet",
    ),
    "key": (["train", DIGITS, "--config.model.dept=8"], "unknown setting 'config.model.dept'; did you mean"),
    "key of a sweep": (["run", DEGRADATION, "--config.batchsize=8"], "did you mean config.batch_size"),
    "group": (["train", DIGITS, "--config.model=8"], "config.model is a group; set one of"),
    "type": (["train", DIGITS, "--config.batch_size=large"], "config.batch_size is of type int, not 'large'"),
    "float for an int": (["train", DIGITS, "--config.model.depth=20.5"], "config.model.depth is of type int, not 20.5"),
    "string for a bool": (["train", DIGITS, "--config.task.flip=yes"], "config.task.flip is of type bool, not 'yes'"),
    "setting without a value": (["train", DIGITS, "--config.seed"], "written --config.key.name=value"),
    "option that is none": (["train", DIGITS, "--confg.seed=3"], "unknown argument '--confg.seed=3'"),
    "duration": (["train", DIGITS, "--config.duration=2 weeks"], "a duration is written"),
    "duration of nothing": (
        ["train", DIGITS, "--config.duration=0 steps"],
        "duration is at least one step, not '0 steps'",
    ),
    "padding": (
        ["train", DIGITS, "--config.task.pad=-1"],
        "task.pad is at least 0 and below the 8 pixels of the images'",
    ),
    "padding beyond the image": (["train", DIGITS, "--config.task.pad=8"], "shorter side, not 8"),
    "sizes without that of evaluation": (
        ["train", DIGITS, "--config.task.sizes=(3,)"],
        "task.sizes has the size of evaluation too, which is 8×8, and others beside it; not (3,)",
    ),
    "checkpoints that are kept": (["train", DIGITS, "--config.execution.checkpoint.keep=0"], "is at least 1, not 0"),
    "best step": (
        ["train", DIGITS, "--config.execution.checkpoint.best=test/eror"],
        "unknown execution.checkpoint.best 'test/eror'; did you mean test/error",
    ),
    "epsilon": (["train", DIGITS, "--config.model.bn_epsilon=0"], "bn_epsilon is larger than 0, not 0"),
    "dtype": (["train", DIGITS, "--config.model.dtype=float64"], "dtype float64 wants JAX_ENABLE_X64=1"),
    "pattern": (
        ["train", DIGITS, "--config.optimizer.decay_multipliers=(('(',1),)"],
        "holds pairs (regular expression, ",
    ),
    "data set": (["train", DIGITS, "--config.dataset.name=digit"], "did you mean digits"),
    "split": (["train", DIGITS, "--config.dataset.train=trian"], "trian"),
    "depth": (["train", DIGITS, "--config.model.depth=21"], "6n"),
    "network": (["train", DIGITS, "--config.model.name=resnet_cifat"], "did you mean resnet_cifar"),
    "batch larger than the set": (["train", DIGITS, "--config.batch_size=1440"], "does not fit a set of 1437"),
    "no devices": (["train", DIGITS, "--config.execution.devices=99"], "execution.devices = 99, but there are 8"),
    "mapping": (["train", DIGITS, "--config.execution.parallel=pmpa"], "did you mean pmap"),
    "abbreviation": (["train", DIGITS, "--see", "3"], "unknown argument '--see'"),
    "seeds": (["train", DIGITS, "--seeds", "one"], "argument --seeds: seeds are written 0-4 or 0,1,2, not 'one'"),
    "seeds with a hole": (["train", DIGITS, "--seeds", "1,,2"], "seeds are written 0-4 or 0,1,2, not '1,,2'"),
    "too many seeds": (
        ["run", DEGRADATION, "--seeds", "0-99999999"],
        "at most 10,000 seeds can be given, not 100,000,000",
    ),
    "cores": (["train", DIGITS, "--cores", "x"], "cores are written 0-4 or 0,1,2, not 'x'"),
    "no such core": (["train", DIGITS, "--cores", "0,99999"], "there is no core 99999 here, only "),
    "seeds backwards": (["run", DEGRADATION, "--seeds", "4-1"], "'4-1'"),
    "negative seed": (["run", DEGRADATION, "--seeds=-1"], "'-1'"),
    "no workers": (["run", DEGRADATION, "--workers", "0"], "'0'"),
    "workers": (["run", DEGRADATION, "--workers", "many"], "expected a number from 1 on, not 'many'"),
    "model": (["describe", "resnet57"], "unknown model 'resnet57'; did you mean"),
    "field": (["describe", "resnet20", "shortcu=A"], "did you mean shortcut"),
    "fixed field": (["describe", "resnet20", "depth=32"], "fixes depth = 20"),
    "field's value": (["describe", "resnet20", "shortcut=D"], "D"),
    "field's type": (["describe", "resnet20", "width=wide"], "the field width of the model 'resnet20' is of type int"),
    "depth of a model": (["describe", "resnet_cifar", "depth=9"], "6n"),
    "input": (
        ["describe", "resnet20", "--input", "32x"],
        "expected a side, 224, height and width, 224x192, or height, width and channels, 224x192x3, each at most 99,999, not "
        "'32x'",
    ),
    "input without size": (["describe", "resnet20", "--input", "32x0x3"], "each at most 99,999, not '32x0x3'"),
    "a number too large": (["describe", "resnet20", "--batch", "1234567"], "a number up to 999,999, not '1234567'"),
    "one of several too large": (["describe", "resnet20", "--fit", "1,2,1234567"], "up to 999,999, not '1234567'"),
    "picture of no format": (["describe", "resnet20", "--picture", "w.foo"], ".png, "),
    "chart without a format": (["lineage", "--chart", "q"], ".webp; not 'q'"),
    "type of what is compiled": (
        ["describe", "resnet20", "--dtype", "bfloat16", "--compile"],
        "--dtype bfloat16 is of the formula, and what is compiled computes in float32: the field dtype=bfloat16",
    ),
    "folder of pictures that is a file": (["explain", "--to", DIGITS], "expected the name of a folder, not"),
    "layers of absurd width": (["describe", "pattern", "layers=conv3-99999999999"], "at most 16,384"),
    "set to prepare": (["data", "prepare", "digit"], "did you mean digits"),
    "nothing to do with data": (["data"], "required: ACTION"),
    "nothing to export": (["export", "tensorboard", "nowhere"], "nowhere: no such folder of runs"),
    "form of export": (["export", "csv", "runs"], "'csv'"),
    "nothing to report": (["report", DEGRADATION], "no such folder of runs"),
    "folder that is a file": (["train", DIGITS, "--run", DIGITS], "File exists"),
    "folder that cannot be made": (["train", DIGITS, "--run", "/proc/no/where"], "/proc/no"),
    "runs that cannot be made": (["run", DEGRADATION, "--runs", "/proc/nowhere"], "/proc/nowhere"),
    "runs below a file": (["run", DEGRADATION, "--runs", DIGITS], "Not a directory"),
}


def test_the_compilers_alarms_are_not_shown(call, monkeypatch) -> None:
    """XLA has the variable's value from when it is loaded."""
    for given, expected in (("", "3"), ("0", "0")):
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", given)
        if not given:
            monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
        assert call("--help")[0] == 0
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == expected


@pytest.mark.parametrize("what", BAD)
def test_bad_input(what: str, call, tmp_path: pathlib.Path) -> None:
    arguments, words = BAD[what]
    code, output, errors = call(*arguments)
    assert code == 2
    assert output == ""
    (line,) = errors.splitlines()
    assert line.startswith("cnnjax: error: ")
    assert words in line
    assert list(tmp_path.iterdir()) == [], "nothing is made"


def test_bad_input_of_a_process(cnnjax, tmp_path: pathlib.Path) -> None:
    done = cnnjax("train", DIGITS, "--config.model.depth=21")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cnnjax: error: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to initialize backend 'cuda'")], ids=repr)
def test_platform_that_is_not_here(
    error: Exception, call, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """What JAX raises for a platform that it knows (cuda), and for any other."""

    def devices() -> None:
        raise error

    monkeypatch.setattr("jax.devices", devices)
    words = "cnnjax: error: JAX finds no device of the platform 'cpu' (JAX_PLATFORMS); cpu is always there\n"
    assert call("train", DIGITS) == (2, "", words)
    assert list(tmp_path.iterdir()) == []


def test_terminal_that_cannot_show_everything(cnnjax) -> None:
    done = cnnjax("describe", "resnet20", "--input", "8x8x3", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "at 8?8?3" in done.stdout


def test_run_folder_of_something_else(call, tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    code, _, errors = call("train", DIGITS, "--run", tmp_path)
    assert code == 2
    assert errors == f"cnnjax: error: {tmp_path} is not empty and holds no run; name a new folder\n"
    assert tree(tmp_path) == {"thesis.tex": b"years of work"}


def test_run_folder_of_another_run(call, cnnjax, tmp_path: pathlib.Path, tiny_settings: list[str]) -> None:
    """A run is trained, exported and left alone; another one is not trained into its folder."""
    code, output, errors = call("train", *tiny_settings, DIGITS, "--run", "run", "--seeds", "3")
    run = tmp_path / "run" / "seed-3"
    assert (code, errors) == (0, "")
    assert re.fullmatch(
        r"run/seed-3: completed at step 22, train/loss [\d.]+, train/error [\d.]+, test/loss [\d.]+, test/error [\d.]+",
        output.splitlines()[-1],
    )
    before = tree(tmp_path)

    other = [each for each in tiny_settings if "width" not in each]
    code, output, errors = call("train", DIGITS, *other, "--config.seed=3", "--run", run)
    assert (code, output) == (2, "")
    assert errors == f"cnnjax: error: {run} holds another run: model.width = 4 there, 16 here\n"
    assert tree(tmp_path) == before

    code, output, errors = call("train", DIGITS, *tiny_settings, "--config.seed=3", "--run", run)
    assert (code, errors) == (0, "")
    assert output.startswith(f"{run}: completed at step 22")
    assert tree(tmp_path) == before

    shutil.copytree(run, tmp_path / "runs" / "tiny" / "digits" / "thin" / "seed-3")
    assert call("export", "tensorboard", "runs", "--to", "events")[0] == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "events" / "tiny" / "digits" / "thin" / "seed-3"))
    events.Reload()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for tag in ("lr", "batch/loss", "train/error", "test/error"):
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        assert found == [(row["step"], pytest.approx(row[tag], rel=1e-6)) for row in rows]


def test_models(call) -> None:
    code, output, errors = call("models")
    assert (code, errors) == (0, "")
    rows = {row.split()[1]: row for row in output.splitlines() if row.startswith("│ ") and row.split()[1] != "│"}
    assert {"resnet20", "plain1202", "resnet_cifar", "lenet5", "senet154", *models.entries()} == set(rows)
    assert re.search(r"25,557,032 │\s+3,857,973,248 │\s+224×224×3 │$", rows["resnet50"])


@pytest.mark.parametrize("scan", ["true", "false"])
def test_layers_of_a_model(scan: str, call) -> None:
    code, output, errors = call("describe", "resnet56", f"scan={scan}")
    assert (code, errors) == (0, "")
    assert re.search(r"stage2/block7/conv1 +16×16×32 +9,216 .* kernel 3×3×32×32", output)
    assert "853,018 parameters" in output
    assert "stage3/block9/conv2" in output


def test_model_with_fields(call) -> None:
    assert "269,722 parameters" in call("describe", "resnet20")[1]
    assert "272,474 parameters" in call("describe", "resnet20", "shortcut=B")[1]


def test_data(call) -> None:
    code, output, errors = call("data", "list")
    assert (code, errors) == (0, "")
    assert {"digits", "cifar10"} <= set(output.split())
    code, output, errors = call("data", "prepare", "digits")
    assert (code, errors) == (0, "")
    assert output.startswith("digits is prepared: ")


def test_dry_run_makes_nothing(call, tmp_path: pathlib.Path) -> None:
    code, output, errors = call("run", DEGRADATION, "--dry-run", "--seeds", "0-2", "--config.model.width=2")
    assert (code, errors) == (0, "")
    for arm in ("plain20", "plain56", "residual20", "residual56"):
        (line,) = [line for line in output.splitlines() if f" {arm} " in line]
        assert [cell.strip() for cell in line.split("│")][4:6] == ["3", "3"]
        assert "model.width=2" in output
    assert "estimate: " in output
    assert list(tmp_path.iterdir()) == []


REFUSED = {
    "task.pad=8": "shorter side, not 8",
    "task.crop=9": "task.crop is at least 0 and at most the 8 pixels",
    "task.sizes=(3,)": "task.sizes has the size of evaluation too",
    "task.mean=row": "unknown task.mean 'row'",
    "duration=0 steps": "duration is at least one step",
    "schedule.learning_rate=-1": "schedule.learning_rate is at least 0",
    "schedule.boundaries=('2 weeks',)": "a duration is written",
    "optimizer.kind=sdg": "unknown optimizer.kind 'sdg'",
    "optimizer.decay_multipliers=(('kernel$',1),)": "optimizer.decay_multipliers",
    "evaluation.every=0 epochs": "evaluation.every is at least one step",
    "execution.accumulate=5": "execution.accumulate = 5 does not divide",
    "execution.keep=none": "unknown execution.keep 'none'",
    "execution.steps_per_dispatch=0": "execution.steps_per_dispatch is at least 1",
    "execution.checkpoint.keep=0": "execution.checkpoint.keep is at least 1",
    "execution.checkpoint.best=error": "unknown execution.checkpoint.best 'error'",
    "init.frozen=('conv9',)": "init.frozen: nothing is called 'conv9'",
    "dataset.wrong_labels=2": "dataset.wrong_labels is a share",
    "dataset.test=valid": "unknown split 'valid'",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_a_dry_run_refuses_what_training_does(setting: str, call, tmp_path: pathlib.Path) -> None:
    code, output, errors = call("run", DEGRADATION, "--dry-run", f"--config.{setting}")
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("cnnjax: error: arm plain20: ")
    assert REFUSED[setting] in line
    code, _, errors = call("train", DIGITS, f"--config.{setting}", "--config.execution.devices=1")
    assert code == 2
    assert errors.splitlines()[-1].removeprefix("cnnjax: error: ") == line.partition("arm plain20: ")[2]
    assert list(tmp_path.iterdir()) == []


def test_windows_that_are_not_one_are_marked(call) -> None:
    code, output, _ = call("describe", "xception", "width_factor=0.125")
    assert code == 0
    assert "~: of branches that met, not all have the same centre" in output


def test_operations_of_a_compiled_step_are_compared(call) -> None:
    code, output, _ = call("describe", "lenet5_dense", "--batch", "4", "--compile")
    assert code == 0
    assert "of three times those of evaluation" in output


def test_arms_that_settings_have_made_the_same_are_named(call, tmp_path: pathlib.Path) -> None:
    code, output, _ = call("run", DEGRADATION, "--dry-run", "--config.model.depth=8", "--config.model.width=2")
    assert code == 0
    assert "with these settings plain20, plain32, plain56 are the same" in output


def test_settings_of_a_dry_run(call, tmp_path: pathlib.Path) -> None:
    """Settings may stand anywhere, and have spaces in them."""
    code, output, errors = call("run", "--config.duration=30 epochs", DEGRADATION, "--dry-run", "--scale", "digits")
    assert (code, errors) == (0, "")
    assert "30 epochs" in " ".join(output.split())


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["train", "--help"], ["bench", "growth", "--help"]])
def test_help(words: list[str], call) -> None:
    code, output, errors = call(*words)
    assert (code, errors) == (0, "")
    assert "usage: cnnjax" in output


def test_seeds_are_read() -> None:
    assert arguments.seeds("0-2,7") == (0, 1, 2, 7)
    assert arguments.seeds("3") == (3,)
    assert arguments.seeds("1,1,0-1") == (1, 0)


def test_interrupted_before_training(call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is to be saved yet; the exit status is the same."""

    def interrupt(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("cnnjax.train.program.Program", interrupt)
    assert call("train", DIGITS)[0] == 75
