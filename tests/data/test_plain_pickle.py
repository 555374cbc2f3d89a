import os
import pickle
import pickletools

import numpy as np
import pytest

from cnnjax.data import plain_pickle
from cnnjax.data.plain_pickle import NotPlainError


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    "value",
    [
        {
            "a": [1, 255, 70_000, -3, 2**40],
            "b": (),
            "c": (1, (2, 3), 4, 5),
            "d": None,
            "e": [True, False, 1.5],
            "ü": [],
        },
        [[], {}, [{}, {1: 2}], "x" * 300],
        7,
    ],
)
def test_plain_values_come_back(value, protocol):
    assert plain_pickle.loads(pickle.dumps(value, protocol)) == value


def test_a_shared_list_stays_shared():
    shared = [1]
    a, b = plain_pickle.loads(pickle.dumps([shared, shared], 2))
    assert a is b


class _Runs:
    """Pickles as a call of os.system that leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_a_command_is_refused_and_not_run(tmp_path, protocol):
    bait = tmp_path / "executed"
    data = pickle.dumps({"data": _Runs(bait)}, protocol)
    with pytest.raises(NotPlainError):
        plain_pickle.loads(data)
    assert not bait.exists()
    pickle.loads(data)  # the bait works: it is our reader that did not take it
    assert bait.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02cos\nsystem\nU\x04trueq\x00\x85R.", r"it names 'os\.system'"),
        (b"\x80\x02ios\nsystem\n.", "the opcode INST"),
        (b"\x80\x02cnumpy\ndtype\nU\x02O8\x85R.", "other than the constructors"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\n\x85R.", "other than the constructors"),
        (b"\x80\x02U\x01a)R.", "other than the constructors"),
        (b"\x80\x02}(K\x01e.", "as if it were a list"),
        (b"\x80\x02]K\x01K\x02s.", "as if it were a dict"),
        (b"\x80\x02}]b.", "something other than an array"),
        (b"\x80\x02}(K\x01u.", "not a well-formed pickle"),
        (b"\x80\x02}]K\x01s.", "names an entry by a list"),
        (b"\x80\x02h\x05.", "not a well-formed pickle"),  # a memo that was never set
        (b"\x80\x02e.", "not a well-formed pickle"),
        (b"\x80\x02", "not a well-formed pickle"),
        (b"", "not a well-formed pickle"),
        (b"hello", "not a well-formed pickle"),
    ],
)
def test_a_malformed_or_ambitious_pickle_is_refused(data, message):
    with pytest.raises(NotPlainError, match=message):
        plain_pickle.loads(data)


def test_every_prefix_is_refused():
    data = pickle.dumps({"a": [1, 2, {"b": (3, 4)}]}, 2)
    for end in range(len(data)):
        with pytest.raises(NotPlainError):
            plain_pickle.loads(data[:end])


def test_an_array_of_the_wrong_length_is_refused():
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x06abcdeftb."
    )
    np.testing.assert_array_equal(plain_pickle.loads(data), np.frombuffer(b"abcdef", np.uint8).reshape(2, 3))
    with pytest.raises(NotPlainError, match=r"shape .* with 5 bytes"):
        plain_pickle.loads(data.replace(b"\x06abcdef", b"\x05abcde"))
    assert "GLOBAL" in {opcode.name for opcode, _, _ in pickletools.genops(data)}
