"""``cnnjax convolution``."""

import argparse
import json

from cnnjax import arguments
from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    convolution = command(
        "convolution", _convolution, "compare the cost of regular, grouped, separable and 1×1 convolution"
    )
    convolution.add_argument("input", type=arguments.shape, help="the map, e.g. 32x32x192")
    convolution.add_argument("maps", type=arguments.count, help="channels of the result")
    convolution.add_argument("--window", type=arguments.count, default=3, help="side of the kernel; default: 3")
    convolution.add_argument("--groups", type=arguments.count, default=2, help="of the grouped one; default: 2")
    convolution.add_argument(
        "--reduce",
        type=arguments.count,
        default=0,
        help="channels after a reduction by 1×1; default: half of the map's",
    )
    convolution.add_argument("--json", action="store_true", help="print it as JSON")


def _convolution(options: argparse.Namespace, settings: list[str]) -> int:
    process.leave_devices_to_workers()
    from rich.table import Table

    from cnnjax import errors
    from cnnjax.analysis import convolutions

    if len(options.input) != 3:
        given = "x".join(map(str, options.input))
        raise errors.UserError(f"a map is height, width and channels, 32x32x192, not {given}")
    found = convolutions.table(options.input, options.maps, options.window, options.groups, options.reduce)
    if options.json:
        process.say(json.dumps(json.loads(found.to_json(orient="records")), indent=2))
        return process.EXIT_OK
    view = Table(caption="MACs: multiply-accumulates of one image; without biases, at stride 1, the map keeps its size")
    for name in ("kind", "convolutions", "parameters", "MACs", "values", "MACs, % of regular"):
        view.add_column(name, justify="left" if name in ("kind", "convolutions") else "right", overflow="fold")
    for row in found.to_dict("records"):
        counts = (f"{row[name]:,}" for name in ("parameters", "macs", "values"))
        view.add_row(row["kind"], row["steps"], *counts, f"{100 * row['share']:.1f}")
    process.console().print(view)
    return process.EXIT_OK
