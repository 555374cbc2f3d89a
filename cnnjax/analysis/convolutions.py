"""What the kinds of convolution cost that stand for one another: the same map in, the same map out."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pandas

from cnnjax import errors
from cnnjax.analysis import cost
from cnnjax.ops.convolution import correlate


class Step(NamedTuple):
    """One convolution without a bias, at stride 1, that keeps the size of the map.

    Attributes:
      window: height and width of its kernel.
      inputs, maps: channels in and out.
      groups: of channels that do not see each other.
    """

    window: tuple[int, int]
    inputs: int
    maps: int
    groups: int = 1

    def __str__(self) -> str:
        groups = f" in {self.groups} groups" if self.groups > 1 else ""
        return f"{'×'.join(map(str, self.window))} {self.inputs}→{self.maps}{groups}"


class Wanted(NamedTuple):
    """What is to be convolved.

    Attributes:
      inputs, maps: channels in and out.
      window: height and width of a regular kernel.
      groups: of a grouped one.
      reduced: channels between a 1×1 convolution and the kernel behind it.
    """

    inputs: int
    maps: int
    window: int
    groups: int
    reduced: int


KINDS: dict[str, Callable[[Wanted], list[Step]]] = {
    "regular": lambda w: [Step((w.window, w.window), w.inputs, w.maps)],
    "grouped": lambda w: [Step((w.window, w.window), w.inputs, w.maps, w.groups)],
    "depthwise separable": lambda w: [
        Step((w.window, w.window), w.inputs, w.inputs, w.inputs),
        Step((1, 1), w.inputs, w.maps),
    ],
    "spatially separable": lambda w: [
        Step((w.window, 1), w.inputs, w.maps),
        Step((1, w.window), w.maps, w.maps),
    ],
    "3×3, stacked": lambda w: [
        Step((3, 3), w.maps if place else w.inputs, w.maps) for place in range((w.window - 1) // 2)
    ],
    "reduced by 1×1": lambda w: [
        Step((1, 1), w.inputs, w.reduced),
        Step((w.window, w.window), w.reduced, w.maps),
    ],
    "1×1": lambda w: [Step((1, 1), w.inputs, w.maps)],
}
"""Name → the convolutions that it is made of.

Grouped: Krizhevsky et al. 2012, §3.5. Depthwise separable: Chollet 2016, §1; of the regular one's products
1 / maps + 1 / window² are left. Spatially separable and stacked 3×3: Szegedy et al. 2015 (Inception v3), §3.1 and §3.2.
Reduced: Szegedy et al. 2014, §4. 1×1: Lin et al. 2013, §3.1; it sees no neighbours.
"""


def table(
    input_shape: Sequence[int], maps: int, window: int = 3, groups: int = 2, reduced: int = 0
) -> pandas.DataFrame:
    """The cost of every kind, for one image, read from the program that JAX traces.

    Args:
      input_shape: height, width, channels of the map.
      maps: channels of the result; its height and width are the map's.
      window: side of the kernel, an odd number from 3 on.
      groups: of the grouped kind.
      reduced: channels after the reduction by 1×1; 0: half of those of the map.

    Returns:
      One row a kind of :data:`KINDS`: ``kind``, ``steps`` (its convolutions), ``parameters``, ``macs`` (multiply-accumulates:
      each parameter is used at each place, height × width times), ``values`` (that all its convolutions put out), and
      ``share`` of the regular one's MACs.

    Raises:
      UserError: an even window, or groups that do not divide the channels.
    """
    height, width, inputs = input_shape
    if window < 3 or window % 2 == 0:
        raise errors.UserError(f"a window has an odd side from 3 on, not {window}")
    if inputs % groups or maps % groups:
        raise errors.UserError(f"{groups} groups do not divide both {inputs} and {maps} channels")
    wanted = Wanted(inputs, maps, window, groups, reduced or max(1, inputs // 2))
    rows = []
    for kind, make in KINDS.items():
        steps = make(wanted)
        kernels = [(*step.window, step.inputs // step.groups, step.maps) for step in steps]
        parameters = sum(map(math.prod, kernels))
        macs = sum(
            cost.macs(
                lambda x, kernel, groups=step.groups: correlate(x, kernel, padding="same", groups=groups),
                jax.ShapeDtypeStruct((1, height, width, step.inputs), jnp.float32),
                jax.ShapeDtypeStruct(kernel, jnp.float32),
            )
            for step, kernel in zip(steps, kernels, strict=True)
        )
        values = height * width * sum(step.maps for step in steps)
        rows.append((kind, ", ".join(map(str, steps)), parameters, macs, values))
    found = pandas.DataFrame(rows, columns=("kind", "steps", "parameters", "macs", "values"))
    return found.assign(share=found["macs"] / found["macs"].iloc[0])
