"""Folders of class folders, and pictures of examples."""

import io

import numpy as np
import pytest
from PIL import Image

from cnnjax import cli, data, errors
from cnnjax.data import decode, image_folder, picture, records, sets, shards

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
COUNTS = {"blue": 20, "green": 13, "red": 7}


@pytest.fixture
def folder(tmp_path):
    for name, colour in COLOURS.items():
        (tmp_path / "pictures" / name / "more").mkdir(parents=True)
        for number in range(COUNTS[name]):
            shown = Image.new("RGB", (12 + number, 16), colour)
            shown.putpixel((0, 0), (number, number, number))
            place = tmp_path / "pictures" / name / ("more" if number % 3 == 0 else "")
            shown.save(place / f"{number}.{'png' if number % 2 else 'bmp'}")
    (tmp_path / "pictures" / "red" / "notes.txt").write_text("no picture")
    (tmp_path / "pictures" / "empty").mkdir()
    (tmp_path / "pictures" / ".hidden").mkdir()
    return tmp_path / "pictures"


def test_a_set_from_a_folder(folder, tmp_path, capsys):
    words = ["data", "prepare", "colours", "--images", str(folder), "--side", "10", "--split", "10/15/75"]
    assert cli.main([*words, "--data-dir", str(tmp_path / "sets")]) == 0
    assert "colours is prepared: " in capsys.readouterr().out
    parts = {split: data.load("colours", split, tmp_path / "sets") for split in ("test", "valid", "train")}
    # By hand: 10 % and 25 % of 20, 13 and 7, halves up.
    assert {split: np.bincount(part.labels).tolist() for split, part in parts.items()} == {
        "test": [2, 1, 1],
        "valid": [3, 2, 1],
        "train": [15, 10, 5],
    }
    for part in parts.values():
        assert part.class_names == ("blue", "green", "red")
        assert part.images.shape[1:] == (10, 10, 3)
        np.testing.assert_array_equal(part.images[:, 5, 5], [list(COLOURS.values())[label] for label in part.labels])


