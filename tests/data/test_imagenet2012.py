"""ImageNet's archives, as tiny ones of the same form, and what is made of them."""

import io
import tarfile

import numpy as np
import pytest
import scipy.io
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.utils import resource_utils

from cnnjax import cli, data, errors
from cnnjax.data import crops, imagenet2012_files, shards, stream

TRAIN, VALIDATION, KIT = imagenet2012_files.TRAIN, imagenet2012_files.VALIDATION, imagenet2012_files.KIT
LEAVES = {1: "n02119789", 2: "n02100735", 3: "n01440764"}
"""Numbers are not in the order of the identifiers, as in the real kit."""
TRUTH = [3, 1, 1, 2, 3]
INKS, PNG = "n02100735_4.JPEG", "n02119789_1.JPEG"


def _archive(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _bytes(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _meta(rows):
    """The table as MATLAB writes it: a structure array with a row for each node, inner ones after the leaves."""
    kinds = [
        ("ILSVRC2012_ID", object),
        ("WNID", object),
        ("words", object),
        ("num_children", object),
        ("children", object),
    ]
    table = np.zeros((len(rows), 1), kinds)
    for number, (key, name, children) in enumerate(rows):
        table[number, 0] = (np.uint16(key), name, "word, other", np.uint8(len(children)), np.array(children, np.uint16))
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"synsets": table}, do_compression=True)
    return buffer.getvalue()


def _kit(path, rows=None, truth=TRUTH, leave_out=""):
    rows = rows or [*((key, name, []) for key, name in LEAVES.items()), (4, "n00001740", [1, 2, 3])]
    inside = "ILSVRC2012_devkit_t12/data/"
    members = {
        "ILSVRC2012_devkit_t12/readme.txt": b"about",
        inside + "meta.mat": _meta(rows),
        inside + "ILSVRC2012_validation_ground_truth.txt": "".join(f"{each}\n" for each in truth).encode(),
    }
    _archive(
        path, {name: each for name, each in members.items() if not (leave_out and name.endswith(leave_out))}, "w:gz"
    )


@pytest.fixture
def originals(tmp_path, photograph, encoded):
    """Six images of each class for training, five for validation; one is a PNG, one has four inks."""
    folder = tmp_path / "archives"
    folder.mkdir()
    inner, contents = {}, {}
    for place, name in enumerate(LEAVES.values()):
        images = {}
        for number in range(6):
            picture, file = photograph(7 * place + number, 60 + 11 * number, 70 + 9 * place), f"{name}_{number}.JPEG"
            picture = picture.convert({INKS: "CMYK", "n01440764_0.JPEG": "L"}.get(file, "RGB"))
            images[file] = encoded(picture, "PNG" if file == PNG else "JPEG")
        inner[f"{name}.tar"] = _bytes(images)
        contents.update(images)
    validation = {f"ILSVRC2012_val_{n:08}.JPEG": encoded(photograph(n + 30, 80, 64)) for n in range(len(TRUTH), 0, -1)}
    _archive(folder / TRAIN, inner)
    _archive(folder / VALIDATION, validation)
    _kit(folder / KIT)
    return folder, {**contents, **validation}


def _examples(root, split):
    return stream.Examples("imagenet2012", split, crops.Crop(32, 36), data_dir=root)


def _records(examples):
    """file name → (content, label)."""
    records = examples.records
    return {records.file_name(i): (records[i][0].content, records[i][1]) for i in range(len(records))}


def test_everything_is_there_once_with_its_class(originals, tmp_path, capsys):
    folder, contents = originals
    root = tmp_path / "sets"
    assert cli.main(["data", "prepare", "imagenet2012", "--from", str(folder), "--data-dir", str(root)]) == 0
    assert "imagenet2012 is prepared: " in capsys.readouterr().out
    train, validation = _examples(root, "train"), _examples(root, "validation")
    assert train.records.class_names == ["n01440764", "n02100735", "n02119789"]
    found = _records(train)
    assert sorted(found) == sorted(name for name in contents if name.startswith("n"))
    for name, (content, label) in found.items():
        assert train.records.class_names[label] == name.split("_")[0]
        if name not in (INKS, PNG):
            assert content == contents[name]  # byte by byte
    names = {name: train.records.class_names[label] for name, (_, label) in _records(validation).items()}
    assert names == {f"ILSVRC2012_val_{n:08}.JPEG": LEAVES[key] for n, key in enumerate(TRUTH, start=1)}
    assert list(found) != sorted(found)


@pytest.mark.parametrize("name", [INKS, PNG])
def test_what_is_no_plain_jpeg_becomes_one(name, originals, tmp_path):
    folder, contents = originals
    data.prepare("imagenet2012", tmp_path, folder)
    content, _ = _records(_examples(tmp_path, "train"))[name]
    repaired = Image.open(io.BytesIO(content))
    assert (repaired.format, repaired.mode) == ("JPEG", "RGB")
    expected = np.asarray(Image.open(io.BytesIO(contents[name])).convert("RGB")).astype(int)
    assert np.abs(np.asarray(repaired) - expected).mean() < 1
    assert np.abs(np.asarray(repaired) - expected).max() < 8


