"""Learning rates over time."""

import math
from collections.abc import Iterable

import jax.numpy as jnp
import optax

from cnnjax import config as configs
from cnnjax import errors


def make(config: configs.ConfigDict, steps_per_epoch: int, batch_size: int) -> optax.Schedule:
    """A step schedule with an optional constant warm-up: step → learning rate.

    He et al. 2015, §4.2: 0.1, divided by 10 at 32k and 48k of 64k iterations; 0.01 at first for 110 layers. Szegedy et al.
    2015 (Rethinking), §8: 0.045, times 0.94 every two epochs.

    Args:
      config: ``learning_rate``; ``boundaries``, durations at each of which it is multiplied by ``factor``; ``every``, a
        duration after which, and after each more of which, it is too (``"0 steps"``: never); ``warmup``, a duration, and
        ``warmup_learning_rate``.
      steps_per_epoch: to read durations in epochs.
      batch_size: to read durations in examples.

    Raises:
      UserError: a rate that is negative, or boundaries that are not in order.
    """
    for name in ("learning_rate", "warmup_learning_rate", "factor"):
        if not 0 <= config[name] < math.inf:
            raise errors.UserError(f"schedule.{name} is at least 0 and finite, not {config[name]}")
    places = [configs.steps(each, steps_per_epoch, batch_size) for each in config.boundaries]
    if sorted(places) != places:
        raise errors.UserError(f"schedule.boundaries come one after the other, not {tuple(config.boundaries)}")
    boundaries = jnp.array(places, jnp.int32)
    every = configs.steps(config.every, steps_per_epoch, batch_size) or jnp.iinfo(jnp.int32).max
    warmup = configs.steps(config.warmup, steps_per_epoch, batch_size)

    def schedule(step):  # type: ignore[no-untyped-def]
        rate = config.learning_rate * config.factor ** ((step >= boundaries).sum() + step // every)
        return jnp.where(step < warmup, config.warmup_learning_rate, rate)

    return schedule


def plateaus(values: Iterable[float], patience: int) -> int:
    """How often a metric has not fallen below its least value for ``patience`` evaluations in a row.

    Krizhevsky et al. 2012, §5, divide the rate by ten then, by hand. After each plateau the count begins anew; the least value
    stays.
    """
    found, least, waited = 0, math.inf, 0
    for value in values:
        least, waited = (value, 0) if value < least else (least, waited + 1)
        if waited == patience:
            found, waited = found + 1, 0
    return found