def test_the_splits_do_not_overlap_and_do_not_depend_on_the_place(folder, tmp_path):
    moved = tmp_path / "moved"
    folder.rename(moved)
    here = image_folder.find(moved)
    moved.rename(folder)
    there = image_folder.find(folder)
    for name, paths in here.items():
        assert [path.relative_to(moved) for path in paths] == [path.relative_to(folder) for path in there[name]]
        parts = image_folder.divided(paths, (10, 15, 75))
        assert sorted(path for part in parts.values() for path in part) == sorted(paths)
    assert set(here) == set(COLOURS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["colours", "--images", "nowhere"], "there is no folder nowhere"),
        (["colours", "--images", "{folder}/red"], "1 folders with pictures"),
        (["mnist", "--images", "{folder}"], "not as a set that TFDS knows"),
        (["digits", "--images", "{folder}"], "not as a set that TFDS knows"),
        (["../x", "--images", "{folder}"], "small letters, digits and underscores"),
        (["colours", "--images", "{folder}", "--split", "50/50/1"], "100 in all"),
        (["colours", "--images", "{folder}", "--split", "50/50/0"], "train above 0"),
        (["colours", "--images", "{folder}", "--split", "half"], "are written 10/15/75"),
        (["colours", "--images", "{folder}", "--side", "-1"], "expected a number from 0 on"),
        (["colours", "--images", "{folder}", "--from", "{folder}"], "give one of them"),
    ],
)
def test_what_a_user_can_get_wrong(words, message, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if words[2] == "{folder}/red":
        (folder / "red" / "more").rename(folder / "red" / "one")
        (folder / "red" / "one" / "x.png").write_bytes((folder / "red" / "1.png").read_bytes())
    with pytest.raises(SystemExit, match="2"):
        raise SystemExit(
            cli.main(["data", "prepare", *(word.format(folder=folder) for word in words), "--data-dir", "sets"])
        )
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("side", [8, 0])
def test_damaged_pictures_are_named_and_left_out_up_to_a_limit(side, folder, tmp_path, monkeypatch, capsys):
    for name in ("1", "2"):
        (folder / "red" / f"{name}.png").write_bytes(b"\x89PNG broken")
    monkeypatch.setattr(shards, "DAMAGED", 1)
    with pytest.raises(errors.UserError, match=r"more than 1 images cannot be read, .*red/\d\.png is no picture"):
        data.prepare_folder("colours", folder, side, (0, 0, 100), tmp_path / "sets")
    assert not list((tmp_path / "sets").rglob("*.array_record*"))
    monkeypatch.setattr(shards, "DAMAGED", 2)
    words = ["data", "prepare", "colours", "--images", str(folder), "--side", str(side), "--split", "0/0/100"]
    assert cli.main([*words, "--data-dir", str(tmp_path / "sets")]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert {line.partition(" is no picture")[0][-9:] for line in (first, second)} == {"red/1.png", "red/2.png"}
    assert last.startswith("colours is prepared, without 2 images: ")
    found = sets.require("colours", tmp_path / "sets")
    assert found.shards == {"train": [39]}
    assert (
        len(data.load("colours", "train", tmp_path / "sets").labels if side else records.Records(found, "train")) == 39
    )
    with pytest.raises(errors.UserError, match="prepared already"):
        data.prepare_folder("colours", folder, 8, (0, 0, 100), tmp_path / "sets")


def test_files_are_kept(folder, tmp_path, photograph, encoded):
    """Byte by byte where they show what is to be seen; else as JPEG files of that."""
    picture = photograph(0, 60, 40)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter, clockwise
    see_through = picture.convert("RGBA")
    see_through.putalpha(0)
    kept = {"a.jpg": encoded(picture), "b.png": encoded(picture.convert("L"), "PNG")}
    changed = {
        "c.jpg": (encoded(picture, exif=turned, quality=95), np.asarray(picture.transpose(Image.Transpose.ROTATE_270))),
        "d.png": (encoded(see_through, "PNG"), np.full((40, 60, 3), 255)),
        "e.jpg": (encoded(picture.convert("CMYK"), quality=95), np.asarray(picture)),
        "f.gif": (gif := encoded(picture, "GIF"), np.asarray(Image.open(io.BytesIO(gif)).convert("RGB"))),
    }
    for name, content in {**kept, **{name: content for name, (content, _) in changed.items()}}.items():
        (folder / "empty" / name).write_bytes(content)
    words = ["data", "prepare", "colours", "--images", str(folder), "--side", "0", "--split", "10/15/75"]
    assert cli.main([*words, "--data-dir", str(tmp_path / "sets")]) == 0
    found = {}
    for split in ("test", "valid", "train"):
        examples = records.Records(sets.require("colours", tmp_path / "sets"), split)
        found |= {examples.file_name(i): (*examples[i], examples.class_names) for i in range(len(examples))}
    assert len(found) == sum(COUNTS.values()) + 6
    for name, content in kept.items():
        assert found[f"empty/{name}"][0].content == content
    for name, (content, expected) in changed.items():
        image, label, classes = found[f"empty/{name}"]
        assert classes[label] == "empty"
        assert image.content != content
        assert image.jpeg
        pixels = decode.pixels(image, 3)
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).mean() < 8
    assert np.abs(decode.pixels(found["empty/d.png"][0], 3).astype(int) - 255).max() <= 1


@pytest.mark.parametrize("invert", [False, True])
def test_an_example_as_a_picture_and_back(invert, tmp_path, capsys):
    path = tmp_path / "x.png"
    assert cli.main(["data", "export", "digits", "3", str(path), *(["--invert"] if invert else [])]) == 0
    digits = data.load("digits", "train")
    assert f"class {digits.labels[3]}" in capsys.readouterr().out
    found = np.asarray(picture.read(path))[..., 0] / 255
    np.testing.assert_allclose(1 - found if invert else found, digits.images[3, ..., 0] / 16, atol=0.5 / 255)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "1437", "x.png"], "has the examples 0 to 1436"),
        (["digits", "-1", "x.png"], "has the examples 0 to 1436"),
        (["digits", "1", "x.nonesuch"], "does not end as a picture does"),
        (["digts", "1", "x.png"], "did you mean digits"),
    ],
)
def test_examples_that_cannot_be_written(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", "export", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("x.*"))
