"""Recipes: load, override, hash.

A recipe is a Python file with ``get_config()``, which returns a complete `ml_collections.ConfigDict`. A file derives from
another one by loading it: ``config.load(pathlib.Path(__file__).with_name("base.py"))``. Recipes are code: run only those
that you trust.
"""

import ast
import contextlib
import copy
import hashlib
import json
import os
import pathlib
import re
import runpy
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from cnnjax import errors

_UNITS = {"steps": "steps", "step": "steps", "epochs": "epochs", "epoch": "epochs", "examples": "examples"}
_MOST = 2**31 - 1
"""Steps: what a counter of 32 bits holds."""

NEUTRAL: dict[str, Any] = {
    "dataset.classes": (),
    "dataset.side": 0,
    "dataset.wrong_labels": 0.0,
    "model.batch_norm": True,
    "model.activation": "relu",
    "model.dropout": 0.0,
    "model.dropout_after": "",
    "model.kernel_init": "",
    "model.first_pool": "max",
    "model.head_dropout": 0.0,
    "model.auxiliary_norm": True,
    "model.features": (384, 384, 256),
    "model.linear_factors": False,
    "model.modules": "3a,3b,4a,4b,4c,4d,4e,5a,5b",
    "model.se_ratio": 0,
    "model.se_place": "standard",
    "model.se_stages": (),
    "model.se_squeeze": "average",
    "model.se_gate": "sigmoid",
    "init.weights": "",
    "init.head": "",
    "init.added": "",
    "init.frozen": (),
    "init.frozen_until": "0 steps",
    "init.freeze_bn": "never",
    "optimizer.kind": "sgd",
    "optimizer.second_moment": 0.9,
    "optimizer.epsilon": 1e-8,
    "optimizer.clip": 0.0,
    "optimizer.max_filter": 0.0,
    "optimizer.average": 0.0,
    "schedule.every": "0 steps",
    "schedule.plateau": "",
    "schedule.patience": 5,
    "task.label_smoothing": 0.0,
    "task.auxiliary_weight": 0.0,
    "task.mean": "pixel",
    "task.contrast": "",
    "task.whiten": "",
    "task.whiten_epsilon": 0.1,
    "task.crop": 0,
    "task.jitter": (),
    "task.area": (),
    "task.aspect": (),
    "task.colour": 0.0,
    "task.photometric": 0.0,
    "task.sizes": (),
    "evaluation.train": 0,
    "execution.shard_optimizer": False,
    "execution.stream": False,
    "execution.readers": 0,
}
"""Settings that recipes did not have at first → the value at which all is as it was then."""


def load(path: str | pathlib.Path) -> ConfigDict:
    """Runs a recipe's file and returns its configuration, locked.

    Raises:
      UserError: there is no such file, it cannot be run, or it does not define ``get_config``.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        near = [str(other) for other in sorted(path.parent.glob("*.py"))] if path.parent.is_dir() else []
        raise errors.unknown("recipe", str(path), near)
    with running(path):
        make = runpy.run_path(str(path)).get("get_config")
        config = make() if callable(make) else None
    if not isinstance(config, ConfigDict):
        raise errors.UserError(f"{path}: a recipe defines get_config(), which returns a ConfigDict; this file does not")
    return config.lock()


@contextlib.contextmanager
def running(path: pathlib.Path) -> Iterator[None]:
    """While a user's file is run: whatever it raises becomes a `UserError`, one line that says where."""
    try:
        yield
    except errors.UserError as error:
        raise errors.UserError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        here = os.path.abspath(path)
        lines = [
            each.lineno for each in traceback.extract_tb(error.__traceback__) if os.path.abspath(each.filename) == here
        ]
        message = str(error)
        if isinstance(error, SyntaxError) and error.filename and os.path.abspath(error.filename) == here:
            lines, message = [error.lineno], error.msg
        place = ":".join(str(each) for each in (path, *lines[-1:]) if each)
        reason = ": ".join(filter(None, (type(error).__name__, *message.strip().splitlines()[:1])))
        raise errors.UserError(f"{place}: {reason}") from error


