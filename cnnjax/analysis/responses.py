"""How strongly the layers of a network respond. He et al. 2015, §4.2, Fig. 7."""

import collections
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.analysis.layers import captured, evaluated
from cnnjax.nn import stacking


def deviations(model: nn.Module, variables: Mapping[str, Any], batches: Iterable[jax.Array]) -> dict[str, float]:
    """The standard deviation of what each layer puts out, after its normalisation and before activation or sum.

    Args:
      model: a network with batch normalisation.
      variables: ``params`` and ``batch_stats``; the moving statistics are used, as in evaluation.
      batches: preprocessed images ``[N, H, W, C]``.

    Returns:
      Unstacked name of a normalisation (``stage2/block7/norm1``) → deviation over examples, places and channels, in the
      order in which they are applied.

    Raises:
      UserError: there is no batch, or the network has no batch normalisation.
    """
    if not variables.get("batch_stats"):
        raise errors.UserError("the network has no batch normalisation, after which its responses are measured")
    sums: dict[str, np.ndarray] = {}
    count = 0
    for images, moments in evaluated(_moments, model, variables, batches):
        for name, pair in moments.items():
            sums[name] = sums.get(name, np.zeros(2)) + images * np.asarray(pair, np.float64)
        count += images
    means = {name: total / count for name, total in sums.items()}
    return {name: float(np.sqrt(max(square - mean**2, 0.0))) for name, (mean, square) in means.items()}


def _moments(model: nn.Module, variables: Any, images: jax.Array) -> tuple[int, dict[str, Any]]:
    """How many images, and of each normalisation the means of its values and of their squares."""
    wanted = {name.rpartition("/")[0] for name in stacking.names(variables["batch_stats"])}
    found = ((name, x.astype(jnp.float32)) for name, x in captured(model, variables, images) if name in wanted)
    # What leaves a compiled function as a plain dictionary is sorted by its keys.
    return len(images), collections.OrderedDict((name, (x.mean(), (x**2).mean())) for name, x in found)
