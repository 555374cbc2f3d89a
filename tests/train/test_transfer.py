"""Training that begins from other weights."""

import functools
import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import cli, errors, interop, models
from cnnjax import config as configs
from cnnjax.data.picture import Picture
from cnnjax.interop.weights import Record
from cnnjax.nn import stacking
from cnnjax.train import loop, transfer
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
FIELDS = {"depth": 14, "width": 2, "scan": True}
HEAD = "^classifier/"
BEYOND_A = "^conv(1_2|2_2|3_[34]|4_|5_)"
"""Of the deeper configurations, as the docstring of `cnnjax.models.vgg` has it."""


def variables(classes=10, seed=0, **fields):
    model = models.create("resnet_cifar", **{**FIELDS, "num_classes": classes, **fields})
    return jax.tree.map(np.asarray, model.init(jax.random.key(seed), jnp.zeros((1, 8, 8, 1))))


@pytest.fixture(scope="module")
def begin(tmp_path_factory):
    """Weights with five classes."""
    path = tmp_path_factory.mktemp("weights") / "five.safetensors"
    picture = Picture(8, 8, (0.31,), (0.37,))
    interop.save(path, Record("resnet_cifar", {**FIELDS, "num_classes": 5}, (8, 8, 1), picture), variables(5, seed=7))
    return path


def recipe(begin, **changes):
    settings = {
        "init.weights": str(begin),
        "dataset.train": "train[:320]",
        "dataset.test": "test[:100]",
        "duration": "6 steps",
        "init.frozen_until": "3 steps",
        "batch_size": 16,
        "evaluation.batch_size": 100,
        "execution.devices": 1,
        "execution.steps_per_dispatch": 2,
        "execution.checkpoint.every": "2 steps",
        "execution.cpu_convolution": "xla",
    }
    return configs.override(configs.load(CONFIGS / "transfer.py"), {**settings, **changes})


@pytest.fixture(scope="module")
def program(begin):
    return Program(recipe(begin))


def test_the_head_begins_anew_and_all_else_is_taken():
    fresh, taken = variables(10, seed=1), variables(5, seed=2)
    begun = stacking.names(transfer.begun(fresh, taken, HEAD))
    fresh, taken = stacking.names(fresh), stacking.names(taken)
    assert set(begun) == set(fresh)
    for name, leaf in begun.items():
        np.testing.assert_array_equal(leaf, (fresh if "classifier" in name else taken)[name])


@pytest.mark.parametrize("name", ["vgg13", "vgg16_c", "vgg16", "vgg19"])
def test_deeper_vggs_begin_with_the_layers_of_a(name):
    """Simonyan & Zisserman 2014, §3.1: four convolutions and three fully connected layers of A, the others are drawn."""

    def drawn(name, seed):
        model = models.create(name, hidden=4, num_classes=3)
        return jax.tree.map(np.asarray, model.init(jax.random.key(seed), jnp.zeros((1, 32, 32, 3))))

    fresh, taken = drawn(name, 1), drawn("vgg11", 2)
    begun = stacking.names(transfer.begun(fresh, taken, BEYOND_A))
    fresh, taken = stacking.names(fresh), stacking.names(taken)
    kept = {path for path, leaf in begun.items() if not np.array_equal(leaf, fresh[path])}
    layers = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8")
    assert {path.split("/")[1] for path in kept} == set(layers)
    for path, leaf in begun.items():
        np.testing.assert_array_equal(leaf, (taken if path.split("/")[1] in layers else fresh)[path])


def test_stages_may_be_scanned_on_one_side():
    fresh, taken = variables(seed=1), variables(seed=2, scan=False)
    begun = stacking.names(transfer.begun(fresh, taken, ""))
    assert jax.tree.structure(transfer.begun(fresh, taken, "")) == jax.tree.structure(fresh)
    for name, leaf in stacking.names(taken).items():
        np.testing.assert_array_equal(begun[name], leaf)


@pytest.mark.parametrize(
    ("taken", "head", "message"),
    [
        ({"classes": 5}, "", "init.weights do not fit the network: classifier/bias .10,., classifier/kernel"),
        ({"depth": 20}, HEAD, None),
        ({"depth": 8}, HEAD, "init.weights do not fit the network: .* and [0-9]+ more"),
        ({"width": 4}, HEAD, "init.weights do not fit the network"),
        ({"classes": 5}, "fc8", "init.head: nothing is called 'fc8'"),
        ({"classes": 5}, "(", "init.head holds regular expressions"),
    ],
)
def test_weights_that_do_not_fit(taken, head, message):
    fresh = variables()
    if message is None:  # a deeper network has all that is asked for
        assert transfer.begun(fresh, variables(**taken), head)
        return
    with pytest.raises(errors.UserError, match=message):
        transfer.begun(fresh, variables(**taken), head)


def test_marks_by_unstacked_names():
    params = variables()["params"]
    marks = transfer.trained(params, ["stage2/block2/", "conv1/kernel$"])
    marks = stacking.names(jax.tree.map(lambda leaf, mark: np.broadcast_to(mark, leaf.shape), params, marks))
    for name, mark in marks.items():
        assert set(mark.ravel()) == {0.0 if "stage2/block2/" in name or name.endswith("conv1/kernel") else 1.0}, name


