"""Pictures from files, as networks want them."""

import dataclasses
import importlib.resources
import math
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnnjax import errors
from cnnjax.ops import contrast

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
"""Name → PIL's; the latter two average over all pixels that a new one covers."""

_WHITE_16 = 65_535
_LARGEST = 16_384


@dataclasses.dataclass(frozen=True)
class Picture:
    """How a network wants its pictures.

    Attributes:
      resize: pixels of the shorter side, before the crop.
      crop: height and width of the crop of the centre, or one number for both.
      mean: of values in 0 ... 1, a channel, or nested tuples ``[H, W, C]``; the default is ImageNet's, as PyTorch's networks
        take it.
      std: a channel; one number is a grey picture.
      interpolation: of :data:`INTERPOLATIONS`.
      invert: whether light and dark are exchanged: networks for MNIST see white digits on black.
      reverse: whether channels are blue, green, red.
      threshold: values above it become 1, others 0, after inversion; ``None``: as they are.
      contrast: what is done to it after that, of :data:`cnnjax.ops.contrast.KINDS`; mean and std are of the result.
      whitening: ``[H·W·C, H·W·C]``, what all values are multiplied by in the end; ``None``: nothing.
    """

    resize: int = 256
    crop: int | tuple[int, int] = 224
    mean: tuple[Any, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    invert: bool = False
    threshold: float | None = None
    reverse: bool = False
    contrast: str = ""
    whitening: np.ndarray | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        contrast.kind(self.contrast)
        if self.interpolation not in INTERPOLATIONS:
            raise errors.unknown("interpolation", self.interpolation, INTERPOLATIONS)
        if not all(type(each) is int for each in (*self.size, self.resize)) or self.resize > _LARGEST:
            limit = f"resize and crop are pixels, at most {_LARGEST:,}"
            raise errors.UserError(f"{limit}, not {self.resize!r} and {self.crop!r}")
        if len(self.size) != 2 or not 0 < min(self.size) <= max(self.size) <= _LARGEST or min(self.size) > self.resize:
            raise errors.UserError(f"crop is at least 1 and at most resize ({self.resize}), not {self.crop}")
        if self.threshold is not None and not (isinstance(self.threshold, int | float) and 0 <= self.threshold <= 1):
            raise errors.UserError(f"threshold lies in 0 ... 1, not {self.threshold!r}")
        channels = len(self.std)
        if (
            channels not in (1, 3)
            or not all(0 < each < np.inf for each in self.std)
            or np.shape(self.mean) not in ((channels,), (*self.size, channels))
            or not np.isfinite(np.asarray(self.mean, np.float64)).all()
        ):
            raise errors.UserError("std is 1 or 3 numbers above 0, and mean as many, or one for each pixel")

        if self.whitening is not None and self.whitening.shape != (math.prod(self.size) * channels,) * 2:
            raise errors.UserError(
                f"a whitening of {self.whitening.shape} is none of {self.size} with {channels} channels"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        return self.crop if isinstance(self.crop, tuple) else (self.crop, self.crop)

    def __call__(self, picture: Image.Image) -> np.ndarray:
        """A picture as the network's input, float32 ``[H, W, C]``."""
        shown = picture.convert("L" if len(self.std) == 1 else "RGB")
        height, width = self.size
        shown = _cropped(shown, self.resize, (height, width), self.interpolation)
        values = np.asarray(shown, np.float32).reshape(height, width, -1) / 255
        if self.invert:
            values = 1 - values
        if self.threshold is not None:
            values = (values > self.threshold).astype(np.float32)
        if self.contrast:
            values = np.asarray(contrast.kind(self.contrast)(jnp.asarray(values[None])))[0]
        values = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        if self.whitening is not None:
            values = (values.reshape(-1) @ self.whitening).reshape(values.shape)
        return values[..., ::-1] if self.reverse else values


def sample() -> Image.Image:
    """A photograph that scikit-learn brings along: a palace in Beijing, 640×427."""
    return read(pathlib.Path(str(importlib.resources.files("sklearn.datasets.images") / "china.jpg")))


def square(picture: Image.Image, side: int) -> np.ndarray:
    """The centre of a picture as uint8 ``[side, side, 3]``: the shorter side is resized to ``side``."""
    return np.asarray(_cropped(picture, side, (side, side), "bilinear").convert("RGB"))


def _cropped(picture: Image.Image, resize: int, size: tuple[int, int], interpolation: str) -> Image.Image:
    (height, width), short = size, min(picture.size)
    wide, high = (int(resize * side / short) for side in picture.size)
    if max(wide, high) > _LARGEST:
        raise errors.UserError(
            f"a picture of {picture.width}×{picture.height} is too long and thin: resized it would be {wide:,}×{high:,}"
        )
    left, top = round((wide - width) / 2), round((high - height) / 2)
    return picture.resize((wide, high), INTERPOLATIONS[interpolation]).crop((left, top, left + width, top + height))


def read(path: pathlib.Path) -> Image.Image:
    """A picture in any format that PIL reads, upright, as RGB; what is transparent is white.

    Raises:
      UserError: there is no such file, or it is no picture, or a damaged one.
    """
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode[0] in "IF":
                values = np.asarray(picture, np.float64)
                if picture.mode == "F" or values.min() < 0 or values.max() > _WHITE_16:
                    raise ValueError(f"its values, of mode {picture.mode}, do not say which of them is white")
                picture = Image.fromarray((values / 257).round().astype(np.uint8))
            if picture.mode in ("RGBA", "LA", "PA", "P", "La", "RGBa") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture)
            return picture.convert("RGB")
    except UnidentifiedImageError:
        raise errors.UserError(f"{path} is no picture that can be read") from None
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # noqa: BLE001 - each of PIL's formats has errors of its own
        raise errors.UserError(f"{path} is a damaged picture, or of a kind that is not read: {error}") from None


def write(path: pathlib.Path, image: np.ndarray, white: int = 255, invert: bool = False) -> None:
    """Writes an example ``uint8 [H, W, C]`` as a picture; ``white`` is its largest value, which becomes white.

    Raises:
      UserError: the suffix names no format that PIL writes.
    """
    values = np.clip(image.astype(np.float32) * (255 / white), 0, 255).round().astype(np.uint8)
    values = 255 - values if invert else values
    try:
        Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(path)
    except (ValueError, KeyError):
        raise errors.UserError(f"{path} does not end as a picture does, e.g. .png") from None
