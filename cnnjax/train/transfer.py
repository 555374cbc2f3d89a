"""Training that begins from other weights: what is taken over, what begins anew, and what is held fast, for how long."""

import re
from collections.abc import Mapping, Sequence
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


def begun(fresh: Mapping[str, Any], taken: Mapping[str, Any], head: str) -> dict[str, Any]:
    """Variables that are those of ``taken``, and those of ``fresh`` where their name has ``head`` in it.

    Args:
      fresh: what a network's ``init`` gives.
      taken: variables of a network that is the same but for its head.
      head: a regular expression of unstacked names, e.g. ``classifier/``; empty: nothing begins anew.

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
    odd = [
        f"{name} {ours[name].shape}" for name in ours if name not in anew and _shape(theirs, name) != ours[name].shape
    ]
    if odd:
        raise errors.UserError(
            f"init.weights do not fit the network: {listed(odd)}; init.head names what begins anew, for other classes, and "
            "fully connected layers want images of the size they were trained with"
        )
    flat = {
        path: np.asarray(leaf if (name := path.partition("/")[2]) in anew else theirs[name])
        for path, leaf in stacking.names(fresh).items()
    }
    return convert.unflatten(fresh, flat)


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