@pytest.mark.parametrize(
    ("frozen", "message"),
    [(["."], "every parameter"), (["nonesuch"], "nothing is called 'nonesuch'"), (["["], "regular expressions")],
)
def test_what_cannot_be_held(frozen, message):
    with pytest.raises(errors.UserError, match=message):
        transfer.trained(variables()["params"], frozen)


def test_gradients_of_what_is_trained_are_the_same_and_of_what_is_held_zero():
    params = {"a": {"block1": {"w": jnp.arange(3.0)}, "block2_to_3": {"w": jnp.ones((2, 3))}}, "b": jnp.full(3, 2.0)}
    loss = lambda p: (p["a"]["block1"]["w"] * p["b"]).sum() + (p["a"]["block2_to_3"]["w"] ** 2 * p["b"]).sum()  # noqa: E731
    marks = transfer.trained(params, ["block2/", "^b"])
    full, held = jax.grad(loss)(params), jax.grad(lambda p: loss(transfer.hold(p, marks)))(params)
    np.testing.assert_array_equal(held["a"]["block1"]["w"], full["a"]["block1"]["w"])
    np.testing.assert_array_equal(held["a"]["block2_to_3"]["w"][0], 0)
    np.testing.assert_array_equal(held["a"]["block2_to_3"]["w"][1], full["a"]["block2_to_3"]["w"][1])
    np.testing.assert_array_equal(held["b"], 0)


def leaves(tree):
    return {name: np.array(leaf) for name, leaf in stacking.names(tree).items()}


@pytest.mark.parametrize("freeze_bn", ["never", "while frozen", "always"])
def test_two_phases(freeze_bn, begin):
    """Held parameters keep their bits although they would decay; then all move. Statistics as asked for."""
    program = Program(recipe(begin, **{"init.freeze_bn": freeze_bn}))
    assert program.frozen_until == 3
    state = program.init(0)
    params, stats = [leaves(state.params)], [leaves(state.batch_stats)]
    for done, count in ((0, 2), (2, 1), (3, 2)):
        state, _ = program.run(state, program.zero(), done, count)
        params.append(leaves(state.params))
        stats.append(leaves(state.batch_stats))
    head = {name for name in params[0] if name.startswith("classifier/")}
    assert len(head) == 2
    moved = [
        {name for name in params[0] if (one[name] != other[name]).any()} for one, other in itertools.pairwise(params)
    ]
    assert moved == [head, head, set(params[0])]
    changes = [any((one[name] != other[name]).any() for name in one) for one, other in itertools.pairwise(stats)]
    assert changes == {"never": [True] * 3, "while frozen": [False, False, True], "always": [False] * 3}[freeze_bn]


def test_it_begins_with_the_weights_and_their_normalisation(program, begin):
    record, taken = interop.read(begin)
    state = program.init(3)
    taken = leaves(taken["params"])
    for name, leaf in leaves(state.params).items():
        assert name.startswith("classifier/") or np.array_equal(leaf, taken[name])
    assert state.params["classifier"]["kernel"].shape == (8, 5)
    np.testing.assert_allclose(program.task.mean, np.full((8, 8, 1), 0.31 * 16), rtol=1e-6)
    np.testing.assert_allclose(program.task.scale, [0.37 * 16], rtol=1e-6)
    assert program.record().fields == record.fields
    assert program.classes == tuple("56789")


def test_a_resumed_run_is_the_same_bit_for_bit_across_the_phases(program, begin, tmp_path):
    whole, parts = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parts")
    config = recipe(begin)
    loop.train(program, config, whole, lambda line: None)
    for stop in (1, 2):  # dispatches: 2 steps, 1 step up to the thaw, ...
        calls = iter(range(100))
        with pytest.raises(loop.Interrupted):
            loop.train(
                program, config, parts, lambda line: None, lambda calls=calls, stop=stop: next(calls) + 1 >= stop
            )
    loop.train(program, config, parts, lambda line: None)
    assert (whole.path / "metrics.jsonl").read_bytes() == (parts.path / "metrics.jsonl").read_bytes()
    one, other = leaves(interop.load(whole.path).variables), leaves(interop.load(parts.path).variables)
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init.weights": ""}, "names no network: give model.name, or init.weights"),
        ({"init.freeze_bn": "sometimes"}, "unknown init.freeze_bn 'sometimes'"),
        ({"init.frozen_until": "0 steps"}, "at least one step"),
        ({"init.frozen": (".",)}, "every parameter"),
        ({"dataset.classes": (5, 5)}, "each once"),
        ({"dataset.classes": (5,)}, "at least two"),
        ({"dataset.classes": (5, 10)}, "digits has no class 10; they are numbered 0 to 9"),
    ],
)
def test_what_a_recipe_can_get_wrong(changes, message, begin):
    with pytest.raises(errors.UserError, match=message):
        Program(recipe(begin, **changes))


