"""Trained networks by a protocol, by the command line."""

import csv
import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from scipy import special

from cnnjax import cli, data, errors, interop
from cnnjax.analysis import population
from cnnjax.data.picture import Picture
from cnnjax.evaluate import evaluation, subject
from cnnjax.interop.weights import Record
from cnnjax.nn import stacking
from cnnjax.ops import augment
from cnnjax.train import checkpoint
from cnnjax.train.run import RunFolder

RNG = np.random.default_rng(2)
MEAN, STD = 4.0, 6.0


class Linear:
    """Weights of a linear classifier of the digits, and what it says, by NumPy."""

    def __init__(self, path, classes=10, names=()):
        self.path = path
        self.kernel, self.bias = RNG.normal(size=(64, classes)) / 4, RNG.normal(size=classes)
        record = Record(
            "mlp_cifar10",
            {"widths": (), "num_classes": classes},
            (8, 8, 1),
            Picture(8, 8, (MEAN / 16,), (STD / 16,)),
            names,
        )
        layer = {"kernel": self.kernel.astype(np.float32), "bias": self.bias.astype(np.float32)}
        interop.save(path, record, {"params": {"classifier": layer}})

    def __call__(self, images):
        return ((images - MEAN) / STD).reshape(len(images), -1) @ self.kernel + self.bias


@pytest.fixture
def linear(tmp_path):
    return Linear(tmp_path / "linear.safetensors")


@pytest.fixture(scope="module")
def test():
    found = data.load("digits", "test")
    return found.images.astype(np.float64), found.labels


@pytest.fixture
def evaluate(capsys):
    def run(*words):
        assert cli.main(["evaluate", *map(str, words), "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


ON_DIGITS = ("--set", "digits", "--split", "test")


def loss(log_probabilities, labels):
    return -log_probabilities[np.arange(len(labels)), labels].mean()


def test_the_whole_is_what_training_has_evaluated(trained, evaluate):
    """In batches that do not divide the set, too."""
    last = trained.metrics()[-1]
    for batch in (360, 77):
        (found,) = evaluate(trained.path, "--batch", batch)
        values = found["values"]
        np.testing.assert_allclose(values["loss"], last["test/loss"], atol=1e-6, rtol=0)
        assert values["top-1 error"] == pytest.approx(last["test/error"], abs=1e-6)
        np.testing.assert_allclose(values["calibration error"], last["test/calibration_error"], atol=1e-5)
    assert {key: found[key] for key in ("protocol", "set", "split", "examples", "views", "average", "networks")} == {
        "protocol": "whole",
        "set": "digits",
        "split": "test",
        "examples": 360,
        "views": 1,
        "average": "softmax",
        "networks": 1,
    }
    (found,) = evaluate(trained.path, "--split", "train")
    np.testing.assert_allclose(found["values"]["loss"], last["train/loss"], atol=2e-6, rtol=0)


@pytest.mark.parametrize("average", ["softmax", "logits"])
def test_an_ensemble_is_the_average(average, linear, tmp_path, test, evaluate):
    images, labels = test
    other = Linear(tmp_path / "other.safetensors")
    logits = np.stack([linear(images), other(images)])
    mean = special.softmax(logits, -1).mean(0) if average == "softmax" else special.softmax(logits.mean(0), -1)
    expected = np.log(mean)
    (found,) = evaluate(linear.path, other.path, *ON_DIGITS, "--average", average, "--top", "1,3")
    np.testing.assert_allclose(found["values"]["loss"], loss(expected, labels), rtol=1e-5)
    best = np.argsort(-expected, -1)
    for k in (1, 3):
        wrong = (best[:, :k] != labels[:, None]).all(1).mean()
        np.testing.assert_allclose(found["values"][f"top-{k} error"], wrong)
    assert found["networks"] == 2


@pytest.mark.parametrize("average", ["softmax", "logits"])
def test_views_are_averaged_and_groups_half_each(average, linear, test, evaluate):
    """Side 8: a crop is the image, and so is its one dense view. Side 10 of 8×8 windows: the logits of nine are averaged."""
    images, labels = test
    larger = np.asarray(jax.image.resize(images.astype(np.float32), (len(images), 10, 10, 1), "linear"), np.float64)
    windows = np.stack([linear(larger[:, top : top + 8, left : left + 8]) for top in range(3) for left in range(3)])
    mean = (lambda x: np.log(special.softmax(x, -1).mean(0))) if average == "softmax" else (lambda x: x.mean(0))
    # A grid of 5×5 places over two pixels: 0, 0, 1, 1, 2, and what is the same counts once.
    crops, dense = mean(windows), windows.mean(0)
    both = mean(np.stack([crops, dense]))
    words = (linear.path, *ON_DIGITS, "--sides", 10, "--average", average)
    found = evaluate(*words, "--protocol", "150crop", "dense", "crops_and_dense")
    for each, expected, views in zip(found, (crops, dense, both), (9, 1, 10), strict=True):
        np.testing.assert_allclose(each["values"]["loss"], loss(special.log_softmax(expected, -1), labels), rtol=1e-5)
        assert each["views"] == views
        assert each["sides"] == "10"


def test_twelve_crops_are_ten_and_the_square(linear, test, evaluate):
    """Side 10 of 8×8 windows, not mirrored: corners, centre, and what the image of side 8 was."""
    images, labels = test
    larger = np.asarray(jax.image.resize(images.astype(np.float32), (len(images), 10, 10, 1), "linear"), np.float64)
    places = ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))
    seen = [linear(larger[:, top : top + 8, left : left + 8]) for top, left in places] + [linear(images)]
    mean = np.log(special.softmax(np.stack(seen), -1).mean(0))
    (found,) = evaluate(linear.path, *ON_DIGITS, "--sides", 10, "--protocol", "12crop")
    np.testing.assert_allclose(found["values"]["loss"], loss(mean, labels), rtol=1e-5)
    assert (found["protocol"], found["views"]) == ("12crop", 6)


