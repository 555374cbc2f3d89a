"""Stochastic gradient descent, and which parameters decay."""

import re
from collections.abc import Sequence
from typing import Any

import jax
import optax

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.nn import stacking


def make(config: configs.ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
    """SGD with momentum and weight decay.

    Args:
      config: ``momentum``; ``nesterov``; ``weight_decay``; ``decay``, ``"coupled"`` (an L2 penalty, added to the gradient
        before the momentum, as in Caffe and in He et al. 2015) or ``"decoupled"`` (after it, scaled by the learning rate
        alone); ``decay_multipliers``, see :func:`multipliers`.
      schedule: step → learning rate.
    """
    decay = _weight_decay(config.weight_decay, config.decay_multipliers)
    momentum = optax.trace(config.momentum, nesterov=config.nesterov)
    orders = {"coupled": (decay, momentum), "decoupled": (momentum, decay)}
    if config.decay not in orders:
        raise errors.unknown("kind of weight decay", config.decay, orders)
    return optax.chain(*orders[config.decay], optax.scale_by_learning_rate(schedule))


def multipliers(params: Any, patterns: Sequence[tuple[str, float]]) -> Any:
    """How strongly each parameter decays, as a tree like ``params``.

    Args:
      params: parameters or their shapes; the leaves of scanned stages are stacked.
      patterns: (regular expression, multiplier); the first one that is found in the unstacked name decides, so
        ``(r"kernel$", 1.0)`` and ``(r"stage3/.*scale$", 0.0)`` mean the same with scanned stages.

    Raises:
      UserError: a parameter that no pattern covers, a pattern that decides nothing, or something else than a pattern.
    """
    _check(patterns)
    used = set()

    def decide(name: str) -> float:
        for pattern, multiplier in patterns:
            if re.search(pattern, name):
                used.add(pattern)
                return float(multiplier)
        raise errors.UserError(
            f"optimizer.decay_multipliers covers every parameter; nothing matches {name!r} "
            f"(patterns: {', '.join(pattern for pattern, _ in patterns)})"
        )

    tree = stacking.marked(params, decide)
    if unused := [pattern for pattern, _ in patterns if pattern not in used]:
        raise errors.UserError(f"optimizer.decay_multipliers: nothing is decided by {', '.join(map(repr, unused))}")
    return tree


def _check(patterns: Sequence[tuple[str, float]]) -> None:
    for each in patterns:
        try:
            pattern, multiplier = each
            re.compile(pattern)
            problem = "" if type(multiplier) in (int, float) else f"{multiplier!r} is no number"
        except (TypeError, ValueError, re.error) as error:
            problem = str(error)
        if problem:
            raise errors.UserError(
                f"optimizer.decay_multipliers holds pairs (regular expression, multiplier), not {each!r}: {problem}"
            )


def _weight_decay(rate: float, patterns: Sequence[tuple[str, float]]) -> optax.GradientTransformation:
    def add(updates: Any, params: Any) -> Any:
        return jax.tree.map(lambda g, p, m: g + rate * m * p, updates, params, multipliers(params, patterns))

    return optax.stateless(add)
