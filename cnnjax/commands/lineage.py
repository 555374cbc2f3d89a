"""``cnnjax lineage``."""

import argparse
import json
import shlex

from cnnjax import arguments
from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    lineage = command("lineage", _lineage, "compare the networks of ILSVRC-2012: published errors, cost, memory")
    lineage.add_argument("names", nargs="*", metavar="NAME", help="networks; default: all of the lineage")
    lineage.add_argument("--chart", type=arguments.picture, help="draw accuracy, MACs and parameters into this file")
    lineage.add_argument(
        "--fit",
        type=arguments.counts,
        help="e.g. 4,8,16: compile training steps of so many images, and compare their memory with the formula's",
    )
    lineage.add_argument("--markdown", type=arguments.file, help="write the tables to this file")
    lineage.add_argument("--json", action="store_true", help="print the tables as JSON")


def _lineage(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.table import Table

    from cnnjax import files
    from cnnjax.analysis import charts, lineage

    frames = {"costs": lineage.costs(options.names)}
    if options.chart:
        charts.lineage(frames["costs"]).savefig(options.chart, dpi=150)
    if options.fit:
        frames["memory"] = lineage.footprints(options.names, options.fit)
    if options.markdown:
        words = ["cnnjax", "lineage", *options.names]
        words += ["--fit", ",".join(map(str, options.fit))] if options.fit else []
        page = lineage.markdown([*frames.values()], shlex.join([*words, "--markdown", str(options.markdown)]))
        files.write_text(options.markdown, page)
    if options.json:
        found = {name: json.loads(frame.to_json(orient="records")) for name, frame in frames.items()}
        process.say(json.dumps(found, indent=2))
        return process.EXIT_OK
    for file in (options.chart, options.markdown):
        if file:
            process.say(str(file))
    for frame in frames.values():
        titles, rows = lineage.cells(frame)
        view = Table()
        for title in titles:
            is_text = title in ("network", "views", "source of the errors")
            view.add_column(title, justify="left" if is_text else "right", overflow="fold")
        for row in rows:
            view.add_row(*row)
        process.console().print(view)
    return process.EXIT_OK
