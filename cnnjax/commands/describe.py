"""``cnnjax describe``."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from cnnjax import arguments
from cnnjax.commands import process

WIDTH = 200
"""Characters of a line where no terminal says how many there are."""


def add(command: process.Add) -> None:
    """Adds the command."""
    describe = command(
        "describe", _describe, "print a network's layers: shapes, parameters, cost, memory, receptive fields"
    )
    describe.add_argument("name")
    describe.add_argument("field", nargs="*", help="fields of the network, e.g. shortcut=B")
    describe.add_argument("--input", type=arguments.shape, help="224, or 224x224x3; default: the paper's")
    describe.add_argument("--batch", type=arguments.count, default=1, help="images in a step; default: 1")
    describe.add_argument("--optimizer", default="sgd-momentum", help="sgd, sgd-momentum (default) or adam")
    describe.add_argument("--dtype", default="float32", help="of the formula's numbers; default: float32")
    describe.add_argument(
        "--memory", type=arguments.memory, help="e.g. 16GiB: how many images fit into it, by the formula"
    )
    describe.add_argument(
        "--compile", action="store_true", help="compile a training step, and say what memory that takes"
    )
    describe.add_argument("--json", action="store_true", help="print all of it as JSON")


def _describe(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import models
    from cnnjax.analysis import description, memory

    given = fields(options.name, options.field)
    model = models.create(options.name, **given)
    side = options.input or model.input_shape
    shape = side if len(side) == 3 else (*side, *side, model.input_shape[2])
    found = description.describe(model, shape)
    training = memory.training(found.parameters, found.stored, options.optimizer, options.dtype)
    inference = memory.inference(found.parameters, found.inference, options.dtype)
    entry = models.entry(options.name)
    totals: dict[str, Any] = {
        "name": options.name,
        "paper": entry.doc,
        "fields": {**entry.fields, **given},
        "input": list(shape),
        "parameters": found.parameters,
        "parameters_of_the_logits": found.used,
        "macs": found.macs,
        "flops": found.flops,
        "stored_values": found.stored,
        "batch": options.batch,
        "optimizer": options.optimizer,
        "dtype": options.dtype,
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
    if options.json:
        rows = json.loads(found.layers.to_json(orient="records"))
        process.say(json.dumps({**totals, "layers": rows}, indent=2))
        return process.EXIT_OK
    _show(found.layers, totals, training, model.line())
    return process.EXIT_OK


def _show(layers: Any, totals: dict[str, Any], training: Any, line: str) -> None:
    import pandas
    from rich.console import Console
    from rich.table import Table

    from cnnjax.analysis.memory import BYTES, MIB

    # What is read by a program has no width; a terminal has its own.
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    table, words = Table(box=None), ("layer", "output", "shapes")
    for name in ("layer", "output", "parameters", "MACs", "FLOPs", "MiB", "field", "stride", "padding", "shapes"):
        table.add_column(name, justify="left" if name in words else "right", overflow="fold")
    each = totals["batch"] * BYTES[totals["dtype"]] / MIB
    for row in layers.itertuples():
        counts = [f"{count:,}" if count else "" for count in (row.parameters, row.macs, row.flops)]
        kept = f"{row.stored * each:,.2f}" if row.stored else ""
        whole = pandas.isna(row.field)
        seen = ("all", "", "") if whole else tuple(map(str, (row.field, row.stride, row.padding)))
        shapes = " ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in row.shapes.items())
        table.add_row(row.layer, "×".join(map(str, row.output)), *counts, kept, *seen, shapes)
    console.print(table)
    side, batch = "×".join(map(str, totals["input"])), totals["batch"]
    heads = totals["parameters"] - totals["parameters_of_the_logits"]
    lines = [
        f"{totals['name']}: {totals['paper']}",
        *([line] if line else []),
        f"fields: {', '.join(f'{key}={value!r}' for key, value in totals['fields'].items())}",
        f"{totals['parameters']:,} parameters" + (f", {heads:,} of them in auxiliary classifiers" if heads else ""),
        f"{totals['macs']:,} MACs for the logits, {totals['flops']:,} FLOPs in all, at {side}",
        f"training, {totals['optimizer']}, {totals['dtype']}, by the formula: {training.model / MIB:,.1f} MiB + {batch} × "
        f"{training.image / MIB:,.1f} MiB = {totals['training_bytes'] / MIB:,.1f} MiB",
        f"inference, by the formula: {totals['inference_bytes'] / MIB:,.1f} MiB for {batch}",
    ]
    if "largest_batch" in totals:
        lines.append(
            f"{totals['largest_batch']:,} images fit into {totals['memory_bytes'] / MIB:,.0f} MiB, by the formula"
        )
    if "compiled_bytes" in totals:
        arguments, temporary, total = (totals[f"compiled_{name}"] / MIB for name in ("arguments", "temporary", "bytes"))
        ratio = totals["compiled_bytes"] / totals["training_bytes"]
        lines.append(
            f"compiled: {arguments:,.1f} MiB of arguments + {temporary:,.1f} MiB = {total:,.1f} MiB, {ratio:.2f} of the formula"
        )
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
