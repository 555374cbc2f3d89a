"""Image files into pixels: JPEG by libjpeg-turbo, also at a half, a quarter and an eighth of its size; the rest by Pillow."""

import contextlib
import dataclasses
import io
from collections.abc import Iterator

import numpy as np
import simplejpeg
from PIL import Image

REDUCTIONS = (1, 2, 4, 8)
"""What JPEG is decoded at: the inverse cosine transform of a block's lowest 8, 4, 2 or 1 frequencies a side."""

_COLOURS = ("YCbCr", "RGB", "Gray")
_SPACES = {1: "GRAY", 3: "RGB"}
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_DAMAGE = ("premature end", "bad huffman code", "instead of rst")
"""What libjpeg complains of when pixels are lost; its other complaints (a few bytes too many) are of no consequence."""
_MOST = 2**28
"""Pixels of an image: no more are decoded, whatever a file says of itself."""


class DamagedError(ValueError):
    """An image cannot be decoded, or not all of it."""


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image that is still encoded.

    Attributes:
      content: of the file.
      height, width: in pixels; a note on how to turn it (EXIF) is not heeded.
      reductions: what :func:`pixels` can divide its size by.
    """

    content: bytes = dataclasses.field(repr=False)
    height: int
    width: int
    reductions: tuple[int, ...]

    @property
    def jpeg(self) -> bool:
        """Whether it is a JPEG of one or three channels, and not of four inks, or another format."""
        return len(self.reductions) > 1


def read(content: bytes) -> ImageFile:
    """What an image file says of itself.

    Raises:
      DamagedError: it is none.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        plain = colours in _COLOURS
    except (ValueError, KeyError):  # the latter where a file ends within its header
        plain = False
    if not plain:
        with _refusing_damage(), Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    if height * width > _MOST:
        raise DamagedError(f"it says that it has {height:,}×{width:,} pixels")
    return ImageFile(content, height, width, REDUCTIONS if plain else REDUCTIONS[:1])


def pixels(image: ImageFile, channels: int, reduction: int = 1) -> np.ndarray:
    """uint8 ``[ceil(H / reduction), ceil(W / reduction), C]``.

    Args:
      image: what is decoded.
      channels: that come out, 1, 3 or 4, whatever the file has.
      reduction: one of the image's.

    Raises:
      DamagedError: it cannot be decoded, or ends too early.
    """
    if image.jpeg and channels in _SPACES:
        return _jpeg(image, _SPACES[channels], reduction)
    with _refusing_damage(), Image.open(io.BytesIO(image.content)) as opened:
        values = np.asarray(opened.convert(_MODES[channels]))
    return values[..., None] if values.ndim == 2 else values


def _jpeg(image: ImageFile, space: str, reduction: int) -> np.ndarray:
    # The decoder is told the least size that it may give, and gives the smallest of its sizes from there on.
    size = {"min_height": -(-image.height // reduction), "min_width": -(-image.width // reduction)}
    try:
        return simplejpeg.decode_jpeg(image.content, space, **size)
    except ValueError as error:
        if any(sign in str(error).lower() for sign in _DAMAGE):
            raise DamagedError(str(error)) from error
    try:
        return simplejpeg.decode_jpeg(image.content, space, strict=False, **size)
    except ValueError as error:
        raise DamagedError(str(error)) from error


@contextlib.contextmanager
def _refusing_damage() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise DamagedError((str(error).splitlines() or [type(error).__name__])[0]) from error