def test_an_ensemble_says_which_weights_are_averages(linear, tmp_path):
    one, other = (subject.read(each.path, "digits", "test") for each in (linear, Linear(tmp_path / "b.safetensors")))
    both = [one, dataclasses.replace(other, averaged=0.999)]
    assert evaluation.evaluate(both, "whole").how["weights"] == "of a step/average with decay 0.999"
    assert "weights" not in evaluation.evaluate([one, other], "whole").how


def test_letters_are_mirrored(linear, test):
    """A set of another name, of which a mirrored image is of its class: the average with the image as it is."""
    images, _ = test
    letters = subject.read(linear.path, "digits", "test")
    letters = dataclasses.replace(letters, examples=dataclasses.replace(letters.examples, name="letters"))
    found = evaluation.evaluate([letters], "dense", batch=100)
    both = np.stack([special.softmax(linear(each), -1) for each in (images, images[:, :, ::-1])])
    np.testing.assert_allclose(found.scores, np.log(both.mean(0)), atol=2e-4)
    assert (found.how["views"], found.how["set"], found.notes) == (2, "letters", ())


@pytest.mark.parametrize("resize", [6, 9])
def test_a_file_of_weights_sees_pictures_in_its_way(resize, tmp_path, monkeypatch):
    """Its mean, blue first, and the middle of what was resized."""
    images, labels = RNG.integers(0, 256, (7, 6, 6, 3), dtype=np.uint8), np.arange(7, dtype=np.int32) % 2
    colours = data.Arrays(images, labels, 2, ("a", "b"), "colours", "test", "")
    monkeypatch.setattr(data, "load", lambda *asked: colours)
    mean, std = (0.2, 0.4, 0.6), (0.5, 0.25, 0.125)
    kernel = (RNG.normal(size=(108, 2)) / 30).astype(np.float32)
    record = Record(
        "mlp_cifar10", {"widths": (), "num_classes": 2}, (6, 6, 3), Picture(resize, 6, mean, std, reverse=True)
    )
    layer = {"kernel": kernel, "bias": np.zeros(2, np.float32)}
    interop.save(tmp_path / "file.safetensors", record, {"params": {"classifier": layer}})
    found = evaluation.evaluate([subject.read(tmp_path / "file.safetensors", "colours", "test")], "whole")
    seen = ((images / 255 - np.array(mean)) / np.array(std))[..., ::-1].astype(np.float32)
    if resize > 6:
        seen = np.asarray(augment.resized(seen, resize, 6))
    expected = special.log_softmax(seen.reshape(7, -1) @ kernel, -1)
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)


