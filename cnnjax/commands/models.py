"""``cnnjax models``."""

import argparse
from collections.abc import Sequence

from cnnjax import arguments
from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    models = command("models", _models, "list the networks, or print the layers and fields of one")
    models.add_argument("name", nargs="?")
    models.add_argument("field", nargs="*", help="fields of the network, e.g. shortcut=B")
    models.add_argument("--input", type=arguments.shape, help="height, width, channels; default: the paper's")


def _models(options: argparse.Namespace, settings: list[str]) -> int:
    process.leave_devices_to_workers()
    if options.name is not None:
        return _layers(options)
    from rich.console import Console
    from rich.table import Table

    from cnnjax import models
    from cnnjax.analysis import sizes

    table = Table(caption="MACs: multiply-accumulates of one image; `cnnjax models NAME` prints layers and fields")
    for name, justify in (
        ("name", "left"),
        ("paper", "left"),
        ("parameters", "right"),
        ("MACs", "right"),
        ("input", "right"),
    ):
        number = justify == "right"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=number)  # type: ignore[arg-type]
    known = sizes.known()
    for name, entry in sorted(models.entries().items()):
        size = known[name]
        shape = "×".join(map(str, size.input_shape))
        table.add_row(name, entry.doc, f"{size.parameters:,}", f"{size.macs:,}", shape)
    Console().print(table)
    return process.EXIT_OK


def _layers(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from cnnjax import models
    from cnnjax.analysis import cost, layers

    console, table = Console(), Table()
    given = fields(options.name, options.field)
    model = models.create(options.name, **given)
    shape = options.input or model.input_shape
    rows, each = layers.layers(model, (1, *shape)), cost.by_layer(model, (1, *shape))
    for name in ("layer", "output", "parameters", "count", "MACs"):
        table.add_column(name, justify="right" if name in ("count", "MACs") else "left")
    for row in rows:
        parameters = " ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in row.parameters.items())
        products = f"{each[row.name]:,}" if row.name in each else ""
        table.add_row(row.name, "×".join(map(str, row.output[1:])), parameters, f"{row.count:,}", products)
    console.print(table)
    entry = models.entry(options.name)
    changed = {**entry.fields, **given}
    console.print(f"{options.name}: {entry.doc}", highlight=False)
    if line := model.line():
        console.print(line, highlight=False)
    console.print(f"fields: {', '.join(f'{key}={value!r}' for key, value in changed.items())}", highlight=False)
    macs = cost.forward(model, (1, *shape))
    size = "×".join(map(str, shape))
    console.print(
        f"{sum(row.count for row in rows):,} parameters; {macs:,} MACs ({2 * macs:,} FLOPs) at {size}", highlight=False
    )
    return process.EXIT_OK


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
