"""What is measured of trained networks: by the command line, against what can be computed by hand, and once."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from cnnjax import cli, data, errors
from cnnjax.evaluate import protocols, subject
from cnnjax.sweep import experiment, measures, record, store

ALL = ("responses", "rescaled", "linearity", "shifted", "10crop", "multi_scale", "population", "probes")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_settings):
    """A tiny ResNet, trained and measured by the command line."""
    folder = tmp_path_factory.mktemp("measured") / "run"
    recipe = "configs/resnet_cifar_digits.py"
    settings = [*tiny_settings, "--config.duration=1 epochs", "--config.schedule.boundaries=()"]
    assert cli.main(["train", recipe, "--run", str(folder), "--measure", ",".join(ALL), *settings]) == 0
    return folder


def test_every_measure_gives_the_metrics_that_claims_may_name(trained):
    found = json.loads((trained / record.MEASURED).read_text())
    assert set(found) == set(ALL)
    metrics = {f"{name}/{value}" for name, values in found.items() for value in values}
    assert metrics == {metric for metric in measures.METRICS if experiment.measure(metric) in ALL}
    row = store.load(trained).iloc[0]
    assert all(np.isfinite(row[metric]) for metric in metrics)
    assert row["rescaled/output_change"] < 0.05
    assert row["rescaled/largest_output_change"] >= row["rescaled/output_change"]
    assert row["responses/deviation"] > 0.1


def test_shifted_errors_are_those_of_images_that_were_moved_by_hand(trained):
    """With the first measure's images moved here by padding and cutting, and what the network says of them."""
    shown = subject.read(trained)
    images, labels = shown.examples.images[:], np.asarray(shown.examples.labels)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    wrong = []
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        moved = padded[:, down : down + 8, right : right + 8]
        logits, _ = shown.model.apply(shown.variables, shown.normalise(moved))
        wrong.append(np.mean(np.asarray(logits).argmax(1) != labels))
    values = store.load(trained).iloc[0]
    assert values["shifted/error"] == pytest.approx(np.mean(wrong), abs=1e-9)
    assert values["shifted/error"] - values["shifted/error_added"] == pytest.approx(values["test/error"], abs=1e-6)
    assert values["shifted/error_added"] != 0


def test_what_a_protocol_saves_is_against_the_error_of_training(trained):
    values = store.load(trained).iloc[0]
    assert values["10crop/error"] + values["10crop/error_saved"] == pytest.approx(values["test/error"], abs=1e-6)


def test_a_protocol_may_be_compared_with_another(trained):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(measures.AGAINST, "multi_scale", "10crop")
        found = measures.MEASURES["multi_scale"](subject.read(trained))
    values = store.load(trained).iloc[0]
    assert found["error"] == pytest.approx(values["multi_scale/error"], abs=1e-9)
    assert found["error"] + found["error_saved"] == pytest.approx(values["10crop/error"], abs=1e-9)
    assert found["error_saved"] != pytest.approx(values["multi_scale/error_saved"], abs=1e-6)
    assert set(measures.AGAINST) | set(measures.AGAINST.values()) <= set(protocols.PROTOCOLS)


def test_statistics_of_the_training_set_are_those_of_the_command(trained, capsys):
    assert cli.main(["evaluate", str(trained), "--population", "--json"]) == 0
    error = json.loads((trained / record.MEASURED).read_text())["population"]["error"]
    assert json.loads(capsys.readouterr().out)["values"]["top-1 error"] == pytest.approx(error, abs=1e-9)


def test_probes_are_fitted_to_the_training_set_and_tested_on_the_test_set(trained):
    """The first layer's and the last one's features, asked here; the same error at the last, and less or more at the first."""
    shown = subject.read(trained)
    sets = [data.load("digits", split) for split in ("train", "test")]
    taps = [shown.model.apply(shown.variables, shown.normalise(jnp.asarray(each.images)))[1] for each in sets]
    errors_of = {}
    for name in ("conv1", "global_pool"):
        known, asked = (np.asarray(each[name]).reshape(len(each[name]), -1) for each in taps)
        mean, scale = known.mean(0), (known - known.mean(0)).std()
        svm = LinearSVC(random_state=0, max_iter=20_000).fit((known - mean) / scale, sets[0].labels)
        errors_of[name] = (svm.predict((asked - mean) / scale) != sets[1].labels).mean()
    values = store.load(trained).iloc[0]
    assert values["probes/svm_error"] == pytest.approx(errors_of["global_pool"], abs=0.006)
    assert values["probes/svm_error_saved"] == pytest.approx(errors_of["conv1"] - errors_of["global_pool"], abs=0.009)
    assert errors_of["conv1"] != errors_of["global_pool"]


def test_what_has_moved_is_seen_between_checkpoints(tmp_path):
    """With percentiles that are given: they range over 3, 1 and 0 at one unit, whose outer ones are 5, 2 and 4 apart.

    At the other they do not move. Ten times as large, all of it has moved as far.
    """
    folder = tmp_path / "run"
    train = ["train", "configs/mlp_digits.py", "--run", str(folder), "--config.duration=12 steps"]
    train += ["--config.schedule.boundaries=()", "--config.execution.steps_per_dispatch=4"]
    kept = ["--config.execution.checkpoint.every=4 steps", "--config.execution.checkpoint.keep=9"]
    assert cli.main([*train, *kept, "--measure", "percentiles"]) == 0
    moved = json.loads((folder / record.MEASURED).read_text())["percentiles"]["moved"]
    assert moved > 0
    given = np.array([[[0, 6], [0, 7], [5, 9]], [[3, 6], [-1, 7], [5, 9]], [[1, 6], [0, 7], [5, 9]]], float)
    for scale in (1, 10):
        seen = iter(scale * given)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cnnjax.analysis.percentiles.percentiles", lambda *_, seen=seen: next(seen))
            assert measures.MEASURES["percentiles"](subject.read(folder)) == {"moved": pytest.approx(4 / (11 / 3) / 6)}
        assert next(seen, None) is None  # all three checkpoints were looked at


