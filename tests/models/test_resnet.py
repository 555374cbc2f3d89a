"""The CIFAR networks: sizes from the paper, numbers from an independent implementation."""

import functools
import json
import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import cost
from cnnjax.models.resnet import CifarResNet
from cnnjax.nn import stacking
from cnnjax.nn.rows import SqueezeExcite
from cnnjax.nn.stacking import Stage

GOLDENS = pathlib.Path(__file__).with_name("goldens")
RULE = runpy.run_path(str(GOLDENS / "rule.py"))
GOLDEN = json.loads((GOLDENS / "resnet_cifar.json").read_text())

# Exact, by arithmetic; He et al. 2015, Table 6, rounds those of A to 0.27, 0.46, 0.66, 0.85, 1.7 and 19.4 M.
PARAMETERS = {
    "A": {20: 269722, 32: 464154, 44: 658586, 56: 853018, 110: 1727962, 1202: 19421274},
    "B": {20: 272474, 32: 466906, 44: 661338, 56: 855770, 110: 1730714, 1202: 19424026},
    "C": {20: 283962, 32: 489594, 44: 695226, 56: 900858, 110: 1826202, 1202: 20538714},
}
PARAMETERS["none"] = PARAMETERS["A"]
TABLE_6 = {20: "0.27", 32: "0.46", 44: "0.66", 56: "0.85", 110: "1.7", 1202: "19.4"}
DEPTHS = tuple(TABLE_6)
# Of one 32×32×3 image, shortcut A.
MACS = {20: 40551040, 32: 68862592, 44: 97174144, 56: 125485696, 110: 252887680, 1202: 2829238912}


def test_where_squeeze_and_excitation_is_and_of_which_kind():
    model = models.create("resnet20", se_ratio=4, se_place="pre", se_stages=(1, 3), se_squeeze="max", se_gate="tanh")
    blocks = [block for row in model.table() if isinstance(row, Stage) for block in (row.first, row.rest)]
    assert [isinstance(block.body[0], SqueezeExcite) for block in blocks] == [True, True, False, False, True, True]
    assert {row for block in blocks for row in block.body if isinstance(row, SqueezeExcite)} == {
        SqueezeExcite(ratio=4, kind="max", gate="tanh")
    }


def convolutions(depth, shortcut):
    """(kernel, in, out, side of the map) of each convolution, from §4.2 and the captions of Table 6."""
    yield 3, 3, 16, 32
    before = 16
    for features, side in [(16, 32), (32, 16), (64, 8)]:
        for number in range((depth - 2) // 6):
            first = number == 0
            yield 3, before if first else features, features, side
            yield 3, features, features, side
            if shortcut == "C" or (shortcut == "B" and first and features != 16):
                yield 1, before if first else features, features, side
        before = features


def parameters_by_formula(depth, shortcut):
    # Each convolution is followed by BN with a scale and a bias a map; 64 × 10 and 10 for the classifier.
    return sum(k * k * i * o + 2 * o for k, i, o, _ in convolutions(depth, shortcut)) + 650


def macs_by_formula(depth, shortcut):
    return sum(k * k * i * o * side * side for k, i, o, side in convolutions(depth, shortcut)) + 640


def members(name):
    """(depth, shortcut) of the networks that a name can stand for."""
    fixed = models.entry(name).fixed
    depths = [fixed["depth"]] if "depth" in fixed else DEPTHS
    shortcuts = [fixed["shortcut"]] if "shortcut" in fixed else list(PARAMETERS)
    return [(depth, shortcut) for depth in depths for shortcut in shortcuts]


@functools.cache
def count(depth, shortcut):
    model = models.create("resnet_cifar", depth=depth, shortcut=shortcut, scan=True)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


CIFAR = sorted(name for name, entry in models.entries().items() if entry.module is CifarResNet)


@pytest.mark.parametrize("name", CIFAR)
def test_every_registered_network_has_exactly_its_parameters(name):
    """A network that is registered without a line in the table above fails here."""
    entry = models.entry(name)
    for depth, shortcut in members(name):
        rest = {"depth": depth, "shortcut": shortcut}
        model = models.create(name, **{key: rest[key] for key in entry.fields if key in rest})
        assert (model.depth, model.shortcut) == (depth, shortcut)
        assert count(depth, shortcut) == PARAMETERS[shortcut][depth] == parameters_by_formula(depth, shortcut)


def test_the_table_is_the_papers():
    for depth, rounded in TABLE_6.items():
        digits = len(rounded.partition(".")[2])
        assert f"{PARAMETERS['A'][depth] / 1e6:.{digits}f}" == rounded


@pytest.mark.parametrize("depth", DEPTHS)
def test_macs(depth):
    assert macs_by_formula(depth, "A") == MACS[depth]
    for shortcut in PARAMETERS if depth < 56 else "A":
        model = models.create("resnet_cifar", depth=depth, shortcut=shortcut, scan=True)
        assert cost.forward(model, (1, 32, 32, 3)) == macs_by_formula(depth, shortcut)


def variables_by_rule(model, images, dtype=np.float64):
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    unstacked = {
        collection: jax.tree.unflatten(
            jax.tree.structure(stacking.unstack(tree)),
            [RULE["parameter"](name, leaf.shape).astype(dtype) for name, leaf in stacking.names(tree).items()],
        )
        for collection, tree in shapes.items()
    }
    return stacking.stack(unstacked, like=shapes)


@pytest.mark.parametrize("name", sorted(RULE["NETWORKS"]))
def test_numbers_are_those_of_an_independent_implementation(name):
    """Training logits, loss and gradients, then evaluation after the statistics' update; float64. See goldens/."""
    depth, shortcut = RULE["NETWORKS"][name]
    golden, images = GOLDEN["networks"][name], RULE["IMAGES"]
    model = models.create(
        "resnet_cifar",
        depth=depth,
        shortcut=shortcut,
        scan=name in ("resnet20-A", "resnet20-C"),
        dtype="float64",
        bn_momentum=RULE["MOMENTUM"],
        bn_epsilon=RULE["EPSILON"],
    )

    @jax.jit
    def run(variables):
        def loss(params):
            (logits, _), updates = model.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
            )
            return -jax.nn.log_softmax(logits)[jnp.arange(4), RULE["LABELS"]].mean(), (logits, updates["batch_stats"])

        (value, (logits, stats)), gradients = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        return value, logits, gradients, model.apply({**variables, "batch_stats": stats}, images, train=False)[0]

    with jax.enable_x64(True):
        variables = variables_by_rule(model, images)
        loss, logits, gradients, evaluated = run(variables)
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits, golden["train_logits"], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(loss, golden["loss"], rtol=1e-9)
    np.testing.assert_allclose(evaluated, golden["eval_logits"], rtol=1e-9, atol=1e-10)
    found = stacking.names(jax.tree.map(np.asarray, gradients))
    assert set(found) == set(golden["gradients"])
    for path, (norm, along) in golden["gradients"].items():
        gradient = found[path]
        np.testing.assert_allclose(np.linalg.norm(gradient), norm, rtol=1e-8, err_msg=path)
        direction = RULE["draw"](f"direction/{path}", gradient.shape)
        np.testing.assert_allclose((gradient * direction).sum(), along, rtol=1e-7, atol=1e-8 * norm, err_msg=path)


