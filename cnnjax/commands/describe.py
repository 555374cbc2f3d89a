"""``cnnjax describe``."""

import argparse
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from cnnjax import arguments
from cnnjax.commands import process

_WINDOWS = 8
"""Layers whose receptive fields are drawn, at most."""


def add(command: process.Add) -> None:
    """Adds the command."""
    describe = command(
        "describe", _describe, "print a network's layers: shapes, parameters, cost, memory, receptive fields"
    )
    describe.add_argument("name")
    describe.add_argument("field", nargs="*", help="fields of the network, e.g. shortcut=B")
    describe.add_argument("--input", type=arguments.shape, help="224, 224x192 or 224x192x3; default: the paper's")
    describe.add_argument("--batch", type=arguments.count, default=1, help="images in a step; default: 1")
    describe.add_argument("--optimizer", default="sgd-momentum", help="sgd, sgd-momentum (default) or adam")
    describe.add_argument(
        "--dtype", help="of the formula's numbers; default: float32 for parameters, else the network's"
    )
    describe.add_argument(
        "--memory", type=arguments.memory, help="e.g. 16GiB: how many images fit into it, by the formula"
    )
    describe.add_argument(
        "--compile", action="store_true", help="compile a training step, and say what memory that takes"
    )
    describe.add_argument(
        "--fit", type=arguments.counts, help="e.g. 2,4,8: compile steps of so many images, and fit memory to them"
    )
    describe.add_argument(
        "--picture", type=arguments.picture, help="draw receptive fields at input size into this file"
    )
    describe.add_argument("--json", action="store_true", help="print all of it as JSON")


