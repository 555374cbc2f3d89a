"""Every recipe is complete and locked, and every key of it is read by what it configures."""

import ast
import pathlib
import re
import shlex
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

import cnnjax
from cnnjax import config as configs
from cnnjax import data, interop, models
from cnnjax.data.picture import Picture
from cnnjax.interop.weights import NAME, Record
from cnnjax.train import compiler, loop, streamed
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder

ROOT = pathlib.Path(__file__).parents[2]
RECIPES = sorted((ROOT / "configs").rglob("*.py"))
LIBRARY = pathlib.Path(cnnjax.__file__).parent

# Two steps on digits, whatever the recipe is for.
SMALL = {
    "dataset.name": "digits",
    "dataset.train": "train",
    "dataset.test": "test",
    "task.flip": False,
    "task.crop": 0,
    "task.jitter": (),
    "task.area": (),
    "task.aspect": (),
    "task.sizes": (),
    "model.depth": 8,
    "model.width": 2,
    "model.bn_group": 0,
    "batch_size": 64,
    "duration": "2 steps",
    "evaluation.batch_size": 720,
    "execution.devices": 1,
    "execution.stream": False,
    "execution.steps_per_dispatch": 2,
}

SMALLER = {
    "zfnet": {"dataset.side": 65, "model.width_factor": 0.125},
    "lenet": {"dataset.side": 28},
    "bn_inception": {"dataset.side": 32, "model.width_factor": 0.125},
    "resnet_digits": {"model.name": "resnet18", "model.width": 4},
}
"""Recipe of a network that has no recipe for the digits → what makes it small enough."""
TWINS = {"resnet_imagenet": "resnet_digits", "senet": "resnet_digits"}
"""Recipe → one with the same keys that is trained here in its place; where there is ``NAME_digits``, it is that."""


def twin(path):
    """The recipe that stands for this one where networks are trained; itself, where there is none."""
    found = path.with_stem(TWINS.get(path.stem, f"{path.stem}_digits"))
    return found if found in RECIPES else path


every_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
LARGE = ("alexnet", "bn_inception", "googlenet", "inception", "resnet_digits", "spp", "vgg", "xception", "zfnet")
"""Networks that take long to compile."""
every_recipe_that_trains = pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.slow if path.stem.startswith(LARGE) else ())
        for path in RECIPES
        if twin(path) == path
    ],
    ids=lambda path: path.stem,
)
every_recipe_with_a_twin = pytest.mark.parametrize(
    "path", [path for path in RECIPES if twin(path) != path], ids=lambda path: path.stem
)


def test_there_are_recipes():
    assert {"resnet_cifar", "resnet_cifar_digits"} <= {path.stem for path in RECIPES}


@every_recipe
def test_a_recipe_is_locked_and_complete(path):
    config = configs.load(path)
    assert config.is_locked
    for key, value in configs.flatten(config).items():
        assert value is not None or key == "execution.data_dir", f"{key} is None"
        if isinstance(value, str) and key.split(".")[-1] in ("duration", "every", "log", "warmup"):
            configs.steps(value, 100, 10)
    assert settings(config) == settings(configs.load(ROOT / "configs" / "resnet_cifar.py"))


def settings(config):
    """All keys but those of the network, which are its own."""
    return {key for key in configs.flatten(config) if not key.startswith("model.")}


@every_recipe
def test_a_recipe_says_its_command_and_has_no_logic(path):
    module = ast.parse(path.read_text())
    assert f"cnnjax train configs/{path.name}" in ast.get_docstring(module)
    assert not [node for node in ast.walk(module) if isinstance(node, ast.If | ast.For | ast.While)], "a recipe is data"


@every_recipe
def test_every_leaf_can_be_set_from_a_command_line(path):
    config = configs.load(path)
    flat = {key: value for key, value in configs.flatten(config).items() if value is not None}
    assert configs.parse(config, [f"--config.{key}={value}" for key, value in flat.items()]) == flat
    assert configs.digest(configs.override(config, flat)) == configs.digest(config)


@every_recipe
def test_what_a_recipe_names_can_be_set(path):
    """Every ``--config.key=value`` of its docstring, with the others of its line."""
    config = configs.load(path)
    for line in ast.get_docstring(ast.parse(path.read_text())).splitlines():
        found = re.findall(r"""(--config\.[\w.]+=(?:(["']).*?\2|[^\s`]*))""", line)
        settings = shlex.split(" ".join(setting for setting, _ in found))
        changed = configs.override(config, configs.parse(config, settings))
        if changed.model.name:
            models.create(**changed.model)


SIDES = {"cifar10": 32, "digits": 8, "fashion_mnist": 28, "mnist": 28}
"""Of the images of a set; that of a prepared folder is in its name."""