def test_shards_by_several_processes_are_one_set(originals, tmp_path, monkeypatch):
    folder, _ = originals
    whole = data.prepare("imagenet2012", tmp_path / "whole", folder)
    assert whole.shards == {"train": [18], "validation": [5]}
    monkeypatch.setattr(shards, "SHARD", 9000)
    divided = data.prepare("imagenet2012", tmp_path / "divided", folder)
    assert len(divided.shards["train"]) > 1
    assert sum(divided.shards["train"]) == 18
    assert min(divided.shards["train"]) > 0
    assert list(_records(_examples(tmp_path / "divided", "train")).items()) == list(
        _records(_examples(tmp_path / "whole", "train")).items()
    )


def test_classes_are_in_the_order_of_tfds():
    """Whose list of the thousand is installed with it: alphabetical."""
    names = resource_utils.tfds_path("datasets/imagenet2012/labels.txt").read_text().split()
    assert len(names) == 1000
    assert names == sorted(names)


def _without(folder, name):
    (folder / name).unlink()


def _cut(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 4])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: _without(folder, KIT), f"no original files in .*put {TRAIN}, {VALIDATION} and {KIT}"),
        (lambda folder: _cut(folder, TRAIN), f"{TRAIN} "),
        (lambda folder: _cut(folder, VALIDATION), f"{VALIDATION} "),
        (lambda folder: _cut(folder, KIT), f"{KIT} cannot be read"),
        (lambda folder: (folder / TRAIN).write_bytes(b"no archive" * 100), f"{TRAIN} cannot be read"),
        (lambda folder: _kit(folder / KIT, leave_out="meta.mat"), "meta.mat is missing"),
        (lambda folder: _kit(folder / KIT, truth=[1, 2]), f"{VALIDATION} has .* none of the 2 images"),
        (lambda folder: _kit(folder / KIT, truth=[*TRUTH, 1]), f"{VALIDATION} has 5 images, and .* the classes of 6"),
        (lambda folder: _kit(folder / KIT, truth=[9, 1, 1, 2, 3]), "has class 9, which meta.mat does not have"),
        (lambda folder: _kit(folder / KIT, truth=["x", 1, 1, 2, 3]), "a number a line"),
        (
            lambda folder: _kit(folder / KIT, [(1, "n02119789", []), (2, "n02100735", [])], [1, 1, 1, 2, 2]),
            "n01440764.tar, ",
        ),
        (
            lambda folder: _kit(folder / KIT, [*((k, n, []) for k, n in LEAVES.items()), (5, "n09999999", [])]),
            "no images of 1 classes, one of them n09999999",
        ),
        (
            lambda folder: _archive(
                folder / KIT, {"meta.mat": b"x" * 300, "ILSVRC2012_validation_ground_truth.txt": b"1"}, "w:gz"
            ),
            "meta.mat is not the table",
        ),
        (
            lambda folder: _archive(
                folder / TRAIN, {f"{n}.tar": _bytes({f"{n}_0.JPEG": b"<html>"}) for n in LEAVES.values()}
            ),
            "_0.JPEG is no picture that can be read",
        ),
    ],
)
def test_archives_that_do_not_fit_are_named_and_nothing_is_left(harm, message, originals, tmp_path):
    folder, _ = originals
    harm(folder)
    with pytest.raises(errors.UserError, match=message) as error:
        data.prepare("imagenet2012", tmp_path / "sets", folder)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "sets").rglob("*.array_record*"))


class Theirs(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Stands for TFDS's own: its name, version and features."""

    name = "imagenet2012"
    VERSION = tfds.core.Version("5.1.0")
    files: tuple = ()

    def _info(self):
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=sorted(LEAVES.values())),
            "file_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for name, content in self.files:
            yield name, {"image": io.BytesIO(content), "label": name.split("_")[0], "file_name": name}


def test_what_tfds_has_prepared_is_streamed_too(originals, tmp_path):
    folder, contents = originals
    builder = Theirs(data_dir=tmp_path / "theirs", file_format="array_record")
    builder.files = tuple((name, each) for name, each in contents.items() if name[0] == "n" and name not in (INKS, PNG))
    builder.download_and_prepare()
    data.prepare("imagenet2012", tmp_path / "ours", folder)
    theirs, ours = (stream.Training(_examples(tmp_path / each, "train"), 16, 0) for each in ("theirs", "ours"))
    found = {}
    for name, training in (("theirs", theirs), ("ours", ours)):
        batch, records = training[0], training.examples.records
        rows = zip(batch["index"].tolist(), batch["label"].tolist(), strict=True)
        found[name] = {records.file_name(index): records.class_names[label] for index, label in rows}
    assert len(found["theirs"]) == 16  # all that are not repaired
    assert all(label == file.split("_")[0] for each in found.values() for file, label in each.items())
    place = {theirs.examples.records.file_name(index): index for index in range(16)}
    for index in range(18):
        file = ours.examples.records.file_name(index)
        if file in place:
            image, label = ours.examples.load(index, None)
            np.testing.assert_array_equal(theirs.examples.load(place[file], None)[0], image)
            assert theirs.examples.load(place[file], None)[1] == label


def test_not_prepared(tmp_path):
    with pytest.raises(
        errors.UserError, match=r"is not prepared; put .* run `cnnjax data prepare imagenet2012 --from FOLDER`"
    ):
        _examples(tmp_path, "train")


def test_a_set_that_tfds_wrote_for_tensorflow_wants_to_be_converted(tmp_path):
    folder = tmp_path / "imagenet2012" / "5.1.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text('{"fileFormat": "tfrecord", "splits": []}')
    with pytest.raises(errors.UserError, match="stored as tfrecord, expected array_record; convert it once"):
        _examples(tmp_path, "train")
