import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from cnnjax import cli
from cnnjax.data import default_data_dir, load, prepare, sets, stream
from cnnjax.errors import UserError


def _contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def _one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_preparing_again_changes_nothing(tmp_path):
    first = prepare("digits", tmp_path)
    before = _contents(first.folder)
    assert before
    assert prepare("digits", tmp_path) == first
    assert _contents(first.folder) == before


def test_two_processes_at_once_prepare_one_set(tmp_path, data_dir):
    """Both start before either has finished, both load everything, and nothing unfinished is left behind."""
    code = (
        "import sys; from pathlib import Path; from cnnjax.data import load, sets\n"
        "built = []\n"
        "build = sets._build_ours\n"
        "sets._build_ours = lambda *a: (built.append(1), build(*a))\n"
        "me, other, data_dir = map(Path, sys.argv[1:])\n"
        "me.touch()\n"
        "while not other.exists(): pass\n"
        "print(load('digits', 'train', data_dir).fingerprint, len(built))\n"
    )
    ready = [tmp_path / "a", tmp_path / "b"]
    folder = tmp_path / "sets"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, *map(str, pair), str(folder)], stdout=subprocess.PIPE, text=True)
        for pair in (ready, ready[::-1])
    ]
    answers = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [fingerprint for fingerprint, _ in answers] == [load("digits", "train", data_dir).fingerprint] * 2
    assert sorted(built for _, built in answers) == ["0", "1"]
    assert [path.name for path in (folder / "digits").iterdir() if path.is_dir()] == ["1.0.0"]


