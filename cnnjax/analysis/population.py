"""Statistics of batch normalisation over a population, instead of moving averages."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from cnnjax import errors
from cnnjax.analysis.layers import layers
from cnnjax.interop import convert
from cnnjax.nn import stacking


def statistics(model: nn.Module, variables: Mapping[str, Any], batches: Iterable[jax.Array]) -> dict[str, Any]:
    """A trained network's ``batch_stats``, computed anew. Ioffe & Szegedy 2015, Algorithm 2, lines 8 to 10.

    The mean over batches of their means, and of their variances times m / (m - 1), m values a channel in each: unbiased.
    Nothing is dropped.

    Args:
      model: the network; the whole batch is its ``bn_group``.
      variables: ``params``, and ``batch_stats``, whose values do not matter.
      batches: preprocessed images ``[N, H, W, C]``.

    Raises:
      UserError: there is no batch, the network has no batch normalisation, or a layer sees one value a channel.
    """
    if not variables.get("batch_stats"):
        raise errors.UserError("the network has no batch normalisation")
    # With a momentum of zero the running statistics after a batch are the batch's.
    changed: dict[str, Any] = {"dropout": 0.0, "auxiliary_dropout": 0.0, "bn_momentum": 0.0, "bn_group": 0}
    alone = model.clone(**{name: value for name, value in changed.items() if hasattr(model, name)})
    run = jax.jit(lambda images: alone.apply(variables, images, train=True, mutable=["batch_stats"])[1])
    sums: dict[str, Any] = {}
    count = 0
    for images in batches:
        values = {layer.name: math.prod(layer.output[:-1]) for layer in layers(model, images.shape)}
        for path, leaf in stacking.names(run(images)).items():
            module, _, name = path.partition("/")[2].rpartition("/")
            if values[module] < 2:
                raise errors.UserError(f"{module} sees one value a channel, of which there is no variance")
            unbiased = values[module] / (values[module] - 1) if name == "var" else 1.0
            sums[path] = sums.get(path, 0.0) + unbiased * np.asarray(leaf, np.float64)
        count += 1
    if not count:
        raise errors.UserError("there is no batch to take statistics of")
    means = {path: (total / count).astype(np.float32) for path, total in sums.items()}
    return convert.unflatten({"batch_stats": variables["batch_stats"]}, means)["batch_stats"]
