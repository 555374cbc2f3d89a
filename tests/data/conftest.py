"""Sets for the tests of data/: prepared once, in the session's temporary folder."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from cnnjax.data import prepare


@pytest.fixture(autouse=True)
def _no_default_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A test that forgets `data_dir` must not read or write the user's sets."""
    monkeypatch.setenv("CNNJAX_DATA_DIR", str(tmp_path / "default"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data_dir with digits prepared; not to be changed by tests."""
    folder = tmp_path_factory.mktemp("sets")
    prepare("digits", folder)
    return folder


@pytest.fixture(scope="session")
def photograph() -> Callable[..., Image.Image]:
    """Parts of scikit-learn's two photographs: ``photograph(number, width, height)``, another one for each number."""
    whole = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]

    def part(number: int, width: int, height: int) -> Image.Image:
        of = whole[number % 2]
        left, top = 37 * number % (of.width - width + 1), 23 * number % (of.height - height + 1)
        return of.crop((left, top, left + width, top + height))

    return part


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """The file of a picture: ``encoded(picture, "PNG")``."""

    def write(picture: Image.Image, form: str = "JPEG", **options: object) -> bytes:
        buffer = io.BytesIO()
        picture.save(buffer, form, **options)
        return buffer.getvalue()

    return write
