"""Networks from a line of text: the pattern ``input → (conv+ pool?)+ → fc*`` that the early networks share.

    models.create("pattern", layers="conv5-6 pool2 conv5-16 pool2 fc-120 fc-84")

Words: ``conv3-64`` is a 3×3 convolution with 64 maps that keeps the size (an even kernel takes one pixel off),
``conv11/4-96`` one at stride 4; ``pool2`` a 2×2 max pool at stride 2, ``pool3/2`` an overlapping one, ``avgpool2`` an average;
``depthpool2``, right after a convolution, takes the maximum of each two of its maps (Géron 2019, chapter 14: depth-wise max
pooling); ``fc-120`` is a fully connected layer with 120 units. Spaces or ``->`` stand between; ``input`` and ``output`` may
stand at the ends. The last fully connected layer, which puts out the classes, is ``output``. :func:`written` gives a line in
full.
"""

import re
from typing import ClassVar

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import ChannelPool, Conv, Dense, Drop, Flatten, Pool, Row, Rows

_WORDS = {
    "conv": r"conv([1-9]\d*)(?:/([1-9]\d*))?-([1-9]\d*)",
    "depthpool": r"depthpool([1-9]\d*)",
    "pool": r"(avg)?pool([1-9]\d*)(?:/([1-9]\d*))?",
    "fc": r"fc-([1-9]\d*)",
}
_PATTERN = re.compile(r"(conv (depthpool )?(pool )?)+(fc )*")
_LARGEST = 16_384
"""Maps, units, or pixels of a window: a network with more of them fits nowhere."""
LENET = "conv5-6 pool2 conv5-16 pool2 fc-120 fc-84"


def parse(layers: str) -> list[tuple[str, re.Match[str]]]:
    """The words of a line, each as its kind and its parts.

    Raises:
      UserError: a word that is none, a number that is too large, or words in an order that the pattern does not have.
    """
    found: list[tuple[str, re.Match[str]]] = []
    if re.search(r"->\s*(->|$)|^\s*->", layers):
        raise errors.UserError("layers: an arrow stands between two words; beside one of these there is none")
    words = layers.replace("->", " ").split()
    if words[:1] == ["input"]:
        words = words[1:]
    if words[-1:] == ["output"]:
        words = words[:-1]
    for word in words:
        matches = [(kind, match) for kind, form in _WORDS.items() if (match := re.fullmatch(form, word))]
        if not matches:
            raise errors.UserError(
                f"layers: {word!r} is no layer; they are written conv3-64, conv11/4-96, pool2, pool3/2, avgpool2, depthpool2, "
                "fc-120"
            )
        if any(len(each) > len(str(_LARGEST)) or int(each) > _LARGEST for each in re.findall(r"\d+", word)):
            raise errors.UserError(f"layers: the numbers of a layer are at most {_LARGEST:,}, not those of {word!r}")
        found += matches
    kinds = "".join(f"{kind} " for kind, _ in found)
    if not _PATTERN.fullmatch(kinds):
        good = _PATTERN.match(kinds)
        place = len(good[0].split()) if good else 0
        wrong = repr(found[place][1][0]) if place < len(found) else "the end"
        raise errors.UserError(
            f"layers follow (conv depthpool? pool?)+ fc*: pools come after convolutions, and fc last; {wrong} does not fit"
        )
    return found


def written(layers: str) -> str:
    """The same line as this file would write it: ``input -> conv5-6 -> pool2 -> ... -> output``."""
    return " -> ".join(("input", *(match[0] for _, match in parse(layers)), "output"))


class PatternNet(Network):
    """A network that a line of text describes.

    Attributes:
      layers: see the file's docstring.
    """

    layers: str = LENET
    num_classes: int = 10
    input_shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)

    def __post_init__(self) -> None:
        parse(self.layers)
        super().__post_init__()

    def line(self) -> str:
        """See :func:`written`."""
        return written(self.layers)

    def table(self) -> Rows:
        rows: list[Row] = []
        stage, place, units = 1, 0, 0
        for kind, match in parse(self.layers):
            if kind == "conv":
                kernel, strides, features = (int(each or 1) for each in match.groups())
                place += 1
                rows.append(Conv(f"conv{stage}_{place}", features, kernel, strides, (kernel - 1) // 2))
            elif kind == "depthpool":
                rows.append(ChannelPool(f"depthpool{stage}_{place}", int(match[1])))
            elif kind == "pool":
                average, window, step = match.groups()
                rows.append(Pool(f"pool{stage}", "average" if average else "max", int(window), int(step or window)))
                stage, place = stage + 1, 0
            else:
                units += 1
                rows += [Flatten()] if units == 1 else []
                rows += [Dense(f"fc{units}", int(match[1])), Drop(f"drop{units}")]
        rows += [] if units else [Flatten()]
        return [*rows, Dense("classifier", self.num_classes, "identity")]


registry.register(
    "pattern", PatternNet, "(conv+ pool?)+ fc* from a line of text; its default is after LeCun et al. 1998, §II-B"
)