def test_the_golden_says_where_it_comes_from():
    assert (GOLDENS.parents[2] / GOLDEN["made_by"]).is_file()
    assert GOLDEN["torch"].startswith("2.13.0")
    assert set(GOLDEN["networks"]) == set(RULE["NETWORKS"])


@pytest.mark.parametrize("shortcut", ["none", "A", "B", "C"])
def test_every_parameter_is_trained(shortcut):
    """After two steps the gradient of every parameter is clearly not zero, and every one has moved."""
    model = models.create("resnet_cifar", depth=8, width=4, shortcut=shortcut)
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((16, 8, 8, 3)).astype(np.float32), np.arange(16) % 10
    start = variables = variables_by_rule(model, images, np.float32)

    @jax.jit
    def gradient(variables):
        def loss(params):
            (logits, _), updates = model.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
            )
            return -jax.nn.log_softmax(logits)[jnp.arange(16), labels].mean(), updates

        return jax.grad(loss, has_aux=True)(variables["params"])

    for _ in range(2):
        gradients, updates = gradient(variables)
        variables = {"params": jax.tree.map(lambda p, g: p - 0.05 * g, variables["params"], gradients), **updates}
    norms = {name: np.linalg.norm(np.asarray(leaf)) for name, leaf in stacking.names(gradient(variables)[0]).items()}
    assert min(norms.values()) > 1e-3 * max(norms.values()), norms
    moved = jax.tree.map(lambda a, b: (a != np.asarray(b)).any(), start, variables)
    assert all(stacking.names(moved).values())


def test_taps_are_the_stages_outputs():
    model = models.create("resnet20", num_classes=7)
    logits, taps = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x)[0], jnp.zeros((2, 32, 32, 3)))
    assert logits.shape == (2, 7)
    assert {name: tap.shape for name, tap in taps.items()} == {
        "stage1": (2, 32, 32, 16),
        "stage2": (2, 16, 16, 32),
        "stage3": (2, 8, 8, 64),
        "conv1": (2, 32, 32, 16),
        "global_pool": (2, 64),
        "classifier": (2, 7),
    }


def test_frozen_normalisation_is_that_of_evaluation():
    model = models.create("resnet_cifar", depth=8, width=4)
    images = np.random.default_rng(1).standard_normal((4, 8, 8, 3)).astype(np.float32)
    variables = variables_by_rule(model, images, np.float32)
    (frozen, _), updates = model.apply(variables, images, train=True, freeze_bn=True, mutable=["batch_stats"])
    np.testing.assert_array_equal(frozen, model.apply(variables, images)[0])
    jax.tree.map(np.testing.assert_array_equal, updates["batch_stats"], variables["batch_stats"])


def test_bfloat16_computes_in_it_and_keeps_parameters_in_float32():
    model = models.create("resnet_cifar", depth=8, width=4, dtype="bfloat16")
    images = np.random.default_rng(1).standard_normal((4, 8, 8, 3)).astype(np.float32)
    variables = variables_by_rule(model, images, np.float32)
    apply = lambda model: jax.jit(lambda v: model.apply(v, images, train=True, mutable=["batch_stats"]))(variables)  # noqa: E731
    (logits, taps), updates = apply(model)
    assert {x.dtype for x in (logits, *taps.values())} == {np.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, updates))} == {np.dtype("float32")}
    (exact, _), _ = apply(model.clone(dtype="float32"))
    np.testing.assert_allclose(np.asarray(logits, np.float32), exact, atol=0.15)


def test_float64_where_jax_has_none():
    model = models.create("resnet_cifar", depth=8, width=1, dtype="float64")
    with pytest.raises(errors.UserError, match="dtype float64 wants JAX_ENABLE_X64=1"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