def test_a_run_on_another_set(trained, monkeypatch):
    """The digits themselves, in another unit: white is 240."""
    digits = data.load("digits", "test")
    letters = dataclasses.replace(digits, images=digits.images * np.uint8(15), white=240, name="letters")
    load = data.load
    monkeypatch.setattr(data, "load", lambda name, *rest: letters if name == "letters" else load(name, *rest))
    found = evaluation.evaluate([subject.read(trained.path, "letters", "test")], "whole")
    np.testing.assert_allclose(found.measure.values()["loss"], trained.metrics()[-1]["test/loss"], atol=1e-5)


def test_digits_are_not_mirrored(linear, capsys):
    assert cli.main(["evaluate", str(linear.path), *ON_DIGITS, "--protocol", "10crop"]) == 0
    shown = capsys.readouterr()
    assert "mirrored images are no longer of their class" in shown.err
    assert "protocol 10crop, set digits, " in shown.out


def test_classes_confusion_and_precision(linear, test, tmp_path, evaluate):
    import sklearn.metrics

    images, labels = test
    scores = linear(images)
    file = tmp_path / "confusion.csv"
    (found,) = evaluate(linear.path, *ON_DIGITS, "--per-class", "--confusion", file, "--map")
    expected = sklearn.metrics.confusion_matrix(labels, scores.argmax(1))
    head, *rows = csv.reader(file.read_text().splitlines())
    assert head == ["class", *map(str, range(10))]
    np.testing.assert_array_equal([list(map(int, row[1:])) for row in rows], expected)
    assert [each["count"] for each in found["classes"]] == np.bincount(labels).tolist()
    precision = sklearn.metrics.average_precision_score(np.eye(10)[labels], special.softmax(scores, 1))
    np.testing.assert_allclose(found["values"]["mean average precision (all points)"], precision, rtol=1e-6)


def test_images_of_several_classes(linear, test, tmp_path, evaluate, monkeypatch, capsys):
    """Their mean average precision is scikit-learn's of the same soft-max, and there is nothing else to say of them."""
    import sklearn.metrics

    images, labels = test
    targets = np.eye(10, dtype=bool)[labels] | (RNG.random((len(labels), 10)) < 0.2)
    targets[:, 3] = False  # of which there is none
    digits = data.load("digits", "test")
    scenes = dataclasses.replace(digits, name="scenes", labels=targets)
    load = data.load
    monkeypatch.setattr(data, "load", lambda name, *rest: scenes if name == "scenes" else load(name, *rest))
    words = (linear.path, "--set", "scenes", "--split", "test")
    (found,) = evaluate(*words, "--per-class")
    probabilities, there = special.softmax(linear(images), 1), [*range(3), *range(4, 10)]
    each = sklearn.metrics.average_precision_score(targets[:, there], probabilities[:, there], average=None)
    assert set(found["values"]) == {f"mean average precision ({points} points)" for points in ("all", "11")}
    np.testing.assert_allclose(found["values"]["mean average precision (all points)"], each.mean(), rtol=1e-6)
    precisions = [row["average precision"] for row in found["classes"]]
    np.testing.assert_allclose([precisions[k] for k in there], each, rtol=1e-6)
    assert precisions[3] is None
    assert cli.main(["evaluate", *map(str, words), "--per-class"]) == 0
    assert "mean average precision (11 points)" in capsys.readouterr().out
    for more in (("--top", "5"), ("--confusion", str(tmp_path / "x.csv"))):
        assert cli.main(["evaluate", *map(str, words), *more]) == 2
        assert "images of scenes may be of several classes: they have average precision" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()


def test_a_subset(linear, test, tmp_path, evaluate):
    images, labels = test
    index = [3, 0, 359, 17]
    (tmp_path / "list.txt").write_text("3\n0\n\n359\n17\n")
    (found,) = evaluate(linear.path, *ON_DIGITS, "--subset", tmp_path / "list.txt")
    expected = special.log_softmax(linear(images[index]), -1)
    np.testing.assert_allclose(found["values"]["loss"], loss(expected, labels[index]), rtol=1e-5)
    assert (found["examples"], found["subset"]) == (4, str(tmp_path / "list.txt"))


