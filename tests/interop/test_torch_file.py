"""Files of `torch.save`, read without PyTorch. Those that are compared were written by it; see goldens/make_torch_files.py."""

import io
import json
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from cnnjax import errors
from cnnjax.interop import torch_file

GOLDENS = pathlib.Path(__file__).parent / "goldens"
STATE = json.loads((GOLDENS / "torch_files.json").read_text())["state"]


@pytest.mark.parametrize("name", ["state.pth", "state_old.pth", "checkpoint.pth"])
def test_what_torch_has_written(name):
    found = torch_file.read(GOLDENS / name)
    assert set(found) == set(STATE)
    for key, (shape, values) in STATE.items():
        assert list(found[key].shape) == shape
        np.testing.assert_array_equal(found[key].astype(np.float64).ravel(), values)


def test_types_are_kept():
    found = torch_file.read(GOLDENS / "state.pth")
    assert {str(found[name].dtype) for name in found} == {"float32", "int64", "float16", "bfloat16", "float64", "bool"}


def test_a_whole_module_is_refused():
    with pytest.raises(
        errors.UserError, match=r"names 'torch\.nn\.modules\.container\.Sequential'.*save a network's state_"
    ):
        torch_file.read(GOLDENS / "module.pth")


@pytest.mark.parametrize("name", ["state.pth", "state_old.pth"])
def test_no_cut_goes_unnoticed(name, tmp_path):
    data = (GOLDENS / name).read_bytes()
    path = tmp_path / "cut.pth"
    for end in [*range(0, len(data), 7), len(data) - 1]:
        path.write_bytes(data[:end])
        with pytest.raises(errors.UserError):
            torch_file.read(path)


def test_no_flipped_byte_does_more_than_change_a_name(tmp_path):
    """Numbers in an archive are protected by checksums; whatever else is hit, the error is a line."""
    data = (GOLDENS / "state.pth").read_bytes()
    path = tmp_path / "flipped.pth"
    refused = 0
    for place in range(0, len(data), 11):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x20]) + data[place + 1 :])
        try:
            found = torch_file.read(path)
        except errors.UserError:
            refused += 1
        else:
            for key in set(found) & set(STATE):
                np.testing.assert_array_equal(found[key].astype(np.float64).ravel(), STATE[key][1])
    assert refused > 20


