"""Training that begins from other weights: what is taken over, what begins anew, and what is held fast, for how long."""

import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.interop import convert, weights
from cnnjax.interop.names import listed
from cnnjax.nn import stacking

FREEZE_BN = ("never", "while frozen", "always")
"""When batch normalisation keeps to its running statistics."""


ARM = re.compile(r"arm:([a-z0-9][a-z0-9._=+-]*?)(?:@([0-9a-f]{12}))?")
"""How ``init.weights`` names another arm of the same sweep: by its name, and the digest of its settings."""


def source(text: str, run: pathlib.Path | None) -> pathlib.Path:
    """Where weights are: a path, or, if ``init.weights`` is ``"arm:NAME"``, the run of that arm that has the same seed.

    Args:
      text: ``init.weights``.
      run: the folder of the run that begins with them, ``.../<arm>/seed-<s>``.

    Raises:
      UserError: an arm is named, and this is no run of a sweep.
    """
    match = ARM.fullmatch(text)
    if not match:
        return pathlib.Path(text)
    if not run or not re.fullmatch(r"seed-\d+", run.name):
        raise errors.UserError(f"init.weights is {text!r}, an arm of a sweep; a run by itself takes a path there")
    return run.parent.parent / match[1] / run.name


def check(init: configs.ConfigDict) -> None:
    """Raises a `UserError` where settings under ``init`` mean nothing."""
    _compiled("init.head", init.head)
    if init.added not in ADDED:
        raise errors.unknown("init.added", init.added, ADDED)
    if init.added and not init.weights:
        raise errors.UserError(
            "init.added says how layers begin that init.weights do not have; there are no init.weights"
        )


def _zero_branch(name: str, leaf: np.ndarray, last: bool, epsilon: float) -> np.ndarray:
    return np.zeros_like(leaf) if last and name in ("scale", "bias") else leaf