def stored(found: Mapping[str, Any]) -> ConfigDict:
    """The configuration that JSON was made of; settings that came later are at their first value, but for the network's."""

    def tuples(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(map(tuples, value))
        return {key: tuples(each) for key, each in value.items()} if isinstance(value, Mapping) else value

    config = tuples(found)
    for key, value in NEUTRAL.items():
        group, name = key.split(".")
        if group != "model":
            config.setdefault(group, {}).setdefault(name, value)
    return ConfigDict(config).lock()


def flatten(config: ConfigDict | Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted key, sorted."""
    flat: dict[str, Any] = {}
    for key in sorted(config):
        value = config[key]
        if isinstance(value, ConfigDict | Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def override(config: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
    """A copy with some leaves replaced. This is the only way in which a recipe is changed.

    Args:
      config: the recipe.
      overrides: dotted key → value. An int is accepted for a float and a list for a tuple, nothing else is converted.

    Raises:
      UserError: no such key (the nearest are named), a group instead of a leaf, or a value of another type.
    """
    config = copy.deepcopy(config).unlock()
    for key, value in overrides.items():
        group, name = _leaf(config, key)
        expected = group.get_type(name)
        if expected is float and type(value) is int:
            value = float(value)
        if expected is tuple and isinstance(value, list):
            value = tuple(value)
        if type(value) is not expected:
            raise errors.UserError(f"config.{key} is of type {expected.__name__}, not {value!r}")
        group[name] = value
    return config.lock()


def parse(config: ConfigDict, arguments: Iterable[str]) -> dict[str, Any]:
    """Overrides from a command line, ``["--config.model.depth=56"]``, read as the type that the recipe has there.

    Raises:
      UserError: an argument of another form, an unknown key, or a value that cannot be read as that type.
    """
    overrides = {}
    for argument in arguments:
        match = re.fullmatch(r"--config\.([\w.]+)=(.*)", argument, re.S)
        if not match:
            raise errors.UserError(f"unknown argument {argument!r}; a setting is written --config.key.name=value")
        key, text = match.groups()
        group, name = _leaf(config, key)
        overrides[key] = _read(key, text, group.get_type(name))
    return overrides


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def digest(config: ConfigDict) -> str:
    """Twelve hexadecimal digits that stand for what a run computes: all settings but those under ``execution``.

    A setting that is :data:`NEUTRAL` does not count: runs from before there was such a setting keep their digest.
    """
    flat = {
        key: value
        for key, value in flatten(config).items()
        if not key.startswith("execution.") and not (key in NEUTRAL and _plain(value) == NEUTRAL[key])
    }
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:12]


def steps(duration: str, steps_per_epoch: int, batch_size: int) -> int:
    """A duration in optimiser steps, rounded to the nearest; at most 2^31 - 1, which no run reaches.

    Args:
      duration: a number and its unit: ``"64000 steps"``, ``"2.5 epochs"``, ``"1000000 examples"``.
      steps_per_epoch: steps in which the training set is seen once.
      batch_size: examples a step.

    Raises:
      UserError: it is no duration.
    """
    number, unit = _duration(duration)
    return round(min(number * {"steps": 1.0, "epochs": steps_per_epoch, "examples": 1 / batch_size}[unit], _MOST))


def _duration(text: str) -> tuple[float, str]:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", str(text).strip())
    if not match or match[2] not in _UNITS:
        raise errors.UserError(f"a duration is written '20 epochs', '64000 steps' or '50000 examples', not {text!r}")
    return float(match[1]), _UNITS[match[2]]


def _leaf(config: ConfigDict, key: str) -> tuple[ConfigDict, str]:
    """The group that holds a dotted key, and the key's last name."""
    node: Any = config
    *groups, name = key.split(".")
    for group in (*groups, name):
        if not isinstance(node, ConfigDict) or group not in node:
            raise errors.unknown("setting", f"config.{key}", [f"config.{each}" for each in flatten(config)])
        parent, node = node, node[group]
    if isinstance(node, ConfigDict):
        inside = ", ".join(f"config.{key}.{each}" for each in flatten(node))
        raise errors.UserError(f"config.{key} is a group; set one of {inside}")
    return parent, name


def _read(key: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    literal = {"true": "True", "false": "False"}.get(text, text)
    if kind is float and text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise errors.UserError(f"config.{key} is a finite number, not {text}")
    try:
        return ast.literal_eval(literal)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise errors.UserError(f"config.{key} is of type {kind.__name__}, not {text!r}") from None
