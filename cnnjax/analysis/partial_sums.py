"""What each input channel adds to one map of a convolution."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from cnnjax import errors
from cnnjax.analysis.layers import unrolled
from cnnjax.nn import stacking
from cnnjax.nn.conv import Conv, conv2d


@dataclasses.dataclass(frozen=True)
class PartialSums:
    """The parts of a map, which is their sum over channels and the bias.

    Attributes:
      channels: what each input channel gives, ``[N, H, W, channels]``.
      first: number of the first of these channels; not 0 where the convolution has groups.
      bias: of the map; 0 where the convolution has none.
      output: the map, before normalisation and activation, ``[N, H, W]``.
    """

    channels: np.ndarray
    first: int
    bias: float
    output: np.ndarray


def partial_sums(
    model: nn.Module, variables: Mapping[str, Any], images: jax.Array, name: str, feature: int
) -> PartialSums:
    """Takes a map of a convolution apart.

    Args:
      model: the network, in evaluation.
      variables: of it.
      images: preprocessed, ``[N, H, W, C]``.
      name: of a convolution, e.g. ``stage2/block7/conv1``.
      feature: which of its maps.

    Raises:
      UserError: there is no such convolution or map.
    """
    model, variables = unrolled(model, variables)
    found: dict[str, tuple[Conv, jax.Array, jax.Array]] = {}

    def keep(call: Any, arguments: Any, options: Any, context: Any) -> Any:
        output = call(*arguments, **options)
        if isinstance(context.module, Conv):
            found["/".join(context.module.path)] = (context.module, arguments[0], output)
        return output

    with nn.intercept_methods(keep):
        model.apply(variables, images)
    if name not in found:
        raise errors.unknown("convolution", name, found)
    layer, x, output = found[name]
    if not 0 <= feature < output.shape[-1]:
        raise errors.UserError(f"{name} has no feature {feature}; they are numbered 0 to {output.shape[-1] - 1}")
    leaves = stacking.names(variables["params"])
    kernel = leaves[f"{name}/kernel"][..., feature]
    count = kernel.shape[-1]
    first = feature // (output.shape[-1] // layer.groups) * count
    parts = conv2d(
        x[..., first : first + count], kernel[:, :, None], layer.strides, layer.edges(), layer.dilation, groups=count
    )
    bias = float(leaves[f"{name}/bias"][feature]) if layer.use_bias else 0.0
    return PartialSums(np.asarray(parts), first, bias, np.asarray(output[..., feature]))