def test_statistics_of_the_population(trained, evaluate, monkeypatch):
    """They are asked for the training set, in its batches, shuffled, as evaluation sees it (here by NumPy), and taken."""
    seen = []

    def statistics(model, variables, batches):
        seen.append((model.bn_group, np.stack([np.asarray(each) for each in batches])))
        return jax.tree.map(lambda leaf: leaf + 1, variables["batch_stats"])

    monkeypatch.setattr(population, "statistics", statistics)
    (found,) = evaluate(trained.path, "--population")
    ((group, batches),) = seen
    train = data.load("digits", "train").images.astype(np.float64)
    centred = train - train.mean(0)
    order = np.random.default_rng(0).permutation(len(train))[: 11 * 128]
    expected = (centred / centred.std())[order].reshape(11, 128, 8, 8, 1)
    np.testing.assert_allclose(batches, expected, atol=1e-4)
    assert group == 0
    assert found["statistics"] == "population"
    assert abs(found["values"]["loss"] - trained.metrics()[-1]["test/loss"]) > 1e-3


def contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def running(trained, tmp_path):
    """A copy of the run, as it was after its first checkpoint."""
    folder = RunFolder(tmp_path / "running")
    shutil.copytree(trained.path, folder.path)
    folder.weights.unlink()
    shutil.move(folder.checkpoints / "22.json", tmp_path)
    shutil.move(folder.checkpoints / "22", tmp_path)
    folder.set_status(state="running", outcome=None)
    return folder


def test_following_a_run(running, trained, tmp_path):
    """The second checkpoint comes while it waits, and the end after it. The run holds its folder, which stays as it is."""
    looks = []

    def wait(seconds):
        looks.append(seconds)
        assert contents(running.path) == before
        if len(looks) == 2:
            shutil.move(tmp_path / "22", running.checkpoints)
            shutil.move(tmp_path / "22.json", running.checkpoints)
        if len(looks) == 3:
            running.set_status(state="finished", outcome="completed")
        before.update(contents(running.path))

    said = []
    with running.locked():
        before = contents(running.path)
        found = list(subject.follow(running.path, 7, say=said.append, wait=wait))
    assert [step for step, _ in found] == [11, 22]
    assert looks == [7, 7, 7]
    assert said == [f"{running.path}: completed"]
    last, first = (stacking.names(each.variables) for _, each in reversed(found))
    kept = stacking.names(interop.load(trained.path).variables)
    assert all(np.array_equal(leaf, last[name]) for name, leaf in kept.items())
    assert any(not np.array_equal(leaf, first[name]) for name, leaf in kept.items())


def test_following_a_run_that_has_ended(trained, evaluate):
    (first, last) = evaluate(trained.path, "--follow")
    assert (first["step"], last["step"]) == (11, 22)
    rows = {row["step"]: row for row in trained.metrics()}
    for each in (first, last):
        np.testing.assert_allclose(each["values"]["loss"], rows[each["step"]]["test/loss"], atol=1e-6)


def test_a_checkpoint_that_goes_or_is_damaged(running):
    assert checkpoint.peek(running.checkpoints, 5, {}) is None
    file = next(path for path in (running.checkpoints / "11").rglob("*") if path.is_file() and path.stat().st_size)
    file.write_bytes(b"!" + file.read_bytes()[1:])
    with pytest.raises(errors.UserError, match="11 is corrupt"):
        list(subject.follow(running.path, 1))


