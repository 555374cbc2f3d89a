"""``cnnjax data``."""

import argparse
import pathlib

from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    data = command("data", _data, "list the data sets that are shipped, or prepare one")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the builders").set_defaults(name="")
    prepare = actions.add_parser("prepare", help="write a set once, to be read from then on")
    prepare.add_argument("name")
    prepare.add_argument("--from", dest="source", type=pathlib.Path, help="folder with the original files")
    prepare.add_argument("--data-dir", type=pathlib.Path, help="default: $CNNJAX_DATA_DIR or ~/tensorflow_datasets")


def _data(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import data

    if options.name:
        prepared = data.prepare(options.name, options.data_dir, options.source)
        process.say(f"{options.name} is prepared: {prepared.folder}")
    else:
        for name in sorted(data.BUILDERS):
            process.say(name)
    return process.EXIT_OK