@every_recipe
def test_a_recipes_program_can_be_made(path, tmp_path):
    """At its own scale, but for the number of images: the network takes their sizes, and all of it has a decay."""
    config = configs.load(path)
    changes = {"batch_size": 32, "evaluation.batch_size": 32, "execution.devices": 1}
    if not config.model.name:
        changes["init.weights"] = str(tiny_weights(tmp_path))
    seen, side = config.task.crop or config.dataset.side, SIDES.get(config.dataset.name, 0)
    if config.execution.stream:  # as the host sends them
        crop, square = streamed.way(config)
        side, config = crop.side if crop else square, streamed.left(config)
    images = np.zeros((32, side, side, 3 if side > 28 else 1), np.uint8)
    labels = 5 + np.arange(32) % 5
    few = data.Arrays(images, labels, 10, tuple("0123456789"), config.dataset.name, "train", "", 255)
    program = Program(configs.override(config, changes), sets={"train": few, "test": few})
    assert program.task.shape[:2] == (seen or side,) * 2
    assert program.parameters > 1000


@pytest.fixture
def reads(monkeypatch):
    """Records (id of the group, name) of every read of a setting by a line of the library outside of config.py.

    What is read to be copied, hashed or written down is not used: that goes through config.py or ml_collections.
    """
    seen, defaulted = set(), []

    def by_library(frame):
        file = pathlib.Path(frame.f_code.co_filename)
        return file.is_relative_to(LIBRARY) and file != LIBRARY / "config.py"

    def recorded(original):
        def read(self, name, *rest):
            if by_library(sys._getframe(1)):
                seen.add((id(self), name))
            return original(self, name, *rest)

        return read

    def get(self, name, default=None):
        if by_library(sys._getframe(1)):
            defaulted.append(name)
        return original_get(self, name, default)

    kind, original_get = ml_collections.ConfigDict, ml_collections.ConfigDict.get
    for method in ("__getattr__", "__getitem__"):
        monkeypatch.setattr(kind, method, recorded(getattr(kind, method)))
    monkeypatch.setattr(kind, "get", get)
    yield seen
    assert defaulted == []


def tiny_weights(folder):
    """Those of a network for the digits."""
    fields = {"depth": 8, "width": 2, "num_classes": 10}
    record = Record("resnet_cifar", fields, (8, 8, 1), Picture(8, 8, (0.3,), (0.4,)))
    interop.save(folder / NAME, record, record.create().init(jax.random.key(0), jnp.zeros((1, 8, 8, 1))))
    return folder / NAME


def leaves_with_owner(config, prefix=""):
    for name in config:
        value = config[name]
        if isinstance(value, ml_collections.ConfigDict):
            yield from leaves_with_owner(value, f"{prefix}{name}.")
        else:
            yield prefix + name, (id(config), name)


@every_recipe_with_a_twin
def test_a_recipe_has_the_keys_of_the_one_that_stands_for_it(path):
    own, small = (set(configs.flatten(configs.load(each))) for each in (path, twin(path)))
    assert own == small


@every_recipe_that_trains
def test_every_key_is_read(path, reads, tmp_path):
    config = configs.load(path)
    if not config.model.name:
        config = configs.override(config, {"init.weights": str(tiny_weights(tmp_path))})
    known = configs.flatten(config)
    smaller = {**SMALL, **SMALLER.get(path.stem, {})}
    config = configs.override(config, {key: value for key, value in smaller.items() if key in known})
    with compiler.keeping_programs(config, lambda line: None):
        status = loop.train(Program(config), config, RunFolder(tmp_path / "run"), lambda line: None)
    assert status["outcome"] == "completed"
    unread = [key for key, owner in leaves_with_owner(config) if owner not in reads]
    assert unread == []


def test_a_key_that_nothing_reads_would_be_found(reads):
    config = ml_collections.ConfigDict({"a": 1, "b": {"c": 2, "d": 3}})
    scope = {"config": config}
    exec(compile("config.a, config.b['c']", str(LIBRARY / "somewhere.py"), "exec"), scope)
    configs.digest(config)
    assert [key for key, owner in leaves_with_owner(config) if owner not in reads] == ["b.d"]


def test_no_setting_is_read_with_a_default():
    """``config.get("key", default)`` would hide a key that a recipe lacks; so would getattr."""
    found = []
    for file in sorted(
        path for folder in ("train", "tasks", "models", "nn") for path in (LIBRARY / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            function = ast.unparse(node.func)
            subject = ast.unparse(node.args[0]) if function in ("getattr", "hasattr") else function.removesuffix(".get")
            if (function.endswith(".get") or function in ("getattr", "hasattr")) and is_config(subject):
                found.append(f"{file.name}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


def is_config(expression):
    names = expression.replace("self.", "").split(".")
    return names[0] in ("config", "settings", "execution", "cfg", "recipe")