@pytest.mark.slow
def test_a_run_with_an_average_is_evaluated_with_it(train, evaluate, capsys):
    """From its weights and from its checkpoints; with the parameters themselves the loss is another one."""
    folder = train(optimizer__average=0.9)
    capsys.readouterr()
    last = folder.metrics()[-1]["test/loss"]
    file = ("--set", "digits", "--split", "test")
    found = [*evaluate(folder.path), *evaluate(folder.path, "--follow")[-1:], *evaluate(folder.weights, *file)]
    np.testing.assert_allclose([each["values"]["loss"] for each in found], last, atol=1e-6)
    assert [each["weights"] for each in found] == ["average with decay 0.9"] * 3
    assert cli.main(["evaluate", str(folder.path)]) == 0
    assert ", networks 1, weights average with decay 0.9 top-1 error" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["{linear}", *ON_DIGITS, "--protocol", "11crop"],
            "unknown protocol '11crop'; available: whole, centre, 10crop",
        ),
        (["{linear}", *ON_DIGITS, "--protocol", "full"], "values an image, and has weights for 64"),
        (
            ["{linear}", "--set", "digits"],
            "linear.safetensors is a file and no run's folder; of a file of weights --set and --split of `cnnjax evaluate` say",
        ),
        (["{linear}", "--set", "digitz", "--split", "test"], "unknown data set 'digitz'"),
        (["{linear}", "--set", "digits", "--split", "valid"], "unknown split 'valid'"),
        (["{finished}", "--set", "mnist"], "--set mnist is not the run's own (digits): --split says which part"),
        (["{running}"], "is not finished: it has no weights yet; `cnnjax evaluate "),
        (["{lost}"], "lost is finished, but its weights.safetensors is not there"),
        (["{folder}"], "there is no run in"),
        (["none"], "there is no run and no file none"),
        ([], "name the folder of a run, or a file of weights"),
        (["{linear}", "{five}", *ON_DIGITS], "knows 5 classes, and digits test has 10"),
        (["{linear}", *ON_DIGITS, "--population"], "the network has no batch normalisation"),
        (["{normalised}", *ON_DIGITS, "--population"], "a run knows what it was trained on"),
        (["{linear}", *ON_DIGITS, "--subset", "{empty}"], "is empty; expected numbers of examples"),
        (
            ["{linear}", *ON_DIGITS, "--subset", "{odd}"],
            "line 2: expected the number of an example, 0 to 359, not '360'",
        ),
        (["{linear}", *ON_DIGITS, "--subset", "{twice}"], "line 3: 1 is there twice"),
        (["{linear}", *ON_DIGITS, "--subset", "no.txt"], "No such file"),
        (["{linear}", *ON_DIGITS, "--sides", "4"], "sides are of protocols that resize"),
        (
            ["{linear}", *ON_DIGITS, "--sides", "4", "--protocol", "centre"],
            "does not fit an image that was resized to 4×4",
        ),
        (["{linear}", "{linear}", "--follow"], "--follow follows one run"),
        (["{linear}", "--follow"], "there is no run in"),
        (["{linear}", "{linear}", *ON_DIGITS], "an ensemble is of different networks: "),
        (["{finished}", "{normalised}", *ON_DIGITS], "/normalised.safetensors have the same weights"),
        (["{linear}", *ON_DIGITS, "--confusion", "x.csv", "--protocol", "whole", "centre"], "give one --protocol"),
        (["{linear}", *ON_DIGITS, "--top", "0"], "numbers from 1 on are written 1,5"),
        (["{linear}", *ON_DIGITS, "--top", "11"], "--top 11: there are 10 classes"),
        (["{linear}", *ON_DIGITS, "--confusion", ""], "expected the name of a file, not ''"),
    ],
)
def test_what_a_user_can_get_wrong(words, message, linear, trained, running, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    places = {"linear": linear.path, "running": running.path, "finished": trained.path, "folder": tmp_path / "folder"}
    for name, text in {"empty": "\n", "odd": "1\n360\n", "twice": "1\n2\n1\n"}.items():
        places[name] = tmp_path / name
        places[name].write_text(text)
    places["normalised"] = running.path.parent / "normalised.safetensors"
    shutil.copy(trained.weights, places["normalised"])
    places["lost"] = shutil.copytree(running.path, tmp_path / "lost")
    RunFolder(places["lost"]).set_status(state="finished", outcome="completed")
    places["five"] = Linear(tmp_path / "five.safetensors", 5).path
    with pytest.raises(SystemExit, match="2"):
        raise SystemExit(cli.main(["evaluate", *(word.format(**places) for word in words)]))
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_ensemble_shares_its_classes(linear, tmp_path):
    one = subject.read(linear.path, "digits", "test")
    named = [dataclasses.replace(one, names=names) for names in (("a",) * 10, ("b",) * 10)]
    with pytest.raises(errors.UserError, match=r"an ensemble shares its classes: those of .* are a, a"):
        evaluation.evaluate(named, "whole")
    other = subject.read(linear.path, "digits", "train[:360]")
    with pytest.raises(errors.UserError, match="an ensemble sees the same examples"):
        evaluation.evaluate([one, other], "whole")


def test_the_protocols_are_listed(capsys):
    assert cli.main(["evaluate", "--list"]) == 0
    assert "144crop: four sides × three squares" in capsys.readouterr().out