def _identity(name: str, leaf: np.ndarray, last: bool, epsilon: float) -> np.ndarray:
    if name == "kernel":
        height, width, inputs, outputs = leaf.shape
        if inputs != outputs:
            raise errors.UserError(
                "init.added=identity: a layer that changes the number of maps cannot be the identity"
            )
        found = np.zeros_like(leaf)
        found[height // 2, width // 2] = np.eye(inputs)
        return found
    # The running variance and epsilon are one together, so that what is divided by is one to the last bit.
    values = {"scale": 1.0, "bias": 0.0, "mean": 0.0, "var": 1.0 - epsilon}
    return np.full_like(leaf, values[name])


ADDED: dict[str, Callable[[str, np.ndarray, bool, float], np.ndarray] | None] = {
    "": None,
    "zero branch": _zero_branch,
    "identity": _identity,
}
"""How blocks begin that the weights do not have. Empty: there must be none. ``"zero branch"``: the last normalisation of a
residual branch has a scale and a bias of zero, so that the block is its shortcut, exactly. ``"identity"``: kernels are
Dirac's and normalisation does nothing, so that a plain block passes on what is not negative, exactly, in evaluation. He et al.
2015, §1: that such a solution exists."""


def network(
    config: configs.ConfigDict, num_classes: int, record: weights.Record | None = None
) -> tuple[str, dict[str, Any]]:
    """Name and fields of the network that a recipe trains: those of ``model``, or, where that has no name, of its weights.

    Args:
      config: the recipe.
      num_classes: of its data set.
      record: what ``init.weights`` are of; ``None`` where there are none.

    Raises:
      UserError: neither names one.
    """
    fields = dict(config.model)
    if name := fields.pop("name"):
        return name, {**fields, "num_classes": num_classes}
    if not record:
        raise errors.UserError("the recipe names no network: give model.name, or init.weights, which knows its own")
    return record.model, {**record.fields, **fields, "num_classes": num_classes}


def begun(
    fresh: Mapping[str, Any], taken: Mapping[str, Any], head: str, added: str = "", epsilon: float = 0.0
) -> dict[str, Any]:
    """Variables that are those of ``taken``, and those of ``fresh`` where their name has ``head`` in it.

    Args:
      fresh: what a network's ``init`` gives.
      taken: variables of a network that is the same but for its head.
      head: a regular expression of unstacked names, e.g. ``classifier/``; empty: nothing begins anew.
      added: of :data:`ADDED`.
      epsilon: of the network's batch normalisation.

    Raises:
      UserError: a variable that is not of the head is missing in ``taken``, or of another shape; or nothing is of the head.
    """
    ours, theirs = (
        {name.partition("/")[2]: leaf for name, leaf in stacking.names(tree).items()} for tree in (fresh, taken)
    )
    pattern = _compiled("init.head", head) if head else None
    anew = {name for name in ours if pattern and pattern.search(name)}
    if pattern and not anew:
        raise errors.UserError(f"init.head: nothing is called {head!r}; there are {listed(ours)}")
    extra = _added(ours.keys() - theirs.keys() - anew) if added else {}
    odd = [
        f"{name} {ours[name].shape}"
        for name in ours
        if name not in anew and name not in extra and _shape(theirs, name) != ours[name].shape
    ]
    if odd:
        raise errors.UserError(
            f"init.weights do not fit the network: {listed(odd)}; init.head names what begins anew, for other classes, and "
            "fully connected layers want images of the size they were trained with"
        )
    rule = ADDED[added]

    def value(name: str, leaf: Any) -> np.ndarray:
        if rule and name in extra:
            return rule(name.rpartition("/")[2], np.asarray(leaf), extra[name], epsilon)
        return np.asarray(leaf if name in anew else theirs[name])

    flat = {path: value(path.partition("/")[2], leaf) for path, leaf in stacking.names(fresh).items()}
    return convert.unflatten(fresh, flat)


def _added(names: Iterable[str]) -> dict[str, bool]:
    """Variables of added blocks → whether they are of the block's last layer."""
    found = {name: match for name in names if (match := re.fullmatch(r"(.*/block\d+)/(?:conv|norm)(\d+)/.*", name))}
    last: dict[str, int] = {}
    for match in found.values():
        last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    return {name: int(match[2]) == last[match[1]] for name, match in found.items()}


def trained(params: Any, frozen: Sequence[str]) -> Any:
    """1 for parameters that are trained and 0 for those that are held fast, as `cnnjax.nn.stacking.marked` gives them.

    Args:
      params: parameters or their shapes.
      frozen: regular expressions of unstacked names.

    Raises:
      UserError: a pattern that holds nothing, or everything is held.
    """
    patterns = {each: _compiled("init.frozen", each) for each in frozen}
    names = stacking.names(params)
    for each, pattern in patterns.items():
        if not any(pattern.search(name) for name in names):
            raise errors.UserError(f"init.frozen: nothing is called {each!r}; there are {listed(names)}")
    marks = stacking.marked(params, lambda name: float(not any(each.search(name) for each in patterns.values())))
    if not any(mark.any() for mark in jax.tree.leaves(marks)):
        raise errors.UserError("init.frozen holds every parameter: nothing is left to train")
    return marks


def hold(params: Any, marks: Any) -> Any:
    """The parameters, with no gradient to those that are held fast: what they alone would need is not computed."""

    def one(leaf: jax.Array, mark: np.ndarray) -> jax.Array:
        if mark.all():
            return leaf
        held = jax.lax.stop_gradient(leaf)
        return held if not mark.any() else leaf * mark + held * (1 - mark)

    return jax.tree.map(one, params, marks)


def _compiled(setting: str, pattern: Any) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        raise errors.UserError(f"{setting} holds regular expressions, not {pattern!r}: {error}") from None


def _shape(tree: Mapping[str, Any], name: str) -> Any:
    return tree[name].shape if name in tree else None