def test_one_checkpoint_shows_nothing_that_moves(trained):
    with pytest.raises(errors.UserError, match=r"has kept 1 checkpoint, .*execution\.checkpoint\.keep"):
        measures.MEASURES["percentiles"](subject.read(trained))


def test_an_image_that_is_moved_shows_its_edge_again(trained):
    shown = subject.read(trained)
    image, moved = shown.examples.images[0], shown.moved(2, -1).examples.images[0]
    np.testing.assert_array_equal(moved[2:, :-1], image[:-2, 1:])
    np.testing.assert_array_equal(moved[:2, :-1], image[:1, 1:].repeat(2, 0))
    np.testing.assert_array_equal(moved[2:, -1], image[:-2, -1])


def test_what_is_there_is_not_measured_again(trained, monkeypatch):
    monkeypatch.setitem(measures.MEASURES, "responses", None)
    assert measures.complete(trained, ["responses"]) == []
    monkeypatch.setitem(measures.MEASURES, "whole", lambda shown: {"error": 0.5})
    before = (trained / record.MEASURED).read_text()
    assert measures.complete(trained, ["responses", "whole"]) == ["whole/error 0.5000"]
    assert store.load(trained).iloc[0]["whole/error"] == 0.5
    (trained / record.MEASURED).write_text(before)


@pytest.mark.parametrize("content", ["{", "[]", '{"responses": 3}', '{"responses": {"deviation": "low"}}'])
def test_a_damaged_file_is_made_again(trained, content, monkeypatch):
    file = trained / record.MEASURED
    before = file.read_text()
    file.write_text(content)
    assert record.read(trained).finished
    assert record.read(trained).lacking(ALL) == [*ALL]
    monkeypatch.setitem(measures.MEASURES, "responses", lambda shown: {"deviation": 1.5})
    assert measures.complete(trained, ["responses"]) == ["responses/deviation 1.5000"]
    file.write_text(before)


def test_of_a_run_that_has_diverged_nothing_is_lacking(write_run):
    run = write_run(status={"outcome": "diverged"})
    assert record.read(run).lacking(ALL) == []
    assert record.read(write_run(seed=1)).lacking(ALL) == [*ALL]
    assert measures.complete(run, ALL) == []


def test_what_cannot_be_measured(trained, capsys):
    assert cli.main(["train", "configs/resnet_cifar_digits.py", "--run", str(trained), "--measure", "respones"]) == 2
    assert "responses" in capsys.readouterr().err
    claim = experiment.Claim("It is so.", "responses/deviations", {"a": 1}, above=1)
    with pytest.raises(errors.UserError, match=r"metric of the claim 'It is so\.'.*responses/deviation"):
        measures.check_claims([claim])
    for metric in ("train/eror", "epochs to test/eror 0.5", "epochs to test/error", "Test/error"):
        with pytest.raises(errors.UserError, match=r"metric of the claim 'It is so\.'"):
            measures.check_claims([dataclasses.replace(claim, metric=metric)])
    for metric in ("train/error", "test/logit_gap", "epochs to test/error 0.5", "whole/error"):
        measures.check_claims([dataclasses.replace(claim, metric=metric)])


def test_a_batch_of_the_training_set_is_of_all_classes(trained, monkeypatch):
    """Though it be stored class by class: the statistics of a batch are not those of one class."""
    shown = subject.read(trained)
    before = [np.asarray(images) for images in shown.training_batches()]
    load = data.load

    def load_sorted(*arguments):
        found = load(*arguments)
        order = np.argsort(found.labels, kind="stable")
        return dataclasses.replace(found, images=found.images[order], labels=found.labels[order])

    monkeypatch.setattr("cnnjax.data.load", load_sorted)
    means = lambda batches: [float(images.mean()) for images in batches]  # noqa: E731
    after = means(subject.read(trained).training_batches())
    ordered, whole = means(load_sorted_batches(load_sorted, shown)), np.mean(means(before))
    assert len(after) == len(before)
    assert np.mean(after) == pytest.approx(whole, abs=0.02)
    assert np.std(after) < np.std(ordered) / 2


def load_sorted_batches(load_sorted, shown):
    """The same images as they are stored."""
    config = json.loads((shown.path / "run.json").read_text())["config"]
    examples = load_sorted(config["dataset"]["name"], config["dataset"]["train"], config["execution"]["data_dir"])
    size = config["batch_size"]
    for first in range(0, len(examples.labels) - size + 1, size):
        yield np.asarray(shown.normalise(jnp.asarray(examples.images[first : first + size])))


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("train/error", ""),
        ("epochs to test/error 0.25", ""),
        ("responses/deviation", "responses"),
        ("10crop/error", "10crop"),
    ],
)
def test_the_measure_of_a_metric(metric, name):
    assert experiment.measure(metric) == name
