"""The views of an image that a network is shown: geometry only, in whole pixels."""

import dataclasses
from collections.abc import Iterable
from fractions import Fraction

from cnnjax import errors

Number = int | Fraction
Place = tuple[Fraction, Fraction]
"""How far down and to the right a crop lies, 0 to 1 of the way that it can be moved."""

_HALF = Fraction(1, 2)


def grid(count: int) -> tuple[Place, ...]:
    """``count × count`` places at equal distances, from corner to corner, row by row."""
    steps = [Fraction(step, count - 1) for step in range(count)]
    return tuple((down, right) for down in steps for right in steps)


CENTRE: tuple[Place, ...] = ((_HALF, _HALF),)
CORNERS_AND_CENTRE: tuple[Place, ...] = (*grid(2), *CENTRE)
MIDDLE_SQUARE = (_HALF,)
THREE_SQUARES = (Fraction(0), _HALF, Fraction(1))


@dataclasses.dataclass(frozen=True)
class Views:
    """Some views of a protocol.

    Attributes:
      sides: the shorter sides that the image is resized to, in pixels of a network for images of 224×224; for another one in
        proportion, rounded. Empty: as evaluation during training has it.
      places: of crops of the network's size. Empty: the whole image, where `whole` says so, or else the one view of evaluation
        during training.
      squares: where along the longer side the squares lie that crops are taken of; empty: crops are of the whole image.
      shrunk: whether each square is a view too, resized to the network's size.
      whole: whether the view is the whole image, at its own aspect ratio.
      flip: whether each view is shown mirrored too.
    """

    sides: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()
    squares: tuple[Fraction, ...] = ()
    shrunk: bool = False
    whole: bool = False
    flip: bool = False


@dataclasses.dataclass(frozen=True)
class View:
    """A rectangle of an image that has been resized.

    Attributes:
      resized: height and width that the image is resized to.
      start: top and left of the rectangle in it.
      size: height and width of the rectangle, in whole pixels.
      flip: whether it is mirrored.
    """

    resized: tuple[Number, Number]
    start: tuple[Number, Number]
    size: tuple[int, int]
    flip: bool = False


@dataclasses.dataclass(frozen=True)
class Sight:
    """How images are seen in evaluation during training: what views are made relative to.

    Attributes:
      image: height and width of the images.
      size: height and width of what the network sees.
      shorter: the shorter side that images are resized to before the crop of their middle; 0: they are not resized.
    """

    image: tuple[int, int]
    size: tuple[int, int]
    shorter: int = 0

    @property
    def own(self) -> View:
        """The view of evaluation during training, see `cnnjax.tasks.classification.Classification.preprocess`."""
        if not self.shorter:
            top, left = ((whole - part) // 2 for whole, part in zip(self.image, self.size, strict=True))
            return View(self.image, (top, left), self.size)
        zoom = Fraction(self.shorter, min(self.image))
        height, width = (side * zoom for side in self.image)
        return View((height, width), ((height - self.size[0]) / 2, (width - self.size[1]) / 2), self.size)


def views(rows: Iterable[Views], sight: Sight, sides: tuple[int, ...] = (), mirror: bool = True) -> tuple[View, ...]:
    """The views that rows of a protocol make of an image, in order; at one side those that are the same count once.

    The image is resized to whole pixels, its longer side rounded down, and a crop between two pixels lies at the one further up
    and left. The squares of a square image are the same, and so are crops that cannot be moved.

    Args:
      rows: of the protocol.
      sight: how images are seen.
      sides: shorter sides in pixels, instead of the rows'.
      mirror: whether a mirrored image is still of its class; otherwise there are no mirrored views.

    Raises:
      UserError: a crop does not fit into the resized image, or there are sides for a view that has its own.
    """
    found: list[View] = []
    for row in rows:
        if sides and not (row.places or row.whole):
            raise errors.UserError(
                "sides are of protocols that resize; this one sees what evaluation during training does"
            )
        plain: list[View] = []
        for side in sides or _scaled(row.sides, min(sight.size)) or (sight.shorter or min(sight.image),):
            plain += dict.fromkeys(_at(row, sight, side))
        found += [
            dataclasses.replace(view, flip=flip)
            for view in plain
            for flip in (False, True)[: 1 + (row.flip and mirror)]
        ]
    return tuple(found)


def _scaled(sides: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Sides for a network of 224 pixels as those for one of ``size``."""
    return tuple((2 * side * size + 224) // 448 for side in sides)


def _at(row: Views, sight: Sight, side: int) -> list[View]:
    """The views of a row at one shorter side, none of them mirrored."""
    resized = tuple(whole * side // min(sight.image) for whole in sight.image)
    height, width = resized
    if row.whole:
        return [View((height, width), (0, 0), (height, width))]
    if not row.places:
        return [sight.own]
    if sight.size[0] > (side if row.squares else height) or sight.size[1] > (side if row.squares else width):
        raise errors.UserError(
            f"a crop of {sight.size[0]}×{sight.size[1]} does not fit an image that was resized to {height}×{width}"
        )
    found = []
    regions = [(int((height - side) * along), int((width - side) * along), side, side) for along in row.squares] or [
        (0, 0, height, width)
    ]
    for top, left, high, wide in regions:
        for down, right in row.places:
            start = (top + int((high - sight.size[0]) * down), left + int((wide - sight.size[1]) * right))
            found.append(View((height, width), start, sight.size))
        if row.shrunk:
            zoom = [Fraction(new, side) for new in sight.size]
            found.append(View((height * zoom[0], width * zoom[1]), (top * zoom[0], left * zoom[1]), sight.size))
    return found
