"""CIFAR-10 from small files in the two original formats, which the tests write themselves."""

import os
import pickle
import struct
import tarfile
import urllib.error

import numpy as np
import pytest

from cnnjax.data import cifar10_files, load, prepare
from cnnjax.errors import UserError

EXAMPLES = 7
BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]


@pytest.fixture(autouse=True)
def _small_files(monkeypatch):
    monkeypatch.setattr(cifar10_files, "EXAMPLES", EXAMPLES)


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """Counts the attempts; none succeeds."""
    attempts = []

    def refuse(url, timeout):
        attempts.append((url, timeout))
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return attempts


@pytest.fixture(scope="module")
def batches():
    """name → (images [7, 32, 32, 3], labels [7])."""
    rng = np.random.default_rng(0)
    shape = (EXAMPLES, 32, 32, 3)
    return {name: (rng.integers(0, 256, shape, dtype=np.uint8), rng.integers(0, 10, EXAMPLES)) for name in BATCHES}


def _planes(images):
    """Rows of 3,072: all red values, all green, all blue, each in reading order; written without the library's help."""
    return np.stack([np.concatenate([image[:, :, channel].ravel() for channel in range(3)]) for image in images])


def _binary(images, labels):
    return b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels, _planes(images), strict=True))


def _python2_pickle(images, labels):
    """The opcodes in which Python 2's cPickle (protocol 2) wrote {batch_label, labels, data, filenames}."""
    rows = _planes(images).tobytes()

    def string(text):
        return b"U" + bytes([len(text)]) + text

    return b"".join(
        [
            b"\x80\x02}q\x01(",
            string(b"batch_label") + b"q\x02" + string(b"training batch 1 of 5") + b"q\x03",
            string(b"labels") + b"q\x04]q\x05(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e",
            string(b"data")
            + b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09",
            b"(K\x01" + b"K" + bytes([len(labels)]) + b"M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b",
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
            + struct.pack("<I", len(rows))
            + rows
            + b"tb",
            string(b"filenames")
            + b"q\x0c]q\x0d("
            + b"".join(string(b"a_%d.png" % i) for i in range(len(labels)))
            + b"e",
            b"u.",
        ]
    )


def _write(folder, batches, form):
    folder.mkdir(parents=True)
    encode = _binary if form is cifar10_files.BINARY else _python2_pickle
    for name, batch in batches.items():
        (folder / f"{name}{form.suffix}").write_bytes(encode(*batch))


@pytest.fixture(params=[cifar10_files.BINARY, cifar10_files.PYTHON], ids=["binary", "python"])
def form(request):
    return request.param


@pytest.fixture(params=["the folder itself", "its parent", "the archive", "the archive's folder"])
def source(request, tmp_path, batches, form):
    folder = tmp_path / "original" / form.folder
    _write(folder, batches, form)
    if "archive" not in request.param:
        return folder if request.param == "the folder itself" else folder.parent
    archive = tmp_path / "archives" / form.archive
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=form.folder)
    return archive if request.param == "the archive" else archive.parent


def _check(data_dir, batches):
    train, test = load("cifar10", "train", data_dir), load("cifar10", "test", data_dir)
    np.testing.assert_array_equal(train.images, np.concatenate([batches[name][0] for name in BATCHES[:5]]))
    np.testing.assert_array_equal(train.labels, np.concatenate([batches[name][1] for name in BATCHES[:5]]))
    np.testing.assert_array_equal(test.images, batches["test_batch"][0])
    np.testing.assert_array_equal(test.labels, batches["test_batch"][1])
    assert train.class_names[0] == "airplane"
    assert train.class_names[9] == "truck"
    assert train.num_classes == 10


def test_what_this_file_writes_is_what_python_2_wrote(batches):
    """Python itself reads our Python 2 pickle, so the format is not one of the test's own."""
    batch = pickle.loads(_python2_pickle(*batches["test_batch"]), encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], _planes(batches["test_batch"][0]))
    assert batch[b"labels"] == batches["test_batch"][1].tolist()


def test_every_original_form_gives_the_same_set(tmp_path, source, batches):
    prepare("cifar10", tmp_path / "sets", source)
    _check(tmp_path / "sets", batches)


def test_files_at_the_conventional_place_need_no_preparing(tmp_path, batches, form, network):
    _write(tmp_path / "downloads" / "manual" / form.folder, batches, form)
    _check(tmp_path, batches)
    assert network == []


