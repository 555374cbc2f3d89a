"""How strongly the layers of a network respond. He et al. 2015, §4.2, Fig. 7."""

from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.analysis.layers import captured, unrolled
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
    model, variables = unrolled(model, variables)
    wanted = {name.rpartition("/")[0] for name in stacking.names(variables["batch_stats"])}

    @jax.jit
    def moments(variables: Any, images: jax.Array) -> dict[str, Any]:
        found = ((name, x.astype(jnp.float32)) for name, x in captured(model, variables, images) if name in wanted)
        # A dictionary that leaves a compiled function is sorted by its keys: the place is one.
        return {f"{place:06d} {name}": (x.mean(), (x**2).mean()) for place, (name, x) in enumerate(found)}

    sums: dict[str, np.ndarray] = {}
    count = 0
    for images in batches:
        for name, pair in moments(variables, images).items():
            sums[name] = sums.get(name, np.zeros(2)) + len(images) * np.asarray(pair, np.float64)
        count += len(images)
    if not count:
        raise errors.UserError("there is no batch to measure responses of")
    means = {name.partition(" ")[2]: total / count for name, total in sums.items()}
    return {name: float(np.sqrt(max(square - mean**2, 0.0))) for name, (mean, square) in means.items()}
