"""The lineage on ILSVRC-2012: what was published of its networks, beside what they cost.

Errors are of single networks on the validation set, and were not measured here. Only those of one view, the centre of an
image, can be compared; LeNet-5 has no such error, since its images are digits.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas

from cnnjax import errors, models
from cnnjax.analysis import cost, memory, sizes
from cnnjax.analysis.memory import MIB

ONE_VIEW = "centre"
MEMORY = 16 * 2**30
"""Bytes that a largest batch is asked for."""
_COSTS = (
    "Errors of single networks on ILSVRC-2012's validation set are published ones; parameters (without auxiliary classifiers)\n"
    "and multiply-accumulates (MACs) of one image are counted here."
)
_FOOTPRINTS = (
    "Memory of a training step with momentum in float32, by the formula 3 × parameters + 2 × values × images, and by the\n"
    "compiler on a CPU. Copies of parameters and values: a line through the compiled steps, in the formula's terms. Largest\n"
    "batch: in 16 GiB. `cnnjax.analysis.lineage.footprints` says why they differ. FLOPs of a step: as the compiler counts\n"
    "them, and what that is of three times those of an evaluation."
)


class Published(NamedTuple):
    """What was published of a network.

    Attributes:
      year: of the paper.
      top1, top5: errors in per cent; ``None``: none was.
      views: what they are of: :data:`ONE_VIEW`, or another protocol.
      source: where they stand.
    """

    year: int
    top1: float | None
    top5: float | None
    views: str
    source: str


NETWORKS = {
    "lenet5": Published(1998, None, None, "", "LeCun et al. 1998: digits"),
    "alexnet": Published(
        2012, 42.9, 19.8, ONE_VIEW, "bvlc_alexnet in Caffe's model zoo; the paper's 40.7 / 18.2 is of ten views"
    ),
    "zfnet": Published(2013, 38.4, 16.5, "not said", "Zeiler & Fergus 2013, Table 2"),
    "nin_imagenet": Published(2013, 40.64, None, ONE_VIEW, "nin_imagenet in Caffe's model zoo, by the authors"),
    "vgg16": Published(2014, 28.5, 9.9, ONE_VIEW, "released weights, in the README of He et al.'s released networks"),
    "googlenet": Published(2014, 29.0, 9.2, ONE_VIEW, "Szegedy et al. 2015 (Inception v3), Table 3"),
    "bn_inception": Published(2015, 25.2, 7.8, ONE_VIEW, "Szegedy et al. 2015 (Inception v3), Table 3"),
    "inception_v3": Published(2015, 21.2, 5.6, ONE_VIEW, "Szegedy et al. 2015 (Inception v3), Table 3"),
    "resnet50": Published(2015, 24.7, 7.8, ONE_VIEW, "README of He et al.'s released networks"),
    "resnet152": Published(2015, 23.0, 6.7, ONE_VIEW, "README of He et al.'s released networks"),
    "inception_v4": Published(2016, 20.0, 5.0, ONE_VIEW, "Szegedy et al. 2016, Table 2"),
    "xception": Published(2016, 21.0, 5.5, ONE_VIEW, "Chollet 2016, Table 1"),
    "seresnet50": Published(2017, 23.29, 6.62, ONE_VIEW, "Hu et al. 2017, Table 2"),
    "senet154": Published(2017, 18.68, 4.47, ONE_VIEW, "Hu et al. 2017, appendix"),
}
"""Registered networks, in the order of their papers."""


def costs(names: Sequence[str] = ()) -> pandas.DataFrame:
    """What was published, and what a network costs at the image size of its paper.

    Args:
      names: of :data:`NETWORKS`, each counted once; none: all.

    Returns:
      One row a network: ``network``, the fields of :class:`Published`, ``input`` (side, px), ``parameters`` (those that the
      logits depend on, without auxiliary classifiers), ``macs`` (multiply-accumulates of one image) and
      ``macs_per_parameter``.

    Raises:
      UserError: a network that is not of the lineage.
    """
    known = sizes.known()
    rows = [
        {
            "network": name,
            **NETWORKS[name]._asdict(),
            "input": known[name].input_shape[0],
            "parameters": known[name].used,
            "macs": known[name].macs,
            "macs_per_parameter": known[name].macs / known[name].used,
        }
        for name in _checked(names)
    ]
    return pandas.DataFrame(rows)


def footprints(names: Sequence[str] = (), batches: Sequence[int] = (4, 8, 16)) -> pandas.DataFrame:
    """Memory of a training step with momentum in float32: the textbooks' formula, and what the compiler sets aside.

    Why they differ on a CPU, by the buffers that the compiler lists for steps of eight images (jaxlib 0.10.2; of LeNet-5,
    AlexNet, ZFNet, NIN, VGG-16, GoogLeNet, BN-Inception, ResNet-50, SE-ResNet-50 and Xception; of the others by what they share
    with these):

    *Parameters.* The formula's three copies are right, and are others than it says: weights, momentum, and a second copy of
    the weights, which the step reads while the new ones take the place of the old ones. A gradient is added to the momentum
    where it is computed. Where these terms are most of the sum, the ratio is near one: LeNet-5 (1.04), AlexNet (1.09).

    *Values.* The formula keeps two numbers a value, the value and its gradient. The compiler keeps gradients of a layer or two
    only; what it keeps instead is

    - every convolution's output, once. What normalisation makes of it, which the formula counts again, is computed anew
      where it is needed: ResNet-50 keeps 327 MiB of its 820 MiB of values;
    - some of the convolutions' inputs once more, in another order of their axes, for the gradients of kernels: 217 MiB in
      ResNet-50, 936 in Xception, where depthwise and pointwise convolutions each want their own;
    - for a pool of maxima its gradient's way back: four whole numbers for each value that it puts out, zeros of the size
      of its input to add to, and, while the former are made, four numbers for each value of that input.

    So networks with batch normalisation take about half: ResNet-50 and -152 (0.44), whose one pool of maxima is small beside
    the rest; Inception v4 (0.51), v3 (0.57) and BN-Inception (0.67), of which such pools are more and more (294 of the
    last one's 439 MiB); SE-ResNet-50 (0.54) and SENet-154 (0.55), since the maps before and behind a gate are both kept;
    Xception (0.59), by its copies and four pools on large maps. The others have nothing to compute anew, and pools of maxima on
    their largest maps: VGG-16 (1.26), NIN (1.35), ZFNet (1.37; its first map, half of all values, is pooled), and GoogLeNet
    (1.45), with such a pool in each of its nine modules. (A line's intercept is the less exact the more of
    a step images are: Xception's 4 copies are 353 of 4,629 MiB, 91 more than three. GoogLeNet's parameters hold those of
    auxiliary classifiers.)

    *Operations.* Three times an evaluation's: the values, the gradients of the layer's input, and those of its parameters. The
    compiler leaves out products with padding (0.93 of a convolution of 3×3 on 19×19 remain), and no step needs gradients of
    the images (AlexNet, 0.88). It counts the gradient of a depthwise convolution's kernel as that of a full one, 64 times too
    much with 64 channels: Xception (3.36).

    Args:
      names: of :data:`NETWORKS`; none: all.
      batches: images in a step; three numbers or more. A step of each is compiled, which takes seconds to minutes.

    Returns:
      One row a network: ``network``; ``batch``, the largest; ``formula`` and ``compiled`` bytes of a step of it, and their
      ``ratio``; ``copies``, how often the compiler's bytes hold the parameters (the formula: 3), and ``kept``, how often the
      stored values of an image (the formula: 2), both from the line that is fitted over ``batches``; ``off``, the root of the
      mean square by which it misses them, as a share of ``compiled``; ``largest`` and ``fitted_largest``, images that fit into
      :data:`MEMORY`, by formula and by line; ``compiled_flops``, operations of a step as the compiler counts them, for one
      image, and ``flops_ratio`` to three times those of an evaluation, see `cnnjax.analysis.cost.flops`.

    Raises:
      UserError: a network that is not of the lineage, or fewer than three numbers of images.
    """
    memory.check_fitted(batches)
    return pandas.DataFrame([_footprint(name, batches) for name in _checked(names)])


def _checked(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in NETWORKS:
            raise errors.unknown("network of the lineage", name, NETWORKS)
    return tuple(dict.fromkeys(names)) or tuple(NETWORKS)


def _footprint(name: str, batches: Sequence[int]) -> dict[str, object]:
    model = models.create(name)
    parameters = sizes.known()[name].parameters
    values = sum(memory.stored(model, (1, *model.input_shape)).values())
    flops = sum(cost.by_layer(model, (1, *model.input_shape), cost.operations).values())
    formula = memory.training(parameters, values)
    steps = {batch: memory.compiled(model, (batch, *model.input_shape)) for batch in batches}
    measured = {batch: step.total for batch, step in steps.items()}
    line, left = memory.fit(measured)
    batch = max(batches)
    return {
        "network": name,
        "batch": batch,
        "formula": formula.total(batch),
        "compiled": measured[batch],
        "ratio": measured[batch] / formula.total(batch),
        "copies": line.model / (4 * parameters),
        "kept": line.image / (4 * values),
        "off": left / measured[batch],
        "largest": formula.largest(MEMORY),
        "fitted_largest": line.largest(MEMORY),
        "compiled_flops": steps[batch].flops / batch,
        "flops_ratio": steps[batch].flops / batch / (3 * flops),
    }


_SHOWN: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "network": ("network", str),
    "year": ("year", str),
    "top1": ("top-1 error, %", str),
    "top5": ("top-5 error, %", str),
    "views": ("views", str),
    "input": ("input, px", str),
    "parameters": ("parameters", "{:,}".format),
    "macs": ("MACs", "{:,}".format),
    "macs_per_parameter": ("MACs a parameter", "{:,.0f}".format),
    "source": ("source of the errors", str),
    "batch": ("images", str),
    "formula": ("formula, MiB", lambda size: f"{size / MIB:,.1f}"),
    "compiled": ("compiled, MiB", lambda size: f"{size / MIB:,.1f}"),
    "ratio": ("ratio", "{:.2f}".format),
    "copies": ("copies of parameters", "{:.2f}".format),
    "kept": ("copies of values", "{:.2f}".format),
    "off": ("line is off by, %", lambda share: f"{100 * share:.2f}"),
    "largest": ("largest batch", "{:,}".format),
    "fitted_largest": ("by the line", "{:,}".format),
    "compiled_flops": ("compiled GFLOPs an image", lambda flops: f"{flops / 1e9:,.4f}"),
    "flops_ratio": ("of three times evaluation's", "{:.2f}".format),
}
"""Column of a frame → its title and how its values are written, in the order in which they are shown."""


def cells(frame: pandas.DataFrame) -> tuple[list[str], list[list[str]]]:
    """A frame of :func:`costs` or :func:`footprints` as texts: titles, and a list for each row; what is not known is empty."""
    shown = [(column, *_SHOWN[column]) for column in _SHOWN if column in frame]
    rows = [
        ["" if pandas.isna(row[column]) else write(row[column]) for column, _, write in shown]
        for row in frame.to_dict("records")
    ]
    return [title for _, title, _ in shown], rows


def markdown(frames: Sequence[pandas.DataFrame], command: str) -> str:
    """The page that is kept, with the command that makes it."""
    lines = ["# What the lineage costs", "", f"Made by `{command}`."]
    for frame, text in zip(frames, (_COSTS, _FOOTPRINTS), strict=False):
        titles, rows = cells(frame)
        lines += ["", text, "", f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
