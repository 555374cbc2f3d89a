"""``cnnjax data``."""

import argparse
import pathlib

from cnnjax import arguments, errors
from cnnjax.commands import process

_DATA_DIR = "default: $CNNJAX_DATA_DIR or ~/tensorflow_datasets"


def add(command: process.Add) -> None:
    """Adds the command."""
    data = command("data", _list, "list the data sets that are shipped, or prepare one")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the builders")
    prepare = actions.add_parser("prepare", help="write a set once, to be read from then on")
    prepare.set_defaults(run=_prepare)
    prepare.add_argument("name")
    prepare.add_argument("--from", dest="source", type=pathlib.Path, help="folder with the original files")
    prepare.add_argument("--images", type=pathlib.Path, help="a folder of class folders with pictures, instead")
    about = "of these pictures, pixels; 0 keeps their files; default 224"
    prepare.add_argument("--side", type=arguments.position, default=224, help=about)
    prepare.add_argument(
        "--split", type=arguments.shares, default=(10, 15, 75), help="per cent of test/valid/train; default 10/15/75"
    )
    prepare.add_argument("--data-dir", type=pathlib.Path, help=_DATA_DIR)
    export = actions.add_parser("export", help="write an example as a picture")
    export.set_defaults(run=_export)
    export.add_argument("name")
    export.add_argument("index", type=int, help="of the example, from 0 on")
    export.add_argument("to", type=pathlib.Path, help="e.g. example.png")
    export.add_argument("--split", default="train", help="default train")
    export.add_argument("--invert", action="store_true", help="exchange light and dark")
    export.add_argument("--data-dir", type=pathlib.Path, help=_DATA_DIR)


def _list(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import data

    for name in sorted(data.BUILDERS):
        process.say(name)
    return process.EXIT_OK


def _prepare(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import data

    if options.images and options.source:
        raise errors.UserError("--images is a folder of class folders, --from one of original files: give one of them")
    prepared = (
        data.prepare_folder(options.name, options.images, options.side, options.split, options.data_dir)
        if options.images
        else data.prepare(options.name, options.data_dir, options.source)
    )
    left_out = prepared.folder / "left_out.txt"
    lines = left_out.read_text().splitlines() if left_out.exists() else []
    for line in lines:
        process.say(f"left out: {line}")
    process.say(f"{options.name} is prepared{f', without {len(lines)} images' if lines else ''}: {prepared.folder}")
    return process.EXIT_OK


def _export(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import data
    from cnnjax.data import picture

    examples = data.load(options.name, options.split, options.data_dir)
    if not 0 <= options.index < len(examples.labels):
        raise errors.UserError(f"{options.name} {options.split} has the examples 0 to {len(examples.labels) - 1}")
    picture.write(options.to, examples.images[options.index], examples.white, options.invert)
    label = examples.labels[options.index]
    names = [examples.class_names[each] for each in (label.nonzero()[0] if label.ndim else [label])]
    classes = f"class{'es' * (len(names) != 1)} {', '.join(names) or 'none'}"
    process.say(f"{options.to}: example {options.index} of {options.name} {options.split}, {classes}")
    return process.EXIT_OK
