"""The pictures of a finished run: one function each, which raises a `UserError` where the run has no place for it."""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas
from matplotlib.figure import Figure

from cnnjax import errors
from cnnjax.analysis import (
    attribution,
    charts,
    deconvnet,
    features,
    layers,
    occlusion,
    percentiles,
    pictures,
    receptive_field,
    responses,
    training,
)
from cnnjax.analysis.receptive_field import Field
from cnnjax.evaluate import subject
from cnnjax.evaluate.subject import Subject
from cnnjax.nn import stacking

_IMAGES = 512
"""Of the test set, that are looked at."""
_BATCH = 128
_FEW = 64
"""Of them, whose activations and gradients are drawn over training, in :data:`_LAYERS` layers."""
_LAYERS = 4
_UNITS = 4
"""Of the last layer before the classifier, whose percentiles are drawn."""
_CURVES = 5
"""Checkpoints at most of which each layer has a value in a chart."""
_LINES = 4
"""Images for which evidence and neighbours are shown."""
_PARTS = 9
"""Places at which the same part of :data:`_ALIKE` images is hidden, and draws of different places."""
_ALIKE = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """What the pictures show.

    Attributes:
      shown: the run.
      number: of the test image that is looked at closely.
      layer: whose features are shown.
      asked: that layer where the user has asked for it, else empty.
      channels: features that were asked for; empty: the strongest ones.
      other: a run of the same network, to which the line of losses goes.
      kept: step → variables, of each checkpoint of the run.
    """

    shown: Subject
    number: int
    layer: str
    asked: str
    channels: tuple[int, ...]
    other: Subject | None
    kept: Mapping[int, Mapping[str, Any]]

    @property
    def model(self) -> Any:
        return self.shown.model

    @property
    def variables(self) -> Mapping[str, Any]:
        return self.shown.variables

    @functools.cached_property
    def examples(self) -> list[tuple[jax.Array, np.ndarray]]:
        """The first test images, preprocessed, and their labels, in batches."""
        return [*self.shown.only(np.arange(min(_IMAGES, len(self.shown.examples.labels)))).batches(_BATCH)]

    @property
    def batches(self) -> list[jax.Array]:
        return [images for images, _ in self.examples]

    @functools.cached_property
    def images(self) -> jax.Array:
        return jnp.concatenate(self.batches)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        return np.concatenate([labels for _, labels in self.examples])

    @functools.cached_property
    def pixels(self) -> np.ndarray:
        """The images as they were before they were preprocessed."""
        return np.asarray(self.shown.task.pixels(self.images))

    @functools.cached_property
    def image(self) -> jax.Array:
        """The one that is looked at closely, preprocessed, ``[1, H, W, C]``."""
        return next(self.shown.only(np.array([self.number])).batches(1))[0]

    @property
    def side(self) -> int:
        """Of the images, the shorter one, px."""
        return min(self.image.shape[1:3])

    @functools.cached_property
    def fields(self) -> dict[str, Field]:
        return receptive_field.fields(self.model, self.image.shape)

    @property
    def maps(self) -> list[str]:
        """Layers with more than one place."""
        return [name for name, field in self.fields.items() if field.height.places * field.width.places > 1]

    @functools.cached_property
    def layers(self) -> list[layers.Layer]:
        """Those with parameters."""
        return layers.layers(self.model, self.image.shape)

    @property
    def last(self) -> str:
        """The last layer with parameters before the classifier."""
        if len(self.layers) < 2:
            raise errors.UserError("the network has no layer before its classifier")
        return self.layers[-2].name

    @property
    def code(self) -> str:
        """What the classifier is given."""
        names = [*self.fields]
        if not (place := names.index(self.layers[-1].name)):
            raise errors.UserError("the network has no layer before its classifier")
        return names[place - 1]

    @functools.cached_property
    def rows(self) -> pandas.DataFrame:
        """Where the features of the layer are strongest."""
        every = features.strongest(self.model, self.variables, self.batches, self.layer, self.channels or None)
        order = every[every["rank"] == 0].sort_values("activation", ascending=False)["channel"]
        return every[every["channel"].isin(self.channels or tuple(order[:4]))].reset_index(drop=True)

    @property
    def states(self) -> Mapping[int, Mapping[str, Any]]:
        """What is kept, where there are two: something over training."""
        if len(self.kept) < 2:
            raise errors.UserError(
                f"{self.shown.path} has kept {len(self.kept)} checkpoint{'s' * (len(self.kept) != 1)}; "
                "execution.checkpoint.every and execution.checkpoint.keep say which are kept"
            )
        return self.kept

    @property
    def some(self) -> dict[str, Mapping[str, Any]]:
        """What a curve is called → variables: checkpoints from the first to the last; of a single one, the run's end."""
        if len(self.kept) < 2:
            return {"at the end": self.variables}
        return {f"step {step}": self.kept[step] for step in _spread([*self.kept], _CURVES)}

    @property
    def few(self) -> list[int]:
        """Numbers of a few images, the one that is looked at closely first where it is among the first ones."""
        first = [self.number] if self.number < len(self.labels) else []
        return [*dict.fromkeys([*first, *range(min(_LINES, len(self.labels)))])][:_LINES]

    def name(self, label: int) -> str:
        """Of a class."""
        return self.shown.names[label] if self.shown.names else str(label)


