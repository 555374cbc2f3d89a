"""The layers of a network: names, output shapes, parameters."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax.nn import stacking


@dataclasses.dataclass(frozen=True)
class Layer:
    """A module that holds parameters itself.

    Attributes:
      name: its unstacked path, e.g. ``stage2/block7/conv1``.
      output: shape of what it puts out, ``[N, H, W, C]`` or ``[N, C]``.
      parameters: shape of each.
    """

    name: str
    output: tuple[int, ...]
    parameters: dict[str, tuple[int, ...]]

    @property
    def count(self) -> int:
        """How many parameters it holds."""
        return sum(math.prod(shape) for shape in self.parameters.values())


def layers(model: nn.Module, input_shape: Sequence[int]) -> list[Layer]:
    """The layers in the order in which they are applied. Nothing is computed.

    Args:
      model: the network.
      input_shape: ``[N, H, W, C]``.
    """
    outputs: list[tuple[str, tuple[int, ...]]] = []
    # Only an unrolled network has its layers in order: what leaves a scan is sorted by name.
    if hasattr(model, "scan"):
        model = model.clone(scan=False)

    def trace(images: jax.Array) -> Any:
        variables = model.init(jax.random.key(0), images)
        _, captured = model.apply(variables, images, capture_intermediates=True, mutable=["intermediates"])
        outputs.extend(_outputs(captured["intermediates"]))
        return variables["params"]

    params = jax.eval_shape(trace, jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32))
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, leaf in stacking.names(params).items():
        module, _, parameter = name.rpartition("/")
        shapes.setdefault(module, {})[parameter] = leaf.shape
    return [Layer(name, output, shapes[name]) for name, output in outputs if name in shapes]


def _outputs(captured: dict[str, Any], path: str = "") -> list[tuple[str, tuple[int, ...]]]:
    """Modules with the shape of what they returned, in the order in which they returned."""
    found = []
    for key, node in captured.items():
        if key != "__call__":
            found += _outputs(node, f"{path}{key}/")
        elif hasattr(node[0], "shape"):
            found.append((path.removesuffix("/"), node[0].shape))
    return found
