"""Image files into pixels, held to Pillow's decoder and to its way of making pictures smaller."""

import io

import numpy as np
import pytest
from PIL import Image

from cnnjax.data import decode


def _by_pillow(content: bytes, mode: str) -> np.ndarray:
    values = np.asarray(Image.open(io.BytesIO(content)).convert(mode))
    return values[..., None] if values.ndim == 2 else values


@pytest.mark.parametrize(
    ("mode", "options"), [("RGB", {}), ("RGB", {"subsampling": 0}), ("L", {}), ("RGB", {"progressive": 1})]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_decoded_as_pillow_does(mode, options, channels, photograph, encoded):
    content = encoded(photograph(1, 203, 151).convert(mode), quality=90, **options)
    image = decode.read(content)
    assert (image.height, image.width, image.jpeg) == (151, 203, True)
    opened = Image.open(io.BytesIO(content))
    opened.draft("L" if channels == 1 else "RGB", opened.size)  # of three channels, the luminance that is stored
    expected = np.asarray(opened.convert("L" if channels == 1 else "RGB")).reshape(151, 203, channels)
    np.testing.assert_array_equal(decode.pixels(image, channels), expected)


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("size", [(320, 240), (333, 251)])
def test_a_reduced_transform_is_a_full_one_made_smaller(reduction, size, photograph, encoded):
    """Not exactly: means are taken of a block's lowest frequencies. They differ by less than 1.5 of 255 on average."""
    image = decode.read(encoded(photograph(0, *size), quality=95, subsampling=0))
    small, whole = decode.pixels(image, 3, reduction), decode.pixels(image, 3)
    assert small.shape == (-(-size[1] // reduction), -(-size[0] // reduction), 3)
    expected = np.asarray(Image.fromarray(whole).reduce(reduction)).astype(int)
    inner = tuple(slice(0, side // reduction) for side in size[::-1])
    difference = np.abs(small[inner].astype(int) - expected[inner])
    assert difference.mean() < 1.5
    assert np.abs(np.roll(small, 1, 0)[inner].astype(int) - expected[inner]).mean() > 4  # what a pixel further would be


@pytest.mark.parametrize(
    ("form", "mode"), [("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA"), ("BMP", "RGB"), ("JPEG", "CMYK")]
)
def test_the_rest_is_pillows(form, mode, photograph, encoded):
    content = encoded(photograph(0, 50, 40).convert(mode), form)
    image = decode.read(content)
    assert (image.height, image.width, image.jpeg, image.reductions) == (40, 50, False, (1,))
    np.testing.assert_array_equal(decode.pixels(image, 3), _by_pillow(content, "RGB"))
    assert decode.pixels(image, 1).shape == (40, 50, 1)


def test_four_inks_become_their_colours(photograph, encoded):
    picture = photograph(1, 64, 64)
    image = decode.read(encoded(picture.convert("CMYK"), quality=95))
    assert np.abs(decode.pixels(image, 3).astype(int) - np.asarray(picture)).mean() < 6


def test_a_few_bytes_too_many_are_no_damage(photograph, encoded):
    content = encoded(photograph(0, 90, 70))
    image = decode.read(content[:-2] + b"\0\0\0\0" + content[-2:])
    np.testing.assert_array_equal(decode.pixels(image, 3), _by_pillow(content, "RGB"))


def _cut(content: bytes) -> bytes:
    return content[: len(content) * 3 // 4]


@pytest.mark.parametrize(
    ("form", "damage", "message"),
    [
        ("JPEG", _cut, "(?i)premature end"),
        ("JPEG", lambda content: _cut(content) + content[-2:], "(?i)premature end"),
        ("JPEG", lambda content: content[:30], "."),
        ("PNG", _cut, "."),
        ("PNG", lambda content: content[:40], "."),
        ("JPEG", lambda content: b"", "."),
        ("JPEG", lambda content: b"<html>no such picture</html>", "cannot identify"),
    ],
)
@pytest.mark.parametrize("reduction", [1, 4])
def test_damage_is_found(form, damage, message, reduction, photograph, encoded):
    content = encoded(photograph(1, 200, 150), form)
    with pytest.raises(decode.DamagedError, match=message) as error:
        decode.pixels(decode.read(damage(content)), 3, reduction)
    assert "\n" not in str(error.value)


def test_a_file_that_says_it_is_immense_is_not_decoded(photograph, encoded):
    content = bytearray(encoded(photograph(0, 16, 16)))
    start = content.index(b"\xff\xc0") + 5  # height and width, in the header of the frame
    content[start : start + 4] = b"\xff\x00\xff\x00"
    with pytest.raises(decode.DamagedError, match="65,280×65,280 pixels"):
        decode.read(bytes(content))