class Malicious:
    """Would make a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def archive(pickled):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as writer:
        # By ZipInfo, whose date is a fixed one: the bytes name tests, and every worker must find the same.
        writer.writestr(zipfile.ZipInfo("x/data.pkl"), pickled)
        writer.writestr(zipfile.ZipInfo("x/data/0"), b"\0" * 8)
    return file.getvalue()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [archive, bytes], ids=["archive", "bare"])
def test_nothing_is_executed(protocol, wrap, tmp_path):
    victim = tmp_path / "victim"
    pickle.loads(pickle.dumps(Malicious(victim), protocol))
    victim.rmdir()  # it was made
    path = tmp_path / "evil.pth"
    path.write_bytes(wrap(pickle.dumps({"weight": Malicious(victim)}, protocol)))
    with pytest.raises(errors.UserError, match="plain data does not need"):
        torch_file.read(path)
    assert not victim.exists()


# A tensor's pickle by hand: _rebuild_tensor_v2(storage, offset, size, stride, ...) with what is given.
def tensor(storage, offset, size, stride):
    def write(value):
        match value:
            case tuple():
                return b"(" + b"".join(map(write, value)) + b"t"
            case str():
                return b"X" + len(value).to_bytes(4, "little") + value.encode()
            case bytes():
                return b"c" + value
            case int() if abs(value) < 2**31:
                return b"J" + value.to_bytes(4, "little", signed=True)
            case int():
                return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)
            case list():
                return write(tuple(value)) + b"Q"

    of = b"ctorch._utils\n_rebuild_tensor_v2\n" + write((storage, offset, size, stride)) + b"R"
    return b"\x80\x02}" + write("weight") + of + b"s."


FLOATS = ["storage", b"torch\nFloatStorage\n", "0", "cpu", 2]


def test_the_pickle_by_hand_is_one(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(archive(tensor(FLOATS, 0, (2,), (1,))))
    np.testing.assert_array_equal(torch_file.read(path)["weight"], np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((FLOATS, 0, (3,), (1,)), "storage of 2 values"),
        ((FLOATS, 1, (2,), (1,)), "storage of 2 values"),
        ((FLOATS, 0, (2, 2), (2, 1)), "storage of 2 values"),
        ((FLOATS, -1, (2,), (1,)), "strides are none"),
        ((FLOATS, 0, (2,), (-1,)), "strides are none"),
        ((FLOATS, 0, (2,), (1, 1)), "strides are none"),
        (([*FLOATS[:4], 3], 0, (3,), (1,)), "cut short"),
        (([*FLOATS[:4], -1], 0, (3,), (1,)), "other than a storage"),
        ((["module", *FLOATS[1:]], 0, (2,), (1,)), "other than a storage"),
        ((["storage", "torch", *FLOATS[2:]], 0, (2,), (1,)), "other than a storage"),
        ((["storage", FLOATS[1], "1", "cpu", 2], 0, (2,), (1,)), "damaged"),
        ((FLOATS, 0, (2**70,), (0,)), "shape and strides are none"),
        ((FLOATS, 0, (2**30,), (0,)), "storage of 2 values"),
        ((FLOATS, 0, (1,), (2**70,)), "shape and strides are none"),
        ((FLOATS, 0, (1,) * 9, (1,) * 9), "shape and strides are none"),
        (([*FLOATS[:4], 2**70], 0, (2,), (1,)), "other than a storage"),
        (([*FLOATS[:4], 2**40], 0, (2,), (1,)), "cut short"),
    ],
)
def test_tensors_that_reach_beyond_their_numbers(arguments, message, tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(archive(tensor(*arguments)))
    with pytest.raises(errors.UserError, match=message):
        torch_file.read(path)


def laughs(levels):
    """A tuple of ten times the same tuple of ten times the same ...: 10^levels values in a few bytes."""
    text = b")q\x00"
    for level in range(levels):
        text += b"0(" + (b"h" + bytes([level])) * 10 + b"tq" + bytes([level + 1])
    return text


NESTED = b")" + b"\x85" * 100_000
"""A tuple in a tuple in a tuple ..."""


@pytest.mark.parametrize(
    "pickled",
    [
        b"(" + laughs(30) + b"(h\x1eX\1\0\0\0aX\1\0\0\0bX\1\0\0\0cK\1tQ.",
        laughs(30) + b"0}h\x1eK\x01s.",
        laughs(30) + b"0]q\x50(" + b"h\x1eK\x01e}h\x50K\x01s.",
        b"}" + NESTED + b"K\x01s.",
        b"(" + NESTED + b"X\1\0\0\0aX\1\0\0\0bX\1\0\0\0cK\1tQ.",
        b"I" + b"9" * 6000 + b"\n.",
        b"K\x01Q.",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"ccollections\nOrderedDict\n(K\x01tR.",
    ],
)
def test_what_would_take_for_ever_or_overflow(pickled, tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(archive(b"\x80\x02" + pickled))
    with pytest.raises(errors.UserError) as caught:
        torch_file.read(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def old_file(size, keys, claimed, content):
    """The form before 1.6, by hand: a tensor of two in a storage of so many values."""
    parts = [pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {})]
    parts += [tensor([*FLOATS[:4], size], 0, (2,), (1,)), pickle.dumps(keys, 2)]
    return b"".join(parts) + claimed.to_bytes(8, "little") + content


def test_the_old_form_by_hand_is_one(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(old_file(2, ["0"], 2, b"\0" * 8))
    np.testing.assert_array_equal(torch_file.read(path)["weight"], np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("size", "keys", "claimed", "message"),
    [
        (2**40, ["0"], 2**40, "cut short"),
        (2, ["0"], 3, "does not have 2 values"),
        (2, 5, 2, "damaged"),
        (2, [["0"]], 2, "storages that no tensor has"),
        (2, ["1"], 2, "storages that no tensor has"),
        (2, [], 2, "damaged"),
    ],
)
def test_an_old_file_that_claims_what_is_not_there(size, keys, claimed, message, tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(old_file(size, keys, claimed, b"\0" * 8))
    with pytest.raises(errors.UserError, match=message):
        torch_file.read(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_compressed_archive_is_refused_before_it_is_unpacked(method, tmp_path):
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w", method) as writer:
        writer.writestr("x/data.pkl", tensor(FLOATS, 0, (2,), (1,)))
        writer.writestr("x/data/0", b"\0" * 2**24)
    with pytest.raises(errors.UserError, match="compressed archive"):
        torch_file.read(path)


def test_two_tensors_of_one_name(tmp_path):
    one, other = tensor(FLOATS, 0, (2,), (1,)), tensor(FLOATS, 0, (1,), (1,))
    both = one[:-2].replace(b"X\6\0\0\0weight", b"X\x0d\0\0\0module.weight", 1) + b"s" + other[3:]
    path = tmp_path / "x.pth"
    path.write_bytes(archive(both))
    with pytest.raises(errors.UserError, match=r"both 'weight' and 'module\.weight'"):
        torch_file.read(path)


def test_a_checkpoint_by_another_word(tmp_path):
    path = tmp_path / "x.pth"
    inner = tensor(FLOATS, 0, (2,), (1,))
    path.write_bytes(archive(b"\x80\x02}X\x10\0\0\0model_state_dict" + inner[2:-1] + b"s."))
    assert set(torch_file.read(path)) == {"weight"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.pth is empty"),
        (archive(tensor(FLOATS, 0, (2,), (1,)))[:-30], "x.pth is damaged or cut short: its end"),
        (archive(tensor(FLOATS, 0, (2,), (1,)))[:100], "x.pth is damaged or cut short: its end"),
        # Bytes whose number, they say, is more than any machine holds.
        (b"\x80\x04\x8e" + (2**50).to_bytes(8, "little") + b"x.", "not a well-formed pickle"),
        (safetensors.numpy.save({"a": np.zeros(3, np.float32)}), r"x.pth looks like a \.safetensors file; name it so"),
    ],
)
def test_what_is_no_whole_file(content, message, tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match=message):
        torch_file.read(path)
