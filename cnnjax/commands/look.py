"""``cnnjax look``."""

import argparse
import pathlib

from cnnjax import arguments
from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    look = command(
        "look", _look, "draw what a run's network has learned: filters, features, occlusion, evidence, training ..."
    )
    look.add_argument("run_folder", type=pathlib.Path, metavar="RUN", help="the folder of a finished run")
    look.add_argument("--to", type=arguments.folder, default=pathlib.Path("pictures"), help="folder; default: pictures")
    look.add_argument(
        "--layer",
        default="",
        help="a tap or module; default: the last tap or block whose windows are smaller than the image",
    )
    look.add_argument("--features", type=arguments.features, default=(), help="e.g. 0,3,7; default: the four strongest")
    look.add_argument("--image", type=arguments.position, default=0, help="number of a test image; default: 0")
    look.add_argument(
        "--against",
        type=pathlib.Path,
        metavar="RUN",
        help="another run of the same network, to whose weights the loss is followed; default: from the first checkpoint",
    )


def _look(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import errors
    from cnnjax.commands import album

    scene = album.scene(options.run_folder, options.layer, options.features, options.image, options.against)
    options.to.mkdir(parents=True, exist_ok=True)
    reasons: dict[str, list[str]] = {}
    for name, draw in album.PICTURES.items():
        try:
            figure = draw(scene)
        except errors.UserError as error:
            reasons.setdefault(str(error), []).append(name)
            continue
        file = options.to / f"{name}.png"
        figure.savefig(file, dpi=150)
        process.say(str(file))
    for reason, names in reasons.items():
        process.say(f"no {', '.join(names)}: {reason}")
    if len(scene.kept) > 1 and (first := min(scene.kept)) > max(scene.kept) / 4:
        process.say(
            f"what changes in training is seen from step {first} of {max(scene.kept)} on: execution.checkpoint.every and "
            "execution.checkpoint.keep say which are kept"
        )
    return process.EXIT_OK
