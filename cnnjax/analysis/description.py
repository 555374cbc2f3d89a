"""A network layer by layer: shapes, parameters, operations, memory, and what part of the image it sees."""

import dataclasses
import math
from collections.abc import Sequence

import flax.linen as nn
import pandas

from cnnjax.analysis import cost, memory, receptive_field
from cnnjax.analysis.layers import layers, trace


@dataclasses.dataclass(frozen=True)
class Description:
    """What there is to know of a network before it runs, for one image.

    Attributes:
      layers: one row a layer, in the order of the computation. Columns: ``layer``, its name; ``output``, shape of what it
        puts out, without the batch; ``parameters``; ``macs`` and ``flops``, see `cnnjax.analysis.cost`; ``stored``, values
        that stay for the gradients, see `cnnjax.analysis.memory`; ``field``, pixels of the image that a place sees along
        the height (missing: all of them), ``field_width``, ``stride``, ``padding``, ``aligned``, whether branches that
        met before see the same centre, ``problem``, why there is no window and from where on, ``whole``, the layer from
        which on every place sees all pixels, see `cnnjax.analysis.receptive_field`; ``shapes`` of its parameters;
        ``macs_per_parameter``, how often each of them is used (missing: there are none).
      parameters: of the network.
      used: those of them that the logits depend on.
      macs: for the logits.
      flops: in evaluation, auxiliary classifiers included.
      rules: the same by textbooks' rules, see `cnnjax.analysis.cost.by_rules`.
      stored: values.
      inference: values in the two layers in a row that have most, the images among them.
    """

    layers: pandas.DataFrame
    parameters: int
    used: int
    macs: int
    flops: int
    rules: dict[str, tuple[int, int]]
    stored: int
    inference: int


def describe(model: nn.Module, input_shape: Sequence[int]) -> Description:
    """Describes a network. Nothing is computed.

    Args:
      model: the network.
      input_shape: height, width, channels.
    """
    shape = (1, *input_shape)
    traced = trace(model, shape)
    fields = receptive_field.fields(model, shape)
    outputs = {name: tuple(var.aval.shape[1:]) for name, var in (*traced.modules, *traced.taps)}
    parameters = {layer.name: layer.parameters for layer in layers(model, shape)}
    macs, flops = cost.by_layer(model, shape), cost.by_layer(model, shape, cost.operations)
    stored = memory.stored(model, shape)
    taps = {name: place for place, (name, _) in enumerate(traced.taps)}
    # A convolution and a tap after its activation may have one name: it comes first where it is first put out.
    made = {id(var): place for place, equation in enumerate(traced.jaxpr.eqns) for var in equation.outvars}
    first: dict[str, int] = {}
    for name, var in (*traced.modules, *traced.taps):
        first.setdefault(name, made.get(id(var), -1))
    rows = []
    for name, field in sorted(fields.items(), key=lambda each: (first[each[0]], taps.get(each[0], -1))):
        shapes = parameters.get(name, {})
        counts = [sum(map(math.prod, shapes.values())), *(found.get(name, 0) for found in (macs, flops, stored))]
        if any(counts) or name in taps:
            axes = (field.height, field.width)
            seen = [None if axis.problem else axis.size for axis in axes]
            problem = next((axis.problem for axis in axes if axis.problem), "")
            whole = next((axis.whole for axis in axes if axis.whole and not problem), "")
            where = (axes[0].stride, axes[0].padding, all(axis.aligned for axis in axes), problem, whole)
            rows.append((name, outputs[name], *counts, *seen, *where, shapes))
    counted, windows = ("parameters", "macs", "flops", "stored"), ("field", "field_width")
    columns = ("layer", "output", *counted, *windows, "stride", "padding", "aligned", "problem", "whole", "shapes")
    table = pandas.DataFrame(rows, columns=columns).astype(dict.fromkeys(windows, "Int64"))
    table["macs_per_parameter"] = table["macs"] / table["parameters"].where(table["parameters"] > 0)
    sizes = [shape[1] * shape[2] * shape[3], *stored.values()]
    count, products = cost.size(model, shape)
    return Description(
        layers=table,
        parameters=count,
        used=cost.used(model, shape),
        macs=products,
        flops=int(table["flops"].sum()),
        rules=cost.by_rules(model, shape),
        stored=int(table["stored"].sum()),
        inference=max(map(sum, zip(sizes, [*sizes[1:], 0], strict=True))),
    )
