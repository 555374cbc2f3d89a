"""``cnnjax models``."""

import argparse

from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    command("models", _models, "list the networks")


def _models(options: argparse.Namespace, settings: list[str]) -> int:
    process.leave_devices_to_workers()
    from rich.console import Console
    from rich.table import Table

    from cnnjax import models
    from cnnjax.analysis import sizes

    table = Table(caption="MACs: multiply-accumulates of one image; `cnnjax describe NAME` prints layers and fields")
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
