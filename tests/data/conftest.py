"""Sets for the tests of data/: prepared once, in the session's temporary folder."""

from pathlib import Path

import pytest

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