def test_the_data_dir_is_ours_then_tfds_then_home(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/theirs")
    monkeypatch.setenv("CNNJAX_DATA_DIR", "/ours")
    assert default_data_dir() == Path("/ours")
    monkeypatch.delenv("CNNJAX_DATA_DIR")
    assert default_data_dir() == Path("/theirs")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert default_data_dir() == Path.home() / "tensorflow_datasets"


def test_an_unknown_name_gets_the_nearest(tmp_path):
    with pytest.raises(UserError, match="unknown data set 'digit'; did you mean digits") as error:
        load("digit", "train", tmp_path)
    _one_line(error)
    with pytest.raises(UserError, match="did you mean mnist"):
        prepare("mnits", tmp_path)
    with pytest.raises(
        UserError, match=r"unknown data set '\.\./x'; available: cifar10, digits, fashion_mnist, imagenet"
    ):
        prepare("../x", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_set_of_tfds_that_is_absent_says_what_to_run(tmp_path, monkeypatch):
    _pretend_tensorflow(monkeypatch, present=False)
    for ask in (lambda: load("svhn_cropped", "train", tmp_path), lambda: prepare("svhn_cropped", tmp_path)):
        with pytest.raises(
            UserError,
            match=r"'svhn_cropped' is not prepared .*pip install -e '\.\[tensorflow\]'.*`cnnjax data prepare svhn_cropped`",
        ):
            ask()


def test_without_a_network_tfds_is_not_even_asked(tmp_path, monkeypatch):
    _pretend_tensorflow(monkeypatch, present=True)
    monkeypatch.setattr("cnnjax.data.fetch.reachable", lambda url: False)
    monkeypatch.setattr(tfds, "builder", lambda *a, **k: pytest.fail("TFDS was asked"))
    with pytest.raises(UserError, match="cannot prepare svhn_cropped: no network") as error:
        prepare("svhn_cropped", tmp_path)
    _one_line(error)


def _pretend_tensorflow(monkeypatch, present):
    find = sets.importlib.util.find_spec
    pretended = sets.importlib.util.find_spec("json") if present else None
    monkeypatch.setattr(sets.importlib.util, "find_spec", lambda n: pretended if n == "tensorflow" else find(n))


def _write_info(folder: Path, **info) -> None:
    folder.mkdir(parents=True)
    splits = [{"name": "train", "shardLengths": ["3"]}]
    content = {"name": folder.parts[-2], "version": folder.name, "splits": splits, **info}
    (folder / "dataset_info.json").write_text(json.dumps(content))


def test_a_set_stored_as_tfrecord_says_how_to_convert_it(tmp_path):
    folder = tmp_path / "svhn_cropped" / "3.0.1"
    _write_info(folder, fileFormat="tfrecord")
    with pytest.raises(UserError, match="stored as tfrecord, expected array_record") as error:
        load("svhn_cropped", "train", tmp_path)
    message = _one_line(error)
    assert f"convert_format --dataset_version_dir={folder} --out_file_format=array_record" in message


def test_two_configurations_need_a_choice(tmp_path):
    for config in ("large", "small"):
        _write_info(tmp_path / "shapes" / config / "1.0.0", fileFormat="array_record", configName=config)
    with pytest.raises(UserError, match="choose one: shapes/large, shapes/small"):
        load("shapes", "train", tmp_path)
    assert prepare("shapes/small", tmp_path).config == "small"


def test_the_newest_version_is_read_by_number(tmp_path):
    for version in ("1.9.0", "1.10.0"):
        _write_info(tmp_path / "shapes" / version, fileFormat="array_record")
    _write_info(tmp_path / "shapes" / "incomplete.X_2.0.0", fileFormat="array_record")
    assert prepare("shapes", tmp_path).version == (1, 10, 0)


def test_ours_comes_before_a_newer_one_of_tfds(tmp_path):
    for version in ("1.0.0", "3.0.2"):
        _write_info(tmp_path / "cifar10" / version, fileFormat="array_record")
    assert prepare("cifar10", tmp_path).version == (1, 0, 0)


def test_an_unreadable_description_is_named(tmp_path):
    _write_info(tmp_path / "shapes" / "1.0.0")
    (tmp_path / "shapes" / "1.0.0" / "dataset_info.json").write_text("{")
    with pytest.raises(UserError, match=r"shapes/1\.0\.0 is no prepared data set"):
        load("shapes", "train", tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*CNNJAX_DATA_DIR") as error:
        prepare("digits", tmp_path / "file" / "sets")
    _one_line(error)


class Shapes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Stands for a set that TFDS prepared: PNG images, under names of its own."""

    VERSION = tfds.core.Version("2.0.0")
    pictures: tuple = ()

    def _info(self):
        features = {
            "id": tfds.features.Text(),
            "picture": tfds.features.Image(shape=(None, None, 3)),
            "kind": tfds.features.ClassLabel(names=["dark", "light"]),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("picture", "kind")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, picture in enumerate(self.pictures):
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "PNG")
            file.seek(0)
            yield i, {"id": str(i), "picture": file, "kind": int(picture.mean() > 127)}


def _prepare_shapes(data_dir, pictures):
    builder = Shapes(data_dir=data_dir, file_format="array_record")
    builder.pictures = pictures
    builder.download_and_prepare()


def test_png_images_are_decoded(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (9, 5, 6, 3), dtype=np.uint8)
    pictures[:4] //= 3
    _prepare_shapes(tmp_path, pictures)
    arrays = load("shapes", "train", tmp_path)
    assert arrays.images.shape == (9, 5, 6, 3)
    assert arrays.class_names == ("dark", "light")
    rows = {picture.tobytes(): int(picture.mean() > 127) for picture in pictures}
    assert {image.tobytes(): label for image, label in zip(arrays.images, arrays.labels, strict=True)} == rows


class Scenes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images of any number of classes."""

    VERSION = tfds.core.Version("1.0.0")
    labels: tuple = ()

    def _info(self):
        features = {
            "image": tfds.features.Tensor(shape=(2, 3, 1), dtype=np.uint8),
            "label": tfds.features.Sequence(tfds.features.ClassLabel(names=["cat", "dog", "sofa"])),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, label in enumerate(self.labels):
            yield i, {"image": np.full((2, 3, 1), i, np.uint8), "label": label}


def test_images_of_several_classes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CNNJAX_DATA_DIR", str(tmp_path))
    builder = Scenes(data_dir=tmp_path, file_format="array_record")
    builder.labels = (["cat", "sofa"], [], [1], ["sofa", "dog", "cat"])
    builder.download_and_prepare()
    for _ in range(2):  # made, and read again
        found = load("scenes", "train", tmp_path)
        np.testing.assert_array_equal(found.labels, [[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
        assert found.labels.dtype == bool
        assert found.class_names == ("cat", "dog", "sofa")
    np.testing.assert_array_equal(load("scenes", "train[2:]", tmp_path).labels, [[0, 1, 0], [1, 1, 1]])
    some = found.only((2, 0))
    np.testing.assert_array_equal(some.labels, [[1, 1], [1, 1]])
    np.testing.assert_array_equal(some.images[:, 0, 0, 0], [0, 3])
    streamed = stream.Examples("scenes", "train", data_dir=tmp_path).only((2, 0))
    np.testing.assert_array_equal(streamed.as_arrays().labels, some.labels)
    np.testing.assert_array_equal(streamed.as_arrays().images[:], some.images)
    assert (streamed.num_classes, streamed.class_names) == (2, ("sofa", "cat"))
    for index, classes in ((0, "classes cat, sofa"), (1, "classes none"), (2, "class dog")):
        assert cli.main(["data", "export", "scenes", str(index), str(tmp_path / "x.png")]) == 0
        assert capsys.readouterr().out.strip().endswith(f"example {index} of scenes train, {classes}")
    recipe = "configs/resnet_cifar_digits.py"
    words = ["--config.dataset.name=scenes", "--config.dataset.test=train", "--run", str(tmp_path / "run")]
    assert cli.main(["train", recipe, *words]) == 2
    assert "images of scenes train may be of several classes, and a network is trained to tell one" in (
        capsys.readouterr().err
    )


def test_images_of_several_shapes_do_not_fit(tmp_path):
    _prepare_shapes(tmp_path, [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)])
    with pytest.raises(UserError, match="images differ in shape"):
        load("shapes", "train", tmp_path)
    assert list((tmp_path / "shapes" / "2.0.0" / "arrays").iterdir()) == []


def test_importing_is_cheap():
    code = "import sys, cnnjax.data; print(*{'tensorflow_datasets', 'jax', 'sklearn'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_a_second_load_does_not_import_tfds(data_dir):
    first = load("digits", "test", data_dir)
    code = (
        "import sys; from cnnjax.data import load\n"
        f"print(load('digits', 'test', {os.fspath(data_dir)!r}).fingerprint, 'tensorflow_datasets' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert answer.split() == [first.fingerprint, "False"]
