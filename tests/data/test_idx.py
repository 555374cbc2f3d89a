"""MNIST and Fashion-MNIST from small IDX files, which the tests write byte by byte."""

import gzip
import struct

import numpy as np
import pytest

from cnnjax import cli
from cnnjax.data import load, prepare
from cnnjax.errors import UserError

COUNTS = {"train": 7, "t10k": 3}


@pytest.fixture(scope="module")
def originals():
    """File's beginning → (images [N, 28, 28], labels [N])."""
    rng = np.random.default_rng(0)
    return {
        part: (rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count, dtype=np.uint8))
        for part, count in COUNTS.items()
    }


def encode(array):
    """The format's own words: two zeros, 8 for unsigned bytes, the number of axes, each length in four bytes."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape) + array.tobytes()


def write(folder, originals, packed=True, dot=False):
    folder.mkdir(exist_ok=True)
    for part, (images, labels) in originals.items():
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name = f"{part}-{kind.replace('-', '.') if dot else kind}-ubyte"
            content = encode(array)
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    return folder


@pytest.mark.parametrize(("packed", "dot"), [(True, False), (False, False), (False, True)])
def test_every_pixel_and_label_in_the_files_order(packed, dot, originals, tmp_path, capsys):
    folder, sets = write(tmp_path / "files", originals, packed, dot), tmp_path / "sets"
    assert cli.main(["data", "prepare", "fashion_mnist", "--from", str(folder), "--data-dir", str(sets)]) == 0
    assert "fashion_mnist is prepared" in capsys.readouterr().out
    for split, part in (("train", "train"), ("test", "t10k")):
        found = load("fashion_mnist", split, sets)
        np.testing.assert_array_equal(found.images[..., 0], originals[part][0])
        np.testing.assert_array_equal(found.labels, originals[part][1])
        assert found.images.shape[1:] == (28, 28, 1)
    assert found.class_names[0] == "T-shirt/top"
    assert found.class_names[9] == "Ankle boot"


def test_mnist_is_not_taken_for_its_twin(originals, tmp_path):
    """The files have the same names: they are never looked for without being asked."""
    manual = tmp_path / "sets" / "downloads" / "manual"
    manual.mkdir(parents=True)
    write(manual, originals)
    for ask in (lambda: load("mnist", "train", tmp_path / "sets"), lambda: prepare("mnist", tmp_path / "sets")):
        with pytest.raises(
            UserError, match=r"put train-images-idx3-ubyte.* run `cnnjax data prepare mnist --from FOLDER`"
        ):
            ask()
    prepare("mnist", tmp_path / "sets", manual)
    assert load("mnist", "train", tmp_path / "sets").class_names == tuple("0123456789")


def damaged(content, kind):
    forms = {
        "magic": b"\x00\x00\x0d\x03" + content[4:],
        "short": content[:-1],
        "long": content + b"\x00",
        "header": content[:9],
        "empty": b"",
    }
    return forms[kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("magic", "no IDX file of unsigned bytes with 3 axes"),
        ("short", "has 5,487 bytes of data, and says that it holds 7 × 28 × 28"),
        ("long", "has 5,489 bytes"),
        ("header", "no IDX file"),
        ("empty", "no IDX file"),
    ],
)
def test_a_damaged_file(kind, message, originals, tmp_path):
    folder = write(tmp_path / "files", originals, packed=False)
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(damaged(file.read_bytes(), kind))
    with pytest.raises(UserError, match=message) as error:
        prepare("fashion_mnist", tmp_path / "sets", folder)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "sets").glob("fashion_mnist/1.0.0"))


def test_what_does_not_fit_together(originals, tmp_path):
    images, labels = originals["train"]
    cases = {
        "labels \\(6,\\)": {**originals, "train": (images, labels[:6])},
        "the labels of train reach 10": {**originals, "train": (images, np.full(7, 10, np.uint8))},
        "expected N × 28 × 28": {**originals, "train": (images[:, :27], labels)},
    }
    for number, (message, files) in enumerate(cases.items()):
        folder = write(tmp_path / f"files{number}", files)
        with pytest.raises(UserError, match=message):
            prepare("fashion_mnist", tmp_path / f"sets{number}", folder)


def test_a_missing_or_torn_file(originals, tmp_path):
    folder = write(tmp_path / "files", originals)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match="not the whole set: t10k-labels-idx1-ubyte is missing"):
        prepare("fashion_mnist", tmp_path / "sets", folder)
    file = folder / "train-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot be read"):
        prepare("fashion_mnist", tmp_path / "sets", folder)
    with pytest.raises(UserError, match="has no original files in"):
        prepare("fashion_mnist", tmp_path / "sets", tmp_path)
