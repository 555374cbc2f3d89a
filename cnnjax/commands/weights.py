"""``cnnjax weights`` and ``cnnjax predict``."""

import argparse
import dataclasses
import functools
import pathlib
import sys

from cnnjax import arguments, errors
from cnnjax.commands import process
from cnnjax.commands.describe import fields


def add(command: process.Add) -> None:
    """Adds the commands."""
    weights = command("weights", _list, "read weights of other packages, and write them")
    actions = weights.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the packages and their networks")
    bring = actions.add_parser("import", help="make another package's weights ours")
    bring.set_defaults(run=_import)
    bring.add_argument("source", help="a package, see `cnnjax weights list`")
    bring.add_argument("file", type=pathlib.Path, help="a state dictionary: .safetensors, or as torch.save writes it")
    bring.add_argument(
        "--model",
        required=True,
        nargs="+",
        metavar=("NAME", "FIELD=VALUE"),
        help="its name, there or here; fields of ours where the file departs from theirs, e.g. auxiliary=none",
    )
    normalised = "a number a channel: of its pictures, where they are not as the package has them"
    bring.add_argument("--mean", type=arguments.channels, help=normalised)
    bring.add_argument("--std", type=arguments.channels, help=normalised)
    bring.add_argument("--to", type=pathlib.Path, help="default: <model>.safetensors")
    send = actions.add_parser("export", help="write weights as another package has them")
    send.set_defaults(run=_export)
    send.add_argument("weights", type=pathlib.Path, help="a file of weights, or the folder of a finished run")
    send.add_argument("source", help="a package, or cnnjax")
    send.add_argument("--to", type=pathlib.Path, required=True, help="a .safetensors file")

    predict = command("predict", _predict, "name what is in pictures")
    predict.add_argument("pictures", nargs="+", type=pathlib.Path, help="files, or folders of them")
    trained = predict.add_mutually_exclusive_group(required=True)
    trained.add_argument("--run", dest="folder", type=pathlib.Path, help="the folder of a finished run")
    trained.add_argument("--weights", type=pathlib.Path, help="a file that was imported, or another package's")
    predict.add_argument("--source", default="", help="the package that the file is of, where it was not imported")
    predict.add_argument("--model", default="", help="the network, where the file is another package's")
    predict.add_argument("--classes", type=pathlib.Path, help="a file with their names, one a line")
    predict.add_argument("--top", type=arguments.count, default=5, help="classes shown; default 5")
    predict.add_argument("--batch", type=arguments.count, default=32, help="pictures computed at once; default 32")
    predict.add_argument("--invert", action="store_true", help="exchange light and dark")
    predict.add_argument(
        "--threshold", type=arguments.share, help="in 0 ... 1: what is above it becomes white, the rest black"
    )
    predict.add_argument("--json", action="store_true", help="one JSON object a picture")


def _list(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console
    from rich.table import Table

    from cnnjax.interop.sources import SOURCES

    table = Table()
    for name in ("package", "its network", "ours", "with"):
        table.add_column(name, overflow="fold")
    for source, counterparts in SOURCES.items():
        for each in counterparts:
            changed = ", ".join(f"{key}={value}" for key, value in each.fields.items())
            table.add_row(source, each.theirs, each.model, changed)
    Console().print(table)
    return process.EXIT_OK


def _import(options: argparse.Namespace, settings: list[str]) -> int:
    process.leave_devices_to_workers()
    from cnnjax.interop import sources, weights

    name, *changes = options.model
    counterpart = sources.find(options.source, name)
    record, variables = sources.read(options.source, options.file, name, fields(counterpart.model, changes))
    changed = {key: value for key in ("mean", "std") if (value := getattr(options, key))}
    record = dataclasses.replace(record, picture=dataclasses.replace(record.picture, **changed))
    record.check()
    if counterpart.note and not changed:
        process.say(f"note: {counterpart.note}")
    to = options.to or pathlib.Path(f"{record.model}.safetensors")
    weights.save(to, record, variables)
    process.say(f"{to}: {record.model}, {record.fields['num_classes']} classes, from {record.origin}")
    return process.EXIT_OK


def _export(options: argparse.Namespace, settings: list[str]) -> int:
    process.leave_devices_to_workers()
    from cnnjax.interop import sources, weights

    if options.to.suffix != ".safetensors":
        raise errors.UserError(f"--to names a .safetensors file, not {options.to}")
    record, variables = weights.read(options.weights)
    if options.source == "cnnjax":
        weights.save(options.to, record, variables)
    else:
        sources.write(options.source, options.to, record, variables)
    process.say(f"{options.to}: {record.model}, in the names of {options.source}")
    return process.EXIT_OK


def _predict(options: argparse.Namespace, settings: list[str]) -> int:
    import json

    from cnnjax.evaluate import predict
    from cnnjax.interop import sources, weights

    file = options.folder or options.weights
    if bool(options.source) != bool(options.model):
        raise errors.UserError("--source and --model belong together: the package, and its network")
    found = sources.read(options.source, file, options.model) if options.source else weights.read(file)
    record, variables = found
    picture = dataclasses.replace(
        record.picture,
        invert=record.picture.invert != options.invert,
        threshold=record.picture.threshold if options.threshold is None else options.threshold,
    )
    record = dataclasses.replace(record, picture=picture)
    if options.classes:
        try:
            names = tuple(options.classes.read_text(encoding="utf-8").splitlines())
        except UnicodeDecodeError as error:
            raise errors.UserError(f"{options.classes} is no text in UTF-8: {error}") from None
        if len(names) != record.create().num_classes:
            raise errors.UserError(
                f"{options.classes} names {len(names)} classes, and the network has {record.create().num_classes}"
            )
        record = dataclasses.replace(record, classes=names)
    failed = False
    pictures, say = predict.pictures(options.pictures), functools.partial(print, file=sys.stderr)
    for each in predict.predict(record, variables, pictures, options.top, options.batch, say):
        if each.problem:
            failed = True
            print(f"cnnjax: failed: {each.problem}", file=sys.stderr)
        elif options.json:
            top = [{"class": name, "probability": value} for name, value in each.top]
            process.say(json.dumps({"picture": str(each.path), "top": top}))
        else:
            shown = ", ".join(f"{name} {value:.4f}" for name, value in each.top)
            process.say(f"{each.path}: {shown}")
    return process.EXIT_FAILED if failed else process.EXIT_OK