def _describe(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import errors, models
    from cnnjax.analysis import description, memory

    given = fields(options.name, options.field)
    model = models.create(options.name, **given)
    given_shape = options.input or model.input_shape
    sides = given_shape * 2 if len(given_shape) == 1 else given_shape
    shape = (*sides, model.input_shape[2])[:3]
    dtype = options.dtype or model.dtype
    if (options.compile or options.fit) and dtype != model.dtype:
        raise errors.UserError(
            f"--dtype {dtype} is of the formula, and what is compiled computes in {model.dtype}: the field dtype={dtype} "
            "changes both"
        )
    found = description.describe(model, shape)
    held = options.dtype or "float32"  # whatever a network computes in
    training = memory.training(found.parameters, found.stored, options.optimizer, dtype, held)
    inference = memory.inference(found.used, found.inference, dtype, held)
    entry = models.entry(options.name)
    totals: dict[str, Any] = {
        "name": options.name,
        "paper": entry.doc,
        "fields": {**entry.fields, **given},
        "input": list(shape),
        "parameters": found.parameters,
        "parameters_of_the_logits": found.used,
        "macs": found.macs,
        "macs_per_parameter": found.macs / found.used,
        "flops": found.flops,
        "operations_by_rules": found.rules,
        "stored_values": found.stored,
        "batch": options.batch,
        "optimizer": options.optimizer,
        "dtype": dtype,
        "dtype_of_parameters": held,
        "training_bytes": training.total(options.batch),
        "inference_bytes": inference.total(options.batch),
    }
    if options.memory:
        totals |= {"memory_bytes": options.memory, "largest_batch": training.largest(options.memory)}
    if options.compile:
        made = memory.compiled(model, (options.batch, *shape), options.optimizer)
        totals |= {
            "compiled_bytes": made.total,
            "compiled_arguments": made.arguments,
            "compiled_temporary": made.temporary,
            "compiled_flops": made.flops,
        }
    if options.fit:
        memory.check_fitted(options.fit)
        measured = {each: memory.compiled(model, (each, *shape), options.optimizer).total for each in options.fit}
        line, left = memory.fit(measured)
        totals |= {
            "measured_bytes": measured,
            "fitted_model": line.model,
            "fitted_image": line.image,
            "fitted_left": left,
        }
        if options.memory:
            totals |= {"fitted_largest_batch": line.largest(options.memory)}
    if options.picture:
        _draw(options.picture, model, shape)
    if options.json:
        rows = json.loads(found.layers.to_json(orient="records"))
        process.say(json.dumps({**totals, "layers": rows}, indent=2))
        return process.EXIT_OK
    if options.picture:
        process.say(str(options.picture))
    _show(found.layers, totals, training, model.line())
    return process.EXIT_OK


def _draw(file: pathlib.Path, model: Any, shape: tuple[int, ...]) -> None:
    """The windows of some layers that have maps, from the first to the last."""
    import numpy as np

    from cnnjax import errors
    from cnnjax.analysis import layers, pictures, receptive_field

    taps = [name for name, _ in layers.trace(model, (1, *shape)).taps]
    fields = receptive_field.fields(model, (1, *shape))
    # Of layers that see the same the first.
    seen: dict[Any, str] = {}
    for name in taps:
        if name in fields and _has_window(fields[name]):
            seen.setdefault(fields[name], name)
    if not seen:
        raise errors.UserError("no layer of this network has windows of its own that could be drawn")
    names = [*seen.values()]
    chosen = np.unique(np.linspace(0, len(names) - 1, _WINDOWS).round().astype(int))
    size = (shape[0], shape[1])
    pictures.windows({names[place]: fields[names[place]] for place in chosen}, size).savefig(file, dpi=130)


def _types(totals: dict[str, Any]) -> str:
    dtype, held = totals["dtype"], totals["dtype_of_parameters"]
    return dtype if dtype == held else f"{dtype} (parameters {held})"


def _has_window(field: Any) -> bool:
    return all(axis.size and not axis.problem and axis.places > 1 for axis in (field.height, field.width))


def _show(layers: Any, totals: dict[str, Any], training: Any, line: str) -> None:
    import pandas
    from rich.table import Table

    from cnnjax.analysis.memory import BYTES, MIB, written

    console = process.console()
    table, words = Table(box=None), ("layer", "output", "shapes")
    numbers = ("parameters", "MACs", "MACs/parameter", "FLOPs", "MiB", "field", "stride", "padding")
    for name in ("layer", "output", *numbers, "shapes"):
        table.add_column(name, justify="left" if name in words else "right", overflow="fold")
    each = totals["batch"] * BYTES[totals["dtype"]] / MIB
    for row in layers.itertuples():
        parameters, macs, flops = (f"{count:,}" if count else "" for count in (row.parameters, row.macs, row.flops))
        used = f"{row.macs_per_parameter:,.0f}" if row.parameters and row.macs else ""
        kept = f"{row.stored * each:,.2f}" if row.stored else ""
        sizes = "×".join(str(size) for size in dict.fromkeys((row.field, row.field_width)))
        window = f"{'' if row.aligned else '~'}{sizes}"
        whole = ("none" if row.problem else "all", "", "")
        seen = whole if pandas.isna(row.field) else (window, str(row.stride), str(row.padding))
        shapes = " ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in row.shapes.items())
        table.add_row(row.layer, "×".join(map(str, row.output)), parameters, macs, used, flops, kept, *seen, shapes)
    console.print(table)
    side, batch = "×".join(map(str, totals["input"])), totals["batch"]
    rules = [
        f"{kind} {' to '.join(f'{count:,}' for count in dict.fromkeys(bounds))}"
        for kind, bounds in totals["operations_by_rules"].items()
        if any(bounds)
    ]
    heads = totals["parameters"] - totals["parameters_of_the_logits"]
    apart = layers["field"].notna() & ~layers["aligned"]
    lines = [
        *(["~: of branches that met, not all have the same centre"] if apart.any() else []),
        *dict.fromkeys(problem for problem in layers["problem"] if problem),
        *dict.fromkeys(f"from {layer} on every place sees the whole image" for layer in layers["whole"] if layer),
        f"{totals['name']}: {totals['paper']}",
        *([line] if line else []),
        f"fields: {', '.join(f'{key}={value!r}' for key, value in totals['fields'].items())}",
        f"{totals['parameters']:,} parameters" + (f", {heads:,} of them in auxiliary classifiers" if heads else ""),
        f"{totals['macs']:,} MACs for the logits, {totals['macs_per_parameter']:,.0f} a parameter, at {side}",
        f"{totals['flops']:,} FLOPs in all{', auxiliary classifiers too' * bool(heads)}; "
        f"by textbooks' rules: {', '.join(rules)}",
        f"training, {totals['optimizer']}, {_types(totals)}, by the formula: "
        f"{training.model / MIB:,.1f} MiB + {batch} × {training.image / MIB:,.1f} MiB = "
        f"{totals['training_bytes'] / MIB:,.1f} MiB",
        f"inference, by the formula: {totals['inference_bytes'] / MIB:,.1f} MiB for {batch}",
    ]
    if "largest_batch" in totals:
        lines.append(f"{totals['largest_batch']:,} images fit into {written(totals['memory_bytes'])}, by the formula")
    if "compiled_bytes" in totals:
        arguments, temporary, total = (totals[f"compiled_{name}"] / MIB for name in ("arguments", "temporary", "bytes"))
        ratio = totals["compiled_bytes"] / totals["training_bytes"]
        lines.append(
            f"compiled: {arguments:,.1f} MiB of arguments + {temporary:,.1f} MiB = {total:,.1f} MiB, {ratio:.2f} of the formula"
        )
        made, thrice = totals["compiled_flops"], 3 * batch * totals["flops"]
        lines.append(f"compiled: {made:,.0f} FLOPs a step, {made / thrice:.2f} of three times those of evaluation")
    if "measured_bytes" in totals:
        points = ", ".join(f"{size / MIB:,.1f} for {batch}" for batch, size in totals["measured_bytes"].items())
        model, image, left = (totals[f"fitted_{name}"] / MIB for name in ("model", "image", "left"))
        lines.append(
            f"compiled, MiB: {points}; fitted: {model:,.1f} MiB + images × {image:,.1f} MiB, {left:,.2f} MiB off"
        )
    if "fitted_largest_batch" in totals:
        lines.append(f"{totals['fitted_largest_batch']:,} images fit into it by what was fitted")
    for each_line in lines:
        console.print(each_line, highlight=False, soft_wrap=True)


def fields(name: str, words: Sequence[str]) -> dict[str, object]:
    """Fields of a network, written ``name=value``."""
    import ast

    from cnnjax import models

    defaults = models.entry(name).fields
    found: dict[str, object] = {}
    for word in words:
        key, _, text = word.partition("=")
        literal = {"true": "True", "false": "False"}.get(text, text)
        try:
            found[key] = text if isinstance(defaults.get(key), str) else ast.literal_eval(literal)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            found[key] = text
    return found
