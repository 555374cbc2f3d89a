"""``cnnjax look``."""

import argparse
import pathlib
from typing import TYPE_CHECKING, Any

from cnnjax import arguments
from cnnjax.commands import process

if TYPE_CHECKING:
    from cnnjax.evaluate.subject import Subject

_IMAGES = 512
"""Of the test set, that strongest activations are looked for in."""
_BATCH = 128
_FEW = 64
"""Of them, whose activations and gradients are drawn over training, in :data:`_LAYERS` layers."""
_LAYERS = 4
_UNITS = 4
"""Of the last layer before the classifier, whose percentiles are drawn."""


def add(command: process.Add) -> None:
    """Adds the command."""
    look = command(
        "look", _look, "draw what a run's network has learned: filters, features, occlusion, percentiles ..."
    )
    look.add_argument("run_folder", type=pathlib.Path, metavar="RUN", help="the folder of a finished run")
    look.add_argument("--to", type=pathlib.Path, default=pathlib.Path("pictures"), help="folder; default: pictures")
    look.add_argument("--layer", default="", help="a tap or module; default: the last one with a map")
    look.add_argument("--features", type=arguments.features, default=(), help="e.g. 0,3,7; default: the four strongest")
    look.add_argument("--image", type=arguments.position, default=0, help="number of a test image; default: 0")


def _look(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import errors
    from cnnjax.evaluate import subject

    shown = subject.read(options.run_folder)
    if options.image >= len(shown.examples.labels):
        raise errors.UserError(f"--image {options.image}: there are {len(shown.examples.labels)} test images")
    options.to.mkdir(parents=True, exist_ok=True)
    for name, figure in _pictures(shown, options):
        file = options.to / f"{name}.png"
        figure.savefig(file, dpi=150)
        process.say(str(file))
    return process.EXIT_OK


def _pictures(shown: "Subject", options: argparse.Namespace) -> Any:
    """Name and figure of each."""
    import jax.numpy as jnp
    import numpy as np

    from cnnjax.analysis import (
        deconvnet,
        features,
        layers,
        occlusion,
        percentiles,
        pictures,
        receptive_field,
        training,
    )
    from cnnjax.evaluate import subject

    model, variables = shown.model, shown.variables
    count = min(_IMAGES, len(shown.examples.labels))
    some = shown.only(np.arange(count))
    batches = [images for images, _ in some.batches(_BATCH)]
    images, labels = jnp.concatenate(batches), np.asarray(some.examples.labels)
    pixels = np.asarray(shown.task.pixels(images))
    fields = receptive_field.fields(model, (1, *images.shape[1:]))
    maps = [name for name, field in fields.items() if field.height.places > 1 and field.height.size]
    layer = options.layer or (maps[-1] if maps else next(iter(fields)))

    if (first := _first_filters(model, variables, images.shape)) is not None:
        name, kernel, stride = first
        yield "filters", pictures.filters(kernel, features.filters(kernel, stride), name)

    every = features.strongest(model, variables, batches, layer, options.features or None)
    order = every[every["rank"] == 0].sort_values("activation", ascending=False)["channel"]
    channels = options.features or tuple(order[:4])
    rows = every[every["channel"].isin(channels)].reset_index(drop=True)
    seen = features.patches(pixels[rows["image"]], rows, fields.get(layer))
    back = deconvnet.reconstructions(model, variables, images, rows, layer)
    yield "strongest", pictures.strongest(rows, seen, features.patches(back, rows, fields.get(layer)), layer)

    best = rows[rows["rank"] == 0]
    backs = {
        method: deconvnet.reconstructions(model, variables, images, best, layer, method) for method in deconvnet.METHODS
    }
    yield "methods", pictures.methods(best, pixels[best["image"]], backs, layer)

    (image, _) = next(shown.only(np.array([options.image])).batches(1))
    picture = np.asarray(shown.task.pixels(image))[0]
    label, side = int(shown.examples.labels[options.image]), min(image.shape[1:3])
    found = occlusion.occlude(model, variables, image[0], label, layer, max(1, side // 4), max(1, side // 32))
    yield "occlusion", pictures.occlusion(picture, found, shown.names, label, layer)

    names, reach, few = [next(iter(fields)), layer], max(1, side // 4), labels[:5].tolist()
    amounts = {
        "translation": np.linspace(-reach, reach, 9),
        "scale": np.linspace(0.6, 1.8, 13),
        "rotation": np.linspace(0, 180, 13),
    }
    frames = {
        each: features.invariance(model, variables, np.asarray(images[:5]), few, each, places.tolist(), names)
        for each, places in amounts.items()
    }
    classes = [shown.names[each] if shown.names else str(each) for each in few]
    yield "invariance", pictures.invariance(frames, [f"image {number}: {each}" for number, each in enumerate(classes)])

    if maps:
        at = layer if layer in maps else maps[-1]
        place = (fields[at].height.places // 2, fields[at].width.places // 2)
        influence = receptive_field.gradient(model, variables, images[:64], at, place)
        yield "receptive_field", pictures.receptive_field(picture, fields[at], place, influence, at)

    states = [(step, then.variables) for step, then in subject.follow(shown.path, every=0.0)]
    if len(states) < 2:
        process.say(
            f"nothing over training: {shown.path} has kept {len(states)} checkpoint{'s' * (len(states) != 1)}; "
            "execution.checkpoint.every and execution.checkpoint.keep say which are kept"
        )
        return
    yield "evolution", pictures.evolution(deconvnet.evolution(model, states, batches, layer, channels), layer)

    last = layers.layers(model, images.shape)[-2].name
    curves = percentiles.over_training(model, states, batches, last)
    yield "percentiles", pictures.percentiles(curves[curves["unit"].isin(range(_UNITS))], last)

    steps, followed = [step for step, _ in states], _followed(model, images.shape)
    few, of = images[:_FEW], jnp.asarray(labels[:_FEW])
    values = [training.activations(model, then, [few], followed) for _, then in states]
    slopes = [training.kernel_gradients(model, then, few, of) for _, then in states]
    for what, each in (("activations", values), ("gradients of kernels", slopes)):
        by_layer = {name: [one[name] for one in each] for name in followed}
        yield what.split()[0], pictures.histograms(steps, by_layer, what)


def _followed(model: Any, shape: tuple[int, ...]) -> list[str]:
    """Layers with a kernel from the first to the last, at most :data:`_LAYERS`, at equal distances."""
    import numpy as np

    from cnnjax.analysis import layers

    names = [each.name for each in layers.layers(model, (1, *shape[1:])) if "kernel" in each.parameters]
    return [names[place] for place in np.unique(np.linspace(0, len(names) - 1, _LAYERS).round().astype(int))]


def _first_filters(model: Any, variables: Any, shape: tuple[int, ...]) -> "tuple[str, Any, int] | None":
    """Name, kernel and stride of the first convolution; none of a network without one."""
    import numpy as np

    from cnnjax.analysis import layers, receptive_field
    from cnnjax.nn import stacking

    leaves = stacking.names(stacking.unstack(dict(variables["params"])))
    for layer in layers.layers(model, (1, *shape[1:])):
        kernel = leaves.get(f"{layer.name}/kernel")
        if kernel is not None and kernel.ndim == 4 and min(kernel.shape[:2]) > 1:
            stride = receptive_field.fields(model, (1, *shape[1:]))[layer.name].height.stride
            return layer.name, np.asarray(kernel), stride
    return None
