"""Pictures to classes, by the command line."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from cnnjax import cli, errors, interop
from cnnjax.data import picture as pictures
from cnnjax.data.picture import Picture
from cnnjax.evaluate import predict
from cnnjax.interop.weights import Record
from cnnjax.nn import onednn


class Bright:
    """Weights of a perceptron without hidden layers that sees how bright each third of a grey picture is."""

    fields = {"widths": (), "num_classes": 3}  # noqa: RUF012
    classes = ("left", "middle", "right")
    record = Record("mlp_cifar10", fields, (6, 6, 1), Picture(6, 6, (0.0,), (1.0,)), classes)

    @classmethod
    def save(cls, path):
        variables = cls.record.create().init(jax.random.key(0), np.zeros((1, 6, 6, 1), np.float32))
        kernel = np.zeros((6, 6, 3), np.float32)
        for third in range(3):
            kernel[:, 2 * third : 2 * third + 2, third] = 1
        layer = {"kernel": kernel.reshape(36, 3), "bias": np.zeros(3, np.float32)}
        assert set(variables["params"]["classifier"]) == set(layer)
        interop.save(path, cls.record, {"params": {"classifier": layer}})
        return path


@pytest.fixture
def weights(tmp_path):
    return Bright.save(tmp_path / "bright.safetensors")


def picture(third, size=60, light=255, dark=0):
    values = np.full((size, size), dark, np.uint8)
    values[:, third * size // 3 : (third + 1) * size // 3] = light
    return Image.fromarray(values)


def top(words, capsys):
    assert cli.main(["predict", *map(str, words), "--json", "--top", "3"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_every_format(suffix, weights, tmp_path, capsys):
    picture(1).save(tmp_path / f"x.{suffix}")
    (found,) = top([tmp_path / f"x.{suffix}", "--weights", weights], capsys)
    assert found["picture"] == str(tmp_path / f"x.{suffix}")
    assert found["top"][0]["class"] == "middle"
    # The edges are averaged over, which makes the third next to them a little brighter: exp(-10 ... -12) of the middle's.
    assert 0.9998 < found["top"][0]["probability"] < 0.99999
    np.testing.assert_allclose(sum(each["probability"] for each in found["top"]), 1, rtol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK", "I;16"])
def test_every_mode(mode, weights, tmp_path, capsys):
    wide = Image.fromarray(np.asarray(picture(2), np.uint16) * 257)
    shown = wide if mode == "I;16" else picture(2).convert(mode)
    assert shown.mode == mode
    path = tmp_path / ("x.tiff" if mode == "CMYK" else "x.png")
    shown.save(path)
    assert top([path, "--weights", weights], capsys)[0]["top"][0]["class"] == "right"


def test_what_is_transparent_is_white(weights, tmp_path, capsys):
    shown = picture(0, light=10).convert("RGBA")
    alpha = np.full((60, 60), 255, np.uint8)
    alpha[:, 40:] = 0
    shown.putalpha(Image.fromarray(alpha))
    shown.save(tmp_path / "x.png")
    assert top([tmp_path / "x.png", "--weights", weights], capsys)[0]["top"][0]["class"] == "right"


@pytest.mark.parametrize(("mode", "colour"), [("L", 0), ("RGB", (0, 0, 0))])
def test_a_colour_that_stands_for_transparency_is_white(mode, colour, tmp_path):
    Image.new(mode, (4, 4), colour).save(tmp_path / "x.png", transparency=colour)
    assert np.asarray(pictures.read(tmp_path / "x.png")).min() == 255


@pytest.mark.parametrize(("kind", "values"), [(np.float32, 0.5), (np.int32, -1), (np.int32, 70_000)])
def test_values_that_do_not_say_what_white_is(kind, values, tmp_path):
    Image.fromarray(np.full((4, 4), values, kind)).save(tmp_path / "x.tiff")
    with pytest.raises(
        errors.UserError, match=r"x\.tiff is a damaged picture, or of a kind that is not read: its values"
    ):
        pictures.read(tmp_path / "x.tiff")


@pytest.mark.parametrize("raised", [RuntimeError, NotImplementedError, KeyError, ZeroDivisionError])
def test_a_format_with_errors_of_its_own_stops_no_other_picture(raised, weights, tmp_path, capsys, monkeypatch):
    for name in ("a.png", "b.png"):
        picture(2).save(tmp_path / name)
    turn = pictures.ImageOps.exif_transpose

    def break_first(opened):
        if str(opened.filename).endswith("a.png"):
            raise raised("of the format")
        return turn(opened)

    monkeypatch.setattr(pictures.ImageOps, "exif_transpose", break_first)
    assert cli.main(["predict", str(tmp_path), "--weights", str(weights), "--json"]) == 1
    shown = capsys.readouterr()
    assert "a.png is a damaged picture" in shown.err
    assert json.loads(shown.out)["top"][0]["class"] == "right"


@pytest.mark.parametrize("text", ["nan", "7", "-0.1", "half"])
def test_a_threshold_is_a_share(text, capsys):
    with pytest.raises(SystemExit):
        cli.main(["predict", "x.png", "--weights", "y", "--threshold", text])
    assert "expected a number in 0 ... 1" in capsys.readouterr().err


def test_a_photograph_that_the_camera_has_turned(weights, tmp_path, capsys):
    """Orientation 3: upside down, so that left is right."""
    exif = Image.Exif()
    exif[0x0112] = 3
    picture(0).save(tmp_path / "x.jpg", exif=exif)
    assert top([tmp_path / "x.jpg", "--weights", weights], capsys)[0]["top"][0]["class"] == "right"


def test_inverted_and_thresholded(weights, tmp_path, capsys):
    picture(0, light=90, dark=110).save(tmp_path / "x.png")
    plain, inverted = (
        top([tmp_path / "x.png", "--weights", weights, *more], capsys)[0]["top"] for more in ([], ["--invert"])
    )
    assert (plain[-1]["class"], inverted[0]["class"]) == ("left", "left")
    (sharp,) = top([tmp_path / "x.png", "--weights", weights, "--invert", "--threshold", "0.6"], capsys)
    assert sharp["top"][0]["class"] == "left"
    np.testing.assert_allclose(sharp["top"][0]["probability"], 1 / (1 + 2 * np.exp(-12)), rtol=1e-5)


def test_a_folder_in_batches(weights, tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    order = [0, 2, 1, 1, 0, 2, 2]
    for number, third in enumerate(order):
        picture(third).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("no picture")
    found = top([folder, "--weights", weights, "--batch", "3"], capsys)
    assert [each["top"][0]["class"] for each in found] == [Bright.record.classes[third] for third in order]


def test_one_that_cannot_be_read_does_not_stop_the_others(weights, tmp_path, capsys):
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "c.png").write_text("text")
    picture(2).save(tmp_path / "d.png")
    words = [str(tmp_path / f"{name}.png") for name in "abcd"]
    assert cli.main(["predict", *words, "--weights", str(weights), "--top", "1"]) == 1
    shown = capsys.readouterr()
    assert [line.split(": ")[1].split()[0] for line in shown.out.splitlines()] == ["left", "right"]
    assert "b.png is a damaged picture" in shown.err
    assert "c.png is no picture that can be read" in shown.err


def test_names_from_a_file(weights, tmp_path, capsys):
    picture(1).save(tmp_path / "x.png")
    (tmp_path / "names.txt").write_text("eins\nzwei\ndrei\n")
    found = top([tmp_path / "x.png", "--weights", weights, "--classes", tmp_path / "names.txt"], capsys)
    assert found[0]["top"][0]["class"] == "zwei"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.png", "--weights", "{weights}"], "there is no picture none.png"),
        (["{folder}/empty", "--weights", "{weights}"], "has no pictures in it"),
        (["{picture}", "--weights", "none"], "there is no file none"),
        (["{picture}", "--weights", "{picture}"], "no safetensors file"),
        (["{picture}", "--run", "{folder}"], "has no weights.safetensors"),
        (["{picture}", "--weights", "{weights}", "--classes", "{names}"], "names 1 classes, and the network has 3"),
        (["{picture}", "--weights", "{weights}", "--classes", "{latin}"], "latin.txt is no text in UTF-8"),
        (["{picture}", "--weights", "{weights}", "--model", "resnet50"], "--source and --model belong together"),
        (["{picture}"], "one of the arguments --run --weights is required"),
        (["{picture}", "--weights", "{weights}", "--top", "0"], "expected a number from 1 on"),
    ],
)
def test_what_a_user_can_get_wrong(words, message, weights, tmp_path, capsys):
    picture(1).save(tmp_path / "x.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "names.txt").write_text("one\n")
    (tmp_path / "latin.txt").write_bytes("ä\nb\nc\n".encode("latin-1"))
    files = {"picture": "x.png", "names": "names.txt", "latin": "latin.txt"}
    places = {"weights": weights, "folder": tmp_path, **{name: tmp_path / file for name, file in files.items()}}
    with pytest.raises(SystemExit, match="2"):
        raise SystemExit(cli.main(["predict", *(word.format(**places) for word in words)]))
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_crop_is_of_the_centre_and_the_shorter_side_decides():
    values = np.zeros((40, 80), np.uint8)
    values[:, 15:65] = 255  # and a little more, which averaging sees
    wide = Picture(20, 20, (0.5,), (0.25,))(Image.fromarray(values))
    assert wide.shape == (20, 20, 1)
    np.testing.assert_array_equal(wide, np.full((20, 20, 1), 2.0))
    tall = Picture(20, (16, 12), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))(Image.fromarray(values.T))
    assert tall.shape == (16, 12, 3)
    assert tall.min() == 1.0


def test_a_picture_that_is_too_long_and_thin_stops_no_other(weights, tmp_path, capsys):
    """Its shorter side of one pixel would become many, and its longer one as many times longer."""
    Image.new("RGB", (1, 60_000)).save(tmp_path / "thin.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "good.png")
    words = [str(tmp_path / "thin.png"), str(tmp_path / "good.png"), "--weights", str(weights)]
    assert cli.main(["predict", *words]) == 1
    output = capsys.readouterr()
    assert f"{tmp_path / 'thin.png'}: a picture of 1×60000 is too long and thin" in output.err
    assert "good.png" in output.out


def test_an_output_that_is_no_number_is_no_prediction(monkeypatch, tmp_path, capsys, weights):
    picture(0).save(tmp_path / "a.png")
    monkeypatch.setattr(predict, "probabilities", lambda record, say: lambda variables, images: np.full((1, 3), np.nan))
    assert cli.main(["predict", str(tmp_path / "a.png"), "--weights", str(weights), "--json"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"{tmp_path / 'a.png'}: the network's output is no number" in shown.err


@pytest.mark.parametrize("problem", ["", "the probe ended with status -6: no"])
def test_convolutions_are_the_fast_ones_where_they_can_be(problem, monkeypatch):
    monkeypatch.setattr(onednn, "failure", lambda: problem)
    record = Record(
        "resnet_cifar", {"depth": 8, "width": 2, "num_classes": 10}, (8, 8, 1), Picture(8, 8, (0.3,), (0.4,))
    )
    images = np.random.default_rng(0).standard_normal((4, 8, 8, 1)).astype(np.float32)
    variables = record.create().init(jax.random.key(0), images)
    said = []
    network = predict.probabilities(record, said.append)
    assert ("__onednn$convolution" in network.lower(variables, images).as_text()) == (not problem)
    assert said == ([f"convolutions are XLA's own and slower: {problem}"] if problem else [])
    expected = jax.nn.softmax(record.create().apply(variables, images)[0])
    np.testing.assert_allclose(network(variables, images), expected, atol=1e-5)
