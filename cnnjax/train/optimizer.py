"""Optimisers, and which parameters decay."""

import math
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.nn import stacking


def _sgd(config: configs.ConfigDict) -> optax.GradientTransformation:
    return optax.trace(config.momentum, nesterov=config.nesterov)


def _rmsprop(config: configs.ConfigDict) -> optax.GradientTransformation:
    # The mean of squares starts at one, as in the library that the authors of the Inception networks used.
    scale = optax.scale_by_rms(config.second_moment, config.epsilon, initial_scale=1.0, eps_in_sqrt=True)
    return optax.chain(scale, _sgd(config))


def _adam(config: configs.ConfigDict) -> optax.GradientTransformation:
    return optax.scale_by_adam(config.momentum, config.second_moment, config.epsilon, nesterov=config.nesterov)


KINDS = {"sgd": _sgd, "rmsprop": _rmsprop, "adam": _adam}
"""Gradient descent with momentum; over the root of a running mean of squares, with momentum; Kingma & Ba 2014."""


def make(config: configs.ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
    """An optimiser with weight decay.

    Args:
      config: ``kind``, of :data:`KINDS`; ``momentum`` and ``nesterov``; ``second_moment``, the decay of the mean of squares,
        and ``epsilon``, what is added to it (rmsprop, in the root) or to its root (adam); ``clip``, the norm that all
        gradients together are clipped to, 0 for none; ``weight_decay``; ``decay``, ``"coupled"`` (an L2 penalty, added to
        the gradient before all else, as in Caffe and in He et al. 2015) or ``"decoupled"`` (at the end, scaled by the
        learning rate alone); ``decay_multipliers``, see :func:`multipliers`. ``max_filter`` and ``average`` are not the
        transformation's: see :func:`limited` and :func:`averaged`.
      schedule: step → learning rate.
    """
    if config.kind not in KINDS:
        raise errors.unknown("optimizer.kind", config.kind, KINDS)
    for name, most in (
        ("momentum", 1.0),
        ("second_moment", 1.0),
        ("clip", math.inf),
        ("epsilon", math.inf),
        ("weight_decay", math.inf),
    ):
        if not 0 <= config[name] < most:
            limit = f" and below {most:g}" if most < math.inf else ""
            raise errors.UserError(f"optimizer.{name} is at least 0{limit}, not {config[name]}")
    decay = _weight_decay(config.weight_decay, config.decay_multipliers)
    descent = KINDS[config.kind](config)
    orders = {"coupled": (decay, descent), "decoupled": (descent, decay)}
    if config.decay not in orders:
        raise errors.unknown("kind of weight decay", config.decay, orders)
    clipped = (optax.clip_by_global_norm(config.clip),) if config.clip else ()
    return optax.chain(*clipped, *orders[config.decay], optax.scale_by_learning_rate(schedule))


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


def limited(params: Any, radius: float) -> Any:
    """Convolutions' filters whose root mean square is above ``radius`` are scaled to it. Zeiler & Fergus 2013, §3: 0.1.

    A filter is what one output map is computed with, ``kernel[..., k]``, for itself also where stages are scanned.
    """

    def one(path: Any, leaf: jax.Array) -> jax.Array:
        if path[-1].key != "kernel" or leaf.ndim < 4:
            return leaf
        size = jnp.sqrt(jnp.square(leaf).mean((-4, -3, -2), keepdims=True))
        return leaf * jnp.where(size > radius, radius / size, 1.0)

    return jax.tree_util.tree_map_with_path(one, params)


def averaged(average: Any, params: Any, decay: float, step: jax.Array) -> Any:
    """The exponential moving average after ``step`` steps: ``d · average + (1 - d) · params``.

    d is min(decay, (1 + step) / (10 + step)), so that the first steps do not count for long: the average that TensorFlow's
    authors give, with which the Inception networks were evaluated (Szegedy et al. 2015, §8).
    """
    kept = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda mean, leaf: leaf + kept * (mean - leaf), average, params)


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
