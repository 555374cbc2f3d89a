"""Squares of images that are still encoded: which part of an image, and its pixels.

The same rules as those of `cnnjax.ops.augment`, for images of different sizes, before they are sent to the device.
"""

import dataclasses
import math

import numpy as np
from PIL import Image

from cnnjax.data import decode
from cnnjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Box:
    """A part of an image, in pixels of it; its edges may lie within pixels."""

    top: float
    left: float
    height: float
    width: float


@dataclasses.dataclass(frozen=True)
class Crop:
    """How an image of any size becomes a square.

    Attributes:
      side: of the square, in pixels.
      shorter: the shorter side that images are resized to in evaluation, before the square in the middle is taken; and in
        training, where neither of the following is given.
      jitter: least and largest shorter side that images are resized to in training, before a square is taken at a random
        place, see :func:`cnnjax.ops.augment.jittered`.
      area, aspect: least and largest share of an image's area, and width to height, of the part that is resized to the
        square in training, see :func:`cnnjax.ops.augment.by_area`.

    Raises:
      UserError: a number that makes no sense, or jitter and area at once.
    """

    side: int
    shorter: int
    jitter: tuple[int, ...] = ()
    area: tuple[float, ...] = ()
    aspect: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.side <= self.shorter:
            raise UserError(
                f"a crop is of at least one pixel and at most the shorter side ({self.shorter}), not {self.side}"
            )
        if self.jitter and not (len(self.jitter) == 2 and self.side <= self.jitter[0] <= self.jitter[1]):
            raise UserError(f"jitter is two sides of at least the crop's ({self.side}), not {self.jitter}")
        if self.jitter and self.area:
            raise UserError("jitter and area are two ways to a crop: give one")
        if self.area and not (len(self.area) == 2 and 0 < self.area[0] <= self.area[1] <= 1):
            raise UserError(f"area is two shares in 0 ... 1, not {self.area}")
        if bool(self.area) != bool(self.aspect) or (self.aspect and not 0 < self.aspect[0] <= self.aspect[-1] < np.inf):
            raise UserError(f"aspect is two ratios beside area, not {self.aspect}")

    def central(self, height: int, width: int) -> Box:
        """The square of evaluation."""
        return self._square(height, width, self.shorter, (0.5, 0.5))

    def random(self, height: int, width: int, draws: np.ndarray) -> Box:
        """A part for training; ``draws`` are four numbers in 0 ... 1, below 1."""
        if not self.area:
            least, most = self.jitter or (self.shorter, self.shorter)
            return self._square(height, width, least + math.floor(draws[0] * (most - least + 1)), draws[2:])
        pixels = height * width * np.interp(draws[0], (0, 1), self.area)
        ratio = math.exp(np.interp(draws[1], (0, 1), np.log(self.aspect)))
        high, wide = min(math.sqrt(pixels / ratio), height), min(math.sqrt(pixels * ratio), width)
        return Box(draws[2] * (height - high), draws[3] * (width - wide), high, wide)

    def _square(self, height: int, width: int, shorter: int, place: tuple[float, float] | np.ndarray) -> Box:
        edge = self.side * min(height, width) / shorter
        return Box(place[0] * (height - edge), place[1] * (width - edge), edge, edge)


def draws(seed: int, epoch: int, index: int) -> np.ndarray:
    """Four numbers in 0 ... 1 of an example in an epoch, float64: Philox, a counter that depends on nothing else."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, index, epoch])).random(4)


def reduction(image: decode.ImageFile, box: Box, side: int) -> int:
    """The most that an image's size may be divided by when it is decoded, without a box of it being enlarged for that."""
    return max(each for each in image.reductions if each == 1 or min(box.height, box.width) >= each * side)


def square(image: decode.ImageFile, box: Box, side: int, channels: int) -> np.ndarray:
    """The pixels of a box, uint8 ``[side, side, channels]``.

    Between pixels by bilinear interpolation; where it is made smaller, over all pixels that a new one covers.

    Raises:
      DamagedError: the image cannot be decoded.
    """
    scale = reduction(image, box, side)
    return resized(decode.pixels(image, channels, scale), box, side, scale)


def resized(pixels: np.ndarray, box: Box, side: int, scale: int = 1) -> np.ndarray:
    """A box of ``pixels`` uint8 ``[H, W, 1 or 3]`` as uint8 ``[side, side, C]``; they are an image divided by ``scale``."""
    high, wide = pixels.shape[:2]
    top, left = box.top / scale, box.left / scale
    bottom, right = min((box.top + box.height) / scale, high), min((box.left + box.width) / scale, wide)
    shown = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    shown = shown.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    return np.asarray(shown).reshape(side, side, -1)
