"""The network as a file: URLs of the file system, so that nothing leaves the machine."""

import hashlib

import pytest

from cnnjax.data.fetch import fetch, reachable
from cnnjax.errors import UserError


@pytest.fixture
def published(tmp_path):
    file = tmp_path / "published"
    file.write_bytes(b"the file")
    return file


def test_the_right_file_arrives(tmp_path, published):
    there = fetch(published.as_uri(), tmp_path / "new" / "copy", hashlib.md5(b"the file").hexdigest())
    assert there.read_bytes() == b"the file"
    assert list(there.parent.iterdir()) == [there]


def test_the_wrong_file_does_not(tmp_path, published):
    with pytest.raises(UserError, match=r"its md5 is .*, expected 0123"):
        fetch(published.as_uri(), tmp_path / "new" / "copy", "0123")
    assert list((tmp_path / "new").iterdir()) == []


def test_nor_does_an_absent_one(tmp_path):
    url = (tmp_path / "absent").as_uri()
    with pytest.raises(UserError, match="cannot download file:"):
        fetch(url, tmp_path / "new" / "copy", "0123")
    assert list((tmp_path / "new").iterdir()) == []
    assert not reachable(url, timeout=1)


def test_what_answers_is_reachable(published):
    assert reachable(published.as_uri())