def test_weights_for_other_channels(tmp_path):
    record = Record("resnet_cifar", {**FIELDS, "num_classes": 5}, (8, 8, 3), Picture(8, 8))
    path = tmp_path / "rgb.safetensors"
    interop.save(path, record, record.create().init(jax.random.key(0), jnp.zeros((1, 8, 8, 3))))
    with pytest.raises(errors.UserError, match=r"init\.weights are for 3 channels, and the images of digits have 1"):
        Program(recipe(path))


def test_from_a_run_by_the_command_line(tmp_path, capsys, monkeypatch):
    """The README's way: train on five classes, go on with the others; and say what a picture shows."""
    monkeypatch.chdir(tmp_path)
    short = {**{f"dataset.{part}": f"{part}[:200]" for part in ("train", "test")}, "execution.steps_per_dispatch": 2}
    short |= {
        "batch_size": 16,
        "evaluation.batch_size": 200,
        "execution.devices": 1,
        "execution.cpu_convolution": "xla",
    }
    words = [f"--config.{key}={value}" for key, value in short.items()]
    first = ["--config.model.depth=8", "--config.model.width=2", "--config.duration=2 steps"]
    first.append("--config.dataset.classes=(0,1,2,3,4)")
    assert cli.main(["train", str(CONFIGS / "resnet_cifar_digits.py"), "--run", "low", *first, *words]) == 0
    second = ["--config.init.weights=low", "--config.duration=3 steps", "--config.init.frozen_until=2 steps"]
    assert cli.main(["train", str(CONFIGS / "transfer.py"), "--run", "high", *second, *words]) == 0
    status = json.loads((tmp_path / "high" / "status.json").read_text())
    assert (status["outcome"], status["step"]) == ("completed", 3)
    assert cli.main(["data", "export", "digits", "12", "twelve.png"]) == 0
    assert "example 12 of digits train, class 5" in capsys.readouterr().out
    assert cli.main(["predict", "twelve.png", "--run", "high", "--top", "5", "--json"]) == 0
    top = json.loads(capsys.readouterr().out)["top"]
    assert {each["class"] for each in top} == set("56789")


def trained_like(tree, seed=3):
    """Variables with statistics, scales and offsets that no fresh network has."""
    rng = np.random.default_rng(seed)
    draws = {
        "mean": lambda leaf: rng.normal(size=leaf.shape),
        "var": lambda leaf: rng.uniform(0.3, 3, leaf.shape),
        "scale": lambda leaf: rng.uniform(0.5, 2, leaf.shape),
        "bias": lambda leaf: rng.normal(size=leaf.shape),
    }
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.float32(draws.get(path[-1].key, np.asarray)(leaf)), tree
    )


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize(("shortcut", "added"), [("none", "identity"), ("A", "zero branch"), ("A", "identity")])
def test_a_deep_network_that_is_a_shallow_one(shortcut, added, scan):
    """He et al. 2015, §1: added layers that are identities leave the function as it is, to the last bit.

    A scanned stage is compiled as a whole, which may round other products than layer by layer: to float precision there.
    """
    images = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8, 8, 1)), jnp.float32)
    shallow = trained_like(variables(shortcut=shortcut))
    fresh = variables(depth=26, shortcut=shortcut, scan=scan, seed=5)
    epsilon = 1e-5
    begun = transfer.begun(fresh, shallow, "", added, epsilon)

    def logits(depth, values, train=False):
        model = models.create("resnet_cifar", **{**FIELDS, "depth": depth, "shortcut": shortcut, "scan": scan})
        found = model.apply(values, images, train=train, mutable=["batch_stats"] if train else False)
        return np.asarray((found[0] if train else found)[0])

    equal = functools.partial(np.allclose, rtol=1e-5, atol=1e-5) if scan else np.array_equal
    same = equal(logits(26, begun), logits(14, shallow))
    # With a shortcut an identity branch adds the input once more: only a branch of zero is nothing.
    assert same == ((shortcut, added) != ("A", "identity"))
    if added == "zero branch":  # also as it is trained: what is normalised to begin with is multiplied by zero
        assert equal(logits(26, begun, train=True), logits(14, shallow, train=True))
    assert not equal(logits(26, fresh), logits(14, shallow))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init.added": "zero"}, "unknown init.added 'zero'; available: .*zero branch"),
        ({"init.added": "identity", "init.weights": ""}, "there are no init.weights"),
        (
            {"init.weights": "arm:low"},
            "init.weights is 'arm:low', an arm of a sweep; a run by itself takes a path there",
        ),
        ({"init.weights": "nowhere"}, "there is no file nowhere"),
    ],
)
def test_where_weights_cannot_come_from(changes, message, begin):
    with pytest.raises(errors.UserError, match=message):
        Program(recipe(begin, **changes))


def test_an_arms_run_is_that_of_the_same_seed():
    run = pathlib.Path("runs/x/digits/high/seed-3")
    assert transfer.source("arm:low", run) == transfer.source("arm:low@0123456789ab", run)
    assert transfer.source("arm:low", run) == pathlib.Path("runs/x/digits/low/seed-3")
    assert transfer.source("runs/low", run) == pathlib.Path("runs/low")