def scene(run: pathlib.Path, layer: str, channels: tuple[int, ...], number: int, against: pathlib.Path | None) -> Scene:
    """What is looked at of a run.

    Args:
      run: its folder.
      layer: a tap or module; empty: the last tap or block whose windows are smaller than the image.
      channels: features of it; empty: the strongest ones.
      number: of a test image.
      against: the folder of another run of the same network.

    Raises:
      UserError: no such run, layer, feature or image, or the other run is of another network.
    """
    shown = subject.read(run)
    if number >= len(shown.examples.labels):
        raise errors.UserError(f"--image {number}: there are {len(shown.examples.labels)} test images")
    other = subject.read(against) if against else None
    if other:
        training.changes(shown.variables["params"], other.variables["params"])  # refuses other networks
    kept = {step: then.variables for step, then in subject.follow(run, every=0.0)}
    found = Scene(shown, number, layer, layer, channels, other, kept)
    found = found if layer else dataclasses.replace(found, layer=_layer(found))
    # What was asked for is refused before anything is drawn.
    features.strongest(shown.model, shown.variables, [found.image], found.layer, channels or None)
    return found


def _layer(scene: Scene) -> str:
    """The last tap or block whose windows are a part of the image; else the last with a map, else the first layer."""
    taps = [name for name, _ in layers.trace(scene.model, scene.image.shape).taps]
    inner = {layer.name for layer in scene.layers if layer.name not in taps}
    parts = [name for name in scene.maps if features.is_part(scene.fields[name], scene.image.shape[1:])]
    ranked = [[name for name in parts if name not in inner], parts, scene.maps]
    if not any(ranked):
        return scene.layers[0].name
    names = next(names for names in ranked if names)
    # The next block's shortcut hands on what a block puts out, and sees no more of the image.
    sizes = {name: (scene.fields[name].height.size, scene.fields[name].width.size) for name in names}
    same = [name for name in names if sizes[name] == sizes[names[-1]]]
    return [*same[:1], *(name for name in same if name in taps)][-1]


def _filters(scene: Scene) -> Figure:
    leaves = stacking.names(stacking.unstack(dict(scene.variables["params"])))
    for layer in scene.layers:
        kernel = leaves.get(f"{layer.name}/kernel")
        if kernel is not None and kernel.ndim == 4 and min(kernel.shape[:2]) > 1:
            stride = scene.fields[layer.name].height.stride
            return pictures.filters(np.asarray(kernel), features.filters(kernel, stride), layer.name)
    raise errors.UserError("the network has no convolution whose windows are larger than a pixel")


def _strongest(scene: Scene) -> Figure:
    rows, field = scene.rows, scene.fields.get(scene.layer)
    back = deconvnet.reconstructions(scene.model, scene.variables, scene.images, rows, scene.layer)
    seen = features.patches(scene.pixels[rows["image"]], rows, field)
    return pictures.strongest(rows, seen, features.patches(back, rows, field), scene.layer)


def _methods(scene: Scene) -> Figure:
    best = scene.rows[scene.rows["rank"] == 0]
    backs = {
        method: deconvnet.reconstructions(scene.model, scene.variables, scene.images, best, scene.layer, method)
        for method in deconvnet.METHODS
    }
    return pictures.methods(best, scene.pixels[best["image"]], backs, scene.layer)


def _occlusion(scene: Scene) -> Figure:
    label, size, stride = int(scene.shown.examples.labels[scene.number]), scene.side // 4, scene.side // 32
    found = occlusion.occlude(
        scene.model, scene.variables, scene.image[0], label, scene.layer, max(1, size), max(1, stride)
    )
    picture = np.asarray(scene.shown.task.pixels(scene.image))[0]
    return pictures.occlusion(picture, found, scene.shown.names, label, scene.layer)


