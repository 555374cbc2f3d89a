"""``cnnjax explain``."""

import argparse
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cnnjax import arguments
from cnnjax.commands import process

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from PIL.Image import Image

_SIDE = 640
"""Pixels of a photograph's longer side under kernels and pools."""
_EDGES = "Sobel, vertical edges"


def add(command: process.Add) -> None:
    """Adds the command."""
    explain = command("explain", _explain, "draw what kernels, pools and layers do to a photograph")
    explain.add_argument("photo", nargs="?", type=pathlib.Path, help="a picture; default: one of scikit-learn's")
    explain.add_argument(
        "--to", type=arguments.folder, default=pathlib.Path("pictures"), help="folder; default: pictures"
    )
    explain.add_argument(
        "--network", default="", help="whose maps are drawn: a run's folder, a file of weights, or a network's name"
    )
    explain.add_argument("--layer", default="", help="a tap or module of it; default: its first convolution")
    explain.add_argument("--feature", type=arguments.position, default=0, help="map that is taken apart; default: 0")
    explain.add_argument("--shift", type=arguments.count, help="pixels, seen through pools; default: 1")


def _explain(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import errors
    from cnnjax.data import picture

    if options.layer and not options.network:
        raise errors.UserError("--layer is one of a network, which --network names")
    photo = picture.read(options.photo) if options.photo else picture.sample()
    figures = list(_pictures(photo, options))
    options.to.mkdir(parents=True, exist_ok=True)
    for name, figure in figures:
        file = options.to / f"{name}.png"
        figure.savefig(file, dpi=110)
        process.say(str(file))
    return process.EXIT_OK


def _pictures(photo: "Image", options: argparse.Namespace) -> "Iterator[tuple[str, Figure]]":
    """Name and figure of each."""
    import numpy as np

    from cnnjax import errors
    from cnnjax.analysis import drawings, kernels, shifts

    if options.network:
        yield from _layers(photo, options)

    small = photo.convert("L")
    small.thumbnail((_SIDE, _SIDE))
    grey = np.asarray(small, np.float32) / 255
    responses = {name: kernels.respond(grey, kernel) for name, kernel in kernels.KERNELS.items()}
    yield "kernels", drawings.kernels(grey, responses, kernels.KERNELS)

    edges = np.maximum(responses[_EDGES], 0)
    shift = options.shift or 1
    try:
        frame = shifts.shifts(edges, shift)
    except errors.UserError as error:
        if options.shift:  # it was asked for
            raise
        process.say(f"no pools: {error}")
        return
    yield "pools", drawings.pools(edges, shifts.differences(edges, shift), frame, shift)


def _layers(photo: "Image", options: argparse.Namespace) -> "Iterator[tuple[str, Figure]]":
    import jax.numpy as jnp
    import numpy as np

    from cnnjax import errors
    from cnnjax.analysis import drawings, layers, partial_sums

    model, variables, seen = _network(options.network, photo)
    images = jnp.asarray(seen)[None]
    convolutions = [
        each.name for each in layers.layers(model, images.shape) if len(each.parameters.get("kernel", ())) == 4
    ]
    if not convolutions:
        raise errors.UserError(f"{options.network} has no convolution whose maps could be drawn")
    layer = options.layer or convolutions[0]
    values = np.asarray(layers.tapped(*layers.unrolled(model, variables), images, layer)[0])
    if values.ndim != 3:
        raise errors.UserError(f"{layer} has no maps: its shape is {values.shape}")
    yield "maps", drawings.maps(seen, values, layer)
    if layer in convolutions:
        found = partial_sums.partial_sums(model, variables, images, layer, options.feature)
        yield "sums", drawings.sums(found, layer, options.feature)
    else:
        process.say(
            f"no partial sums: {layer} is no convolution; {convolutions[0]} is, and {len(convolutions) - 1} more"
        )


def _network(name: str, photo: "Image") -> "tuple[Any, Any, np.ndarray]":
    """A network, its variables, and the photograph as it sees it."""
    import jax
    import jax.numpy as jnp

    from cnnjax import errors, models
    from cnnjax.data.picture import Picture
    from cnnjax.interop import weights

    if pathlib.Path(name).exists():
        record, variables = weights.read(name)
        return record.create(), variables, record.picture(photo)
    if name not in models.entries():
        raise errors.unknown("network", name, models.entries(), "or a run's folder, or a file of weights")
    model = models.create(name)
    height, width, channels = model.input_shape
    half = (0.5,) * channels
    seen = Picture(max(height, width), (height, width), half, half)(photo)
    process.say(f"{name} as it starts, with weights that have learned nothing")
    return model, model.init(jax.random.key(0), jnp.asarray(seen)[None]), seen