def test_without_files_load_says_what_to_do_and_does_not_try_the_network(tmp_path, network):
    with pytest.raises(UserError, match=r"cifar-10-binary\.tar\.gz .*downloads/manual.*--from FOLDER") as error:
        load("cifar10", "train", tmp_path)
    assert "\n" not in str(error.value)
    assert network == []


def test_without_files_prepare_tries_the_network_once(tmp_path, network):
    with pytest.raises(UserError, match=r"cannot download .*no network in tests.*downloads/manual.*--from") as error:
        prepare("cifar10", tmp_path)
    assert "\n" not in str(error.value)
    ((url, timeout),) = network
    assert url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert timeout <= 10
    assert list((tmp_path / "downloads" / "manual").iterdir()) == []


def test_a_source_without_the_files_is_named(tmp_path, network):
    with pytest.raises(UserError, match=r"no original files in .*elsewhere"):
        prepare("cifar10", tmp_path, tmp_path / "elsewhere")
    assert network == []


def test_a_truncated_file_is_named_with_its_size(tmp_path, batches):
    folder = tmp_path / "cifar-10-batches-bin"
    _write(folder, batches, cifar10_files.BINARY)
    file = folder / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-1])
    size = EXAMPLES * 3073
    with pytest.raises(UserError, match=rf"data_batch_3\.bin has {size - 1:,} bytes, expected {size:,}"):
        prepare("cifar10", tmp_path / "sets", folder)
    assert not (tmp_path / "sets" / "cifar10" / "1.0.0").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "is not an original CIFAR-10 batch: not a well-formed pickle"),
        (lambda content: content[: len(content) // 2], "is not an original CIFAR-10 batch"),
        (lambda content: content.replace(b"labels", b"lapels"), "expected a dict with 'data' and 'labels'"),
        (lambda content: _python2_pickle(np.zeros((6, 32, 32, 3), np.uint8), range(6)), r"holds data \(6, 3072\)"),
        (lambda content: content.replace(b"q\x05(K", b"q\x05(K\x63K", 1), "8 labels"),
        (lambda content: _python2_pickle(np.zeros((7, 32, 32, 3), np.uint8), range(5, 12)), "labels other than 0…9"),
    ],
)
def test_a_damaged_python_file_is_one_line(tmp_path, batches, damage, message):
    folder = tmp_path / "cifar-10-batches-py"
    _write(folder, batches, cifar10_files.PYTHON)
    file = folder / "data_batch_2"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        prepare("cifar10", tmp_path / "sets", folder)
    assert "data_batch_2" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_label_in_a_binary_file_is_refused(tmp_path, batches):
    folder = tmp_path / "cifar-10-batches-bin"
    _write(folder, batches, cifar10_files.BINARY)
    file = folder / "test_batch.bin"
    file.write_bytes(b"\x0a" + file.read_bytes()[1:])
    with pytest.raises(UserError, match="label 10, expected 0…9"):
        prepare("cifar10", tmp_path / "sets", folder)


class _Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_malicious_batch_is_refused_and_not_run(tmp_path, batches):
    folder = tmp_path / "cifar-10-batches-py"
    _write(folder, batches, cifar10_files.PYTHON)
    bait = tmp_path / "executed"
    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": _Runs(bait), "labels": []}, 2))
    with pytest.raises(UserError, match=r"names 'posix\.system'.*nothing in it was run"):
        prepare("cifar10", tmp_path / "sets", folder)
    assert not bait.exists()


def test_a_missing_file_is_named(tmp_path, batches, form):
    folder = tmp_path / form.folder
    _write(folder, batches, form)
    (folder / f"test_batch{form.suffix}").unlink()
    with pytest.raises(UserError, match=r"test_batch.* is missing"):
        prepare("cifar10", tmp_path / "sets", folder)


def test_a_damaged_archive_is_one_line(tmp_path, batches, form):
    _write(tmp_path / form.folder, batches, form)
    archive = tmp_path / "archives" / form.archive
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / form.folder, arcname=form.folder)
    content = archive.read_bytes()
    for damaged in (content[: len(content) // 2], content[:3000] + b"\0" * 50 + content[3050:], b"no archive"):
        archive.write_bytes(damaged)
        with pytest.raises(UserError, match=r"cannot be read .*; if it is damaged, fetch it again") as error:
            prepare("cifar10", tmp_path / "sets", archive)
        assert form.archive in str(error.value)
        assert "\n" not in str(error.value)


def test_tfds_own_name_is_not_taken():
    from tensorflow_datasets.core import registered

    import cnnjax.data.cifar10

    assert cnnjax.data.cifar10.Cifar10 not in registered._DATASET_REGISTRY.values()
