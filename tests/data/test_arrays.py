import resource
import signal

import numpy as np
import pytest

from cnnjax.data import load, prepare
from cnnjax.data.arrays import resolve
from cnnjax.errors import UserError

SHARDS = {"train": [600, 400], "test": [150]}


@pytest.mark.parametrize(
    ("split", "ranges"),
    [
        ("train", [("train", 0, 1000)]),
        ("train[:450]", [("train", 0, 450)]),
        ("train[450:]", [("train", 450, 1000)]),
        ("train[:90%]", [("train", 0, 900)]),
        ("train[90%:]", [("train", 900, 1000)]),
        ("train[-10:]", [("train", 990, 1000)]),
        ("test[33%:66%]", [("test", 50, 99)]),
        ("train[1shard]", [("train", 600, 1000)]),
        ("train+test[:10]", [("train", 0, 1000), ("test", 0, 10)]),
    ],
)
def test_split_syntax(split, ranges):
    assert resolve(split, SHARDS) == ranges


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("trian", "unknown split 'trian'; did you mean train"),
        ("validation[:5]", "unknown split 'validation'; available: test, train"),
        ("train[:5", "is no slice of a split; the splits have train 1,000, test 150"),
        ("train[:2000]", "is no slice of a split; the splits have train 1,000, test 150"),
        ("train[5:5]", "has no examples"),
        ("train[10:5]", "has no examples"),
    ],
)
def test_a_wrong_split_is_one_line(split, message):
    with pytest.raises(UserError, match=message) as error:
        resolve(split, SHARDS)
    assert "\n" not in str(error.value)


def test_slices_are_mapped_parts_of_the_split(data_dir):
    whole = load("digits", "train", data_dir)
    head, tail = load("digits", "train[:1000]", data_dir), load("digits", "train[1000:]", data_dir)
    assert isinstance(head.images, np.memmap)
    np.testing.assert_array_equal(np.concatenate([head.images, tail.images]), whole.images)
    np.testing.assert_array_equal(np.concatenate([head.labels, tail.labels]), whole.labels)
    with pytest.raises(ValueError, match="read-only"):
        whole.images[0, 0, 0, 0] = 1


def test_a_sum_of_splits_is_their_concatenation(data_dir):
    both = load("digits", "test+train[:3]", data_dir)
    np.testing.assert_array_equal(both.images[:360], load("digits", "test", data_dir).images)
    np.testing.assert_array_equal(both.labels[360:], load("digits", "train", data_dir).labels[:3])


def test_the_fingerprint_is_of_the_content(data_dir):
    prints = {
        split: load("digits", split, data_dir).fingerprint for split in ("train", "test", "train[:9]", "train[9:]")
    }
    assert len(set(prints.values())) == 4
    assert load("digits", "train[:100%]", data_dir).fingerprint == prints["train"]
    assert all(len(fingerprint) == 16 for fingerprint in prints.values())


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["test.images.npy", "test.labels.npy", "test.json"])
@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, lambda path: path.write_bytes(b""), lambda p: p.unlink()])
def test_a_damaged_cache_is_made_again(tmp_path, name, damage):
    good = load("digits", "test", tmp_path)
    images, labels = good.images.copy(), good.labels.copy()
    file = tmp_path / "digits" / "1.0.0" / "arrays" / name
    content = file.read_bytes()
    damage(file)
    again = load("digits", "test", tmp_path)
    np.testing.assert_array_equal(again.images, images)
    np.testing.assert_array_equal(again.labels, labels)
    assert again.fingerprint == good.fingerprint
    assert file.read_bytes() == content


def test_damaged_records_say_what_to_do(tmp_path):
    folder = prepare("digits", tmp_path).folder
    (shard,) = folder.glob("*test.array_record*")
    _truncate(shard)
    with pytest.raises(UserError, match=r"is damaged .*; remove that folder and prepare it again") as error:
        load("digits", "test", tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("step", ["prepare", "load"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_done(tmp_path, step):
    """The limit on a file's size stands for the disk's."""
    if step == "load":
        prepare("digits", tmp_path)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write .*File too large.*free space") as error:
            load("digits", "test", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(error.value)
    assert load("digits", "test", tmp_path).images.shape == (360, 8, 8, 1)


def test_images_resized_are_interpolated_and_keep_their_labels(data_dir):
    plain = load("digits", "train[:7]", data_dir)
    large = plain.resized(16)
    assert large.images.shape == (7, 16, 16, 1)
    assert large.images.dtype == np.uint8
    assert large.images.max() <= 16
    assert large.fingerprint != plain.fingerprint != plain.resized(8).fingerprint
    np.testing.assert_array_equal(large.labels, plain.labels)
    np.testing.assert_array_equal(plain.resized(8).images, plain.images)
    # Twice as large: a new pixel lies a quarter of the way between two old ones.
    old = plain.images[..., 0].astype(np.float64)
    columns = 0.75 * old[:, :, 3] + 0.25 * old[:, :, 4]
    expected = 0.75 * columns[:, 3] + 0.25 * columns[:, 4]
    np.testing.assert_allclose(large.images[:, 7, 7, 0], expected, atol=0.5)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_of_labels_is_wrong(data_dir, share):
    plain = load("digits", "train[:1000]", data_dir)
    noisy = plain.mislabelled(share)
    wrong = noisy.labels != plain.labels
    assert wrong.sum() == share * 1000
    assert noisy.labels.dtype == np.int32
    np.testing.assert_array_equal(noisy.images, plain.images)
    np.testing.assert_array_equal(noisy.labels, plain.mislabelled(share).labels)
    assert noisy.fingerprint != plain.fingerprint
    more = plain.mislabelled(1.0).labels
    np.testing.assert_array_equal(noisy.labels[wrong], more[wrong])
    # Nine other classes, each as likely: 5 standard deviations of a count of 1000 draws with probability 1/9 are 50.
    steps = np.bincount((more - plain.labels) % 10, minlength=10)
    assert steps[0] == 0
    assert np.all(abs(steps[1:] - 1000 / 9) < 50)
    # Nor do they lie at the beginning, where a set may be sorted.
    assert abs(wrong[:500].sum() - 500 * share) < 5 * 500**0.5 / 2


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none(data_dir, share):
    with pytest.raises(UserError, match=r"dataset\.wrong_labels is a share .* 0 to 1, not"):
        load("digits", "train[:2]", data_dir).mislabelled(share)


def test_a_side_that_is_none(data_dir):
    with pytest.raises(UserError, match=r"dataset\.side is a number of pixels, .* not -1"):
        load("digits", "train[:2]", data_dir).resized(-1)
