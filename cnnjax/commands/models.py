"""``cnnjax models``."""

import argparse
from collections.abc import Sequence

from cnnjax import arguments
from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    models = command("models", _models, "list the networks, or print the layers of one")
    models.add_argument("name", nargs="?")
    models.add_argument("field", nargs="*", help="fields of the network, e.g. shortcut=B")
    models.add_argument(
        "--input", type=arguments.shape, default=(32, 32, 3), help="height, width, channels; default 32x32x3"
    )


def _models(options: argparse.Namespace, settings: list[str]) -> int:
    process.leave_devices_to_workers()
    from rich.console import Console
    from rich.table import Table

    from cnnjax import models
    from cnnjax.analysis import cost, layers

    console = Console()
    table = Table()
    if not options.name:
        for name in ("name", "what it is", "fields"):
            table.add_column(name)
        for name, entry in models.entries().items():
            table.add_row(name, entry.doc, ", ".join(f"{key}={value}" for key, value in entry.fields.items()))
        console.print(table)
        return process.EXIT_OK
    model = models.create(options.name, **fields(options.name, options.field))
    rows = layers.layers(model, (1, *options.input))
    for name, justify in (("layer", "left"), ("output", "left"), ("parameters", "left"), ("count", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        parameters = " ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in row.parameters.items())
        table.add_row(row.name, "×".join(map(str, row.output[1:])), parameters, f"{row.count:,}")
    console.print(table)
    macs = cost.forward(model, (1, *options.input))
    size = "×".join(map(str, options.input))
    console.print(
        f"{options.name}: {sum(row.count for row in rows):,} parameters; {macs:,} MACs ({2 * macs:,} FLOPs) at {size}"
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
        except (ValueError, SyntaxError):
            found[key] = text
    return found
