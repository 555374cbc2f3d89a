"""How what a layer puts out is distributed, unit by unit. Ioffe & Szegedy 2015, §4.1, Fig. 1 (b, c)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pandas

from cnnjax import errors
from cnnjax.analysis.layers import captured, evaluated

PERCENTILES = (15.0, 50.0, 85.0)
"""Those of the paper's figure."""


def percentiles(model: nn.Module, variables: Mapping[str, Any], batches: Iterable[jax.Array], layer: str) -> np.ndarray:
    """The percentiles over examples, and over places of a map, of what each unit of a layer puts out in evaluation.

    Args:
      model: the network.
      variables: of it.
      batches: preprocessed images ``[N, H, W, C]``.
      layer: unstacked name of a module, e.g. ``fc3`` or ``stage2/block7/norm1``; what follows it, as an activation, is not in.

    Returns:
      float ``[3, units]``, for :data:`PERCENTILES`.

    Raises:
      UserError: there is no batch, or no such module.
    """
    rows = [*evaluated(_outputs, model, variables, batches, layer)]
    return np.percentile(np.concatenate(rows), PERCENTILES, axis=0)


def _outputs(model: nn.Module, variables: Any, images: jax.Array, layer: str) -> jax.Array:
    """What a module puts out, a row an example and place."""
    found = dict(captured(model, variables, images))
    if layer not in found:
        raise errors.unknown("layer", layer, found)
    return found[layer].reshape(-1, found[layer].shape[-1]).astype(jnp.float32)


def over_training(
    model: nn.Module, checkpoints: Iterable[tuple[int, Mapping[str, Any]]], batches: Sequence[jax.Array], layer: str
) -> pandas.DataFrame:
    """The same at each checkpoint of a run: the curves of Fig. 1 (b, c).

    Args:
      model: the network.
      checkpoints: step, and variables at it.
      batches, layer: see :func:`percentiles`.

    Returns:
      Columns ``step``, ``unit``, ``percentile`` (15, 50, 85) and ``value``.

    Raises:
      UserError: see :func:`percentiles`, or there is no checkpoint.
    """
    found = {step: percentiles(model, variables, batches, layer) for step, variables in checkpoints}
    if not found:
        raise errors.UserError("there is no checkpoint to take percentiles at")
    values = np.stack([*found.values()])
    names = ("step", "percentile", "unit")
    index = pandas.MultiIndex.from_product(([*found], PERCENTILES, range(values.shape[2])), names=names)
    frame = pandas.DataFrame({"value": values.ravel()}, index).reset_index()
    return frame[["step", "unit", "percentile", "value"]]


def moved(frame: pandas.DataFrame) -> pandas.DataFrame:
    """How far each percentile ranges over the checkpoints, in spreads of its unit.

    A spread is from the 15th percentile to the 85th, the mean over the checkpoints: a unit of which everything is
    multiplied by the same, as by another scale of normalisation, moves as far as before.

    Args:
      frame: of :func:`over_training`.

    Returns:
      ``[units, 3]``, without the units that are constant at every checkpoint: they have no spread.

    Raises:
      UserError: all units are.
    """
    low, *_, high = PERCENTILES
    curves = frame.groupby(["unit", "percentile"])["value"]
    ranges, means = (curves.max() - curves.min()).unstack(), curves.mean().unstack()
    spread = means[high] - means[low]
    if not (varies := spread > 0).any():
        raise errors.UserError("no unit of the layer varies between images, so there is no spread to measure by")
    return ranges[varies].div(spread[varies], axis=0)