def _correspondence(scene: Scene) -> Figure:
    """Of images of one class, which lie alike in sets whose objects are in the middle."""
    label, size = int(scene.shown.examples.labels[scene.number]), max(1, scene.side // 4)
    images = scene.images[np.flatnonzero(scene.labels == label)[:_ALIKE]]
    ends = np.array(images.shape[1:3]) - size
    ways = round(_PARTS**0.5)
    rows, columns = (np.linspace(0, end, ways).round().astype(int).tolist() for end in ends)
    random = np.random.default_rng(0).integers(0, ends + 1, (_PARTS, len(images), 2)).tolist()
    parts = [("the same place", [(row, column)] * len(images)) for row in rows for column in columns]
    parts += [("different places", [(row, column) for row, column in each]) for each in random]
    names = [*dict.fromkeys([scene.layers[0].name, scene.layer, *scene.maps[-1:], scene.code])]
    frame = occlusion.correspondences(scene.model, scene.variables, images, parts, names, size)
    heading = f"{size}×{size} pixels hidden in {len(images)} images of class {scene.name(label)}: lower is more alike"
    return charts.correspondence(frame, heading)


def _invariance(scene: Scene) -> Figure:
    names, reach, few = [scene.layers[0].name, scene.layer], max(1, scene.side // 4), scene.labels[:5].tolist()
    amounts = {
        "translation": np.linspace(-reach, reach, 9),
        "scale": np.linspace(0.6, 1.8, 13),
        "rotation": np.linspace(0, 180, 13),
    }
    still = np.asarray(scene.images[:5])
    frames = {
        each: features.invariance(scene.model, scene.variables, still, few, each, places.tolist(), names)
        for each, places in amounts.items()
    }
    return charts.invariance(frames, [f"image {number}: {scene.name(each)}" for number, each in enumerate(few)])


def _receptive_field(scene: Scene) -> Figure:
    field = scene.fields.get(scene.layer)
    if field is None or field.height.places * field.width.places == 1:
        raise errors.UserError(f"{scene.layer} has no map")
    place = (field.height.places // 2, field.width.places // 2)
    field.window(*place)  # refuses a layer without windows before the gradient is taken
    influence = receptive_field.gradient(scene.model, scene.variables, scene.images[:_FEW], scene.layer, place)
    picture = np.asarray(scene.shown.task.pixels(scene.image))[0]
    return pictures.receptive_field(picture, field, place, influence, scene.layer)


def _grad_cam(scene: Scene) -> Figure:
    return _evidence(scene, attribution.grad_cam, scene.asked or _last_map(scene), "Grad-CAM")


def _class_activation(scene: Scene) -> Figure:
    return _evidence(scene, attribution.class_activation, _last_map(scene), "class activation map")


def _last_map(scene: Scene) -> str:
    if not scene.maps:
        raise errors.UserError("the network has no map")
    return scene.maps[-1]


def _evidence(scene: Scene, measure: Callable[..., np.ndarray], layer: str, what: str) -> Figure:
    """Of a few images for their class, and for the most probable other one."""
    few = np.array(scene.few)
    images, labels = scene.images[few], scene.labels[few]
    chances = np.array(jax.nn.softmax(scene.model.apply(scene.variables, images)[0]))
    lines = np.arange(len(few))
    others = np.where(np.arange(chances.shape[1]) == labels[:, None], -1, chances).argmax(1)
    maps = [measure(scene.model, scene.variables, images, jnp.asarray(each), layer) for each in (labels, others)]
    asked = [
        [
            f"{word}: {scene.name(each)}, p {chance:.2f}"
            for each, chance in zip(wanted, chances[lines, wanted], strict=True)
        ]
        for word, wanted in (("its class", labels), ("the next", others))
    ]
    titles = [*zip([f"image {number}" for number in few], *asked, strict=True)]
    return pictures.evidence(scene.pixels[few], np.stack(maps, 1), titles, f"{layer}: {what}, in logits")


def _neighbours(scene: Scene) -> Figure:
    found = training.activations(scene.model, scene.variables, scene.batches, [scene.code])[scene.code]
    queries, count = scene.few, min(8, len(found) - 1)
    # Every image is its own nearest one.
    near = features.neighbours(found, found[queries], count + 1)
    others = [[each for each in row if each != query][:count] for query, row in zip(queries, near, strict=True)]
    names = [scene.name(label) for label in scene.labels]
    return pictures.neighbours(scene.pixels, queries, np.array(others), names, scene.code)


def _dead(scene: Scene) -> Figure:
    frames = {
        label: training.dead(scene.model, then, scene.batches).set_index("layer") for label, then in scene.some.items()
    }
    if all(frame.empty for frame in frames.values()):
        raise errors.UserError("no layer of the network is rectified")
    shares = {label: 100 * frame["share"] for label, frame in frames.items()}
    heading = f"features that are zero everywhere in {len(scene.labels)} test images"
    return charts.by_depth({"dead features, %": shares}, heading, log=False)


def _gradient_norms(scene: Scene) -> Figure:
    few, labels = scene.images[:_FEW], jnp.asarray(scene.labels[:_FEW])
    frames = {
        label: training.gradients(scene.model, then, few, labels).set_index("layer")
        for label, then in scene.some.items()
    }
    measures = {"norm of the gradient": "gradient", "norm of the gradient / norm of the kernel": "ratio"}
    lines = {what: {label: frame[name] for label, frame in frames.items()} for what, name in measures.items()}
    return charts.by_depth(lines, f"the loss's gradient by each kernel, of {len(few)} test images")


def _responses(scene: Scene) -> Figure:
    lines = {
        label: pandas.Series(responses.deviations(scene.model, then, scene.batches))
        for label, then in scene.some.items()
    }
    heading = "layer responses: after normalisation, before activation and sum"
    return charts.by_depth({"standard deviation": lines}, heading, log=False)


def _evolution(scene: Scene) -> Figure:
    channels = [*dict.fromkeys(scene.rows["channel"])]
    found = deconvnet.evolution(scene.model, scene.states.items(), scene.batches, scene.layer, channels)
    return pictures.evolution(found, scene.layer)


def _percentiles(scene: Scene) -> Figure:
    curves = percentiles.over_training(scene.model, scene.states.items(), scene.batches, scene.last)
    return charts.percentiles(curves[curves["unit"].isin(range(_UNITS))], scene.last)


def _activations(scene: Scene) -> Figure:
    few, names = scene.images[:_FEW], _followed(scene)
    each = [training.activations(scene.model, then, [few], names) for then in scene.states.values()]
    return charts.histograms([*scene.states], {name: [one[name] for one in each] for name in names}, "activations")


def _gradients(scene: Scene) -> Figure:
    few, labels = scene.images[:_FEW], jnp.asarray(scene.labels[:_FEW])
    each = [training.kernel_gradients(scene.model, then, few, labels) for then in scene.states.values()]
    values = {name: [one[name] for one in each] for name in _followed(scene)}
    return charts.histograms([*scene.states], values, "gradients of kernels")


def _updates(scene: Scene) -> Figure:
    steps = _spread([*scene.states], _CURVES)
    kernels = [layer.name for layer in scene.layers if "kernel" in layer.parameters]
    norms, moves = {}, {}
    for before, after in itertools.pairwise(steps):
        frame = training.changes(scene.states[before]["params"], scene.states[after]["params"])
        frame = frame.set_index(frame["parameter"].str.removesuffix("/kernel")).loc[kernels]
        norms[f"step {before}"] = frame["norm"]
        moves[f"step {before} to {after}"] = frame["ratio"]
    measures = {"norm of the kernel": norms, "norm of its change / norm before": moves}
    return charts.by_depth(measures, "how large kernels are, and how far they move between checkpoints")


def _line(scene: Scene) -> Figure:
    if scene.other:
        (one, start), (other, end) = ((str(each.path), each.variables) for each in (scene.shown, scene.other))
    else:
        (one, start), *_, (other, end) = ((f"step {step}", then) for step, then in scene.states.items())
    shares = np.linspace(0, 1, 21).tolist()
    frame = training.along_line(scene.model, start, end, lambda: scene.examples, shares)
    return charts.line(frame, one, other)


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most so many, at equal distances, the first and the last among them."""
    return [items[place] for place in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))]


def _followed(scene: Scene) -> list[str]:
    """Layers with a kernel from the first to the last."""
    return _spread([layer.name for layer in scene.layers if "kernel" in layer.parameters], _LAYERS)


PICTURES: dict[str, Callable[[Scene], Figure]] = {
    "filters": _filters,
    "strongest": _strongest,
    "methods": _methods,
    "occlusion": _occlusion,
    "correspondence": _correspondence,
    "invariance": _invariance,
    "receptive_field": _receptive_field,
    "grad_cam": _grad_cam,
    "class_activation": _class_activation,
    "neighbours": _neighbours,
    "dead": _dead,
    "responses": _responses,
    "gradient_norms": _gradient_norms,
    "evolution": _evolution,
    "percentiles": _percentiles,
    "activations": _activations,
    "gradients": _gradients,
    "updates": _updates,
    "line": _line,
}
"""Name → what draws it, in the order in which they are drawn."""
