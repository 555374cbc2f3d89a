"""Scanned stages are unrolled ones under other names."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.nn import stacking
from cnnjax.nn.rows import Conv, Drop, Scope
from cnnjax.nn.shortcut import Block
from cnnjax.nn.stacking import Stage
from cnnjax.train import compiler

IMAGES = np.random.default_rng(2).standard_normal((4, 6, 6, 3))


@functools.cache
def shapes(depth, scan, shortcut="A"):
    model = models.create("resnet_cifar", depth=depth, shortcut=shortcut, scan=scan)
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def random_values(shapes):
    """Float64, unlike the initial ones: no scale is 1 and no statistic 0, and variances are positive."""
    rng = np.random.default_rng(4)
    return jax.tree.map(
        lambda leaf: rng.uniform(0.1, 1, leaf.shape) if leaf.ndim < 3 else rng.normal(0, 0.2, leaf.shape), shapes
    )


def stage(features, shortcut, blocks, strides=(1, 1), scan=False, keep="all"):
    """Of basic blocks; to be applied as a module of its own."""

    def block(strides):
        body = (Conv("conv1", features, 3, strides), Conv("conv2", features, 3, activation="identity"))
        return Block(body, shortcut, features, strides)

    return Stage("stage", block(strides), block((1, 1)), blocks, scan, keep)


@pytest.mark.parametrize("scan", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["scanned", "unrolled"])
def test_what_is_kept_changes_memory_and_nothing_else(settings, scan):
    x = np.random.default_rng(2).standard_normal((16, 16, 16, 8)).astype(np.float32)
    results, needs = {}, {}
    for keep in stacking.KEPT:
        module = Scope((stage(8, "A", blocks=8, scan=scan, keep=keep),), settings(train=True))
        variables = jax.jit(module.init)(jax.random.key(0), x)

        def loss(params, module=module, variables=variables):
            y, updates = module.apply({**variables, "params": params}, x, mutable=["batch_stats"])
            return jnp.sin(y).sum(), updates

        # Without the pass that removes barriers, which hold what is computed again apart from the first time.
        options = compiler.options("cpu")
        compiled = jax.jit(jax.grad(loss, has_aux=True), compiler_options=options).lower(variables["params"]).compile()
        results[keep] = compiled(variables["params"])
        needs[keep] = compiled.memory_analysis().temp_size_in_bytes / x.nbytes
    assert needs["blocks"] < needs["convolutions"] < needs["all"]
    # Of 8 blocks: their inputs; and two convolutions each.
    assert needs["blocks"] < 8 + 10 < needs["all"]
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * max(1, np.abs(b).max()))  # noqa: E731
    jax.tree.map(close, results["all"], results["convolutions"])
    jax.tree.map(close, results["all"], results["blocks"])


def test_blocks_outside_of_the_loop_are_computed_again_too(settings):
    """The first block of a scanned stage, and all of one that is too short to be scanned."""

    def convolutions(keep):
        module = Scope((stage(8, "A", blocks=2, scan=True, keep=keep),), settings(train=True))
        x = jnp.ones((4, 8, 8, 8))
        given = jax.eval_shape(module.init, jax.random.key(0), x)

        def loss(params, stats):
            y, _ = module.apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])
            return jnp.sin(y).sum()

        gradient = jax.jit(jax.grad(loss), compiler_options=compiler.options("cpu"))
        return gradient.lower(given["params"], given["batch_stats"]).compile().as_text().count(" convolution(")

    assert convolutions("blocks") > convolutions("all") == 4 + 4 + 3


@pytest.mark.parametrize("shortcut", ["A", "C"])
def test_scanned_stages_compute_what_unrolled_ones_do(settings, shortcut):
    """Outputs, gradients and statistics, in float64: in evaluation and in training."""
    rows = {scan: (stage(4, shortcut, blocks=4, strides=(2, 2), scan=scan),) for scan in (True, False)}
    wide = {"dtype": "float64", "norm": (("group", 2),)}

    def run(scan, variables):
        def loss(params, x):
            module = Scope(rows[scan], settings(train=True, **wide))
            y, updates = module.apply({**variables, "params": params}, x, mutable=["batch_stats"])
            return (y**2).sum(), (y, updates["batch_stats"])

        gradients, (y, stats) = jax.grad(loss, argnums=(0, 1), has_aux=True)(variables["params"], IMAGES)
        return Scope(rows[scan], settings(**wide)).apply(variables, IMAGES), y, gradients, stats

    with jax.enable_x64(True):
        init = Scope(rows[True], settings(**wide)).init
        stacked = random_values(jax.eval_shape(init, jax.random.key(0), IMAGES))
        flat = stacking.unstack(stacked)
        one, other = jax.jit(functools.partial(run, True))(stacked), jax.jit(functools.partial(run, False))(flat)
    assert one[0].dtype == np.float64
    one, other = (jax.tree.map(np.asarray, tree) for tree in (one, other))
    assert jax.tree.structure(one) != jax.tree.structure(other)
    one = stacking.unstack(one)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9), one, other)
    assert all(np.abs(gradient).max() > 0 for gradient in jax.tree.leaves(one[2]))


@pytest.mark.parametrize("shortcut", ["none", "A", "B", "C"])
@pytest.mark.parametrize("depth", [8, 14, 20, 56])
def test_names_and_shapes_do_not_tell_whether_a_stage_is_scanned(depth, shortcut):
    scanned, unrolled = (
        {name: (leaf.shape, leaf.dtype) for name, leaf in stacking.names(shapes(depth, scan, shortcut)).items()}
        for scan in (True, False)
    )
    assert scanned == unrolled
    blocks = (depth - 2) // 6
    assert {f"params/stage{s}/block{b}/conv1/kernel" for s in (1, 2, 3) for b in range(1, blocks + 1)} <= set(scanned)
    assert not any("_to_" in name for name in scanned)


def test_a_scanned_stage_holds_one_leaf_a_parameter():
    params = shapes(56, True)["params"]
    assert set(params["stage2"]) == {"block1", "block2_to_9"}
    assert params["stage2"]["block2_to_9"]["conv1"]["kernel"].shape == (8, 3, 3, 32, 32)
    assert len(jax.tree.leaves(params)) == 2 + 1 + 2 + 3 * 2 * 6  # conv1 and norm1, classifier, two blocks a stage


def test_one_or_two_blocks_are_not_worth_a_scan():
    assert set(shapes(8, True)["params"]["stage1"]) == {"block1"}
    assert set(shapes(14, True)["params"]["stage1"]) == {"block1", "block2"}


def tree():
    leaf = lambda *shape: jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)  # noqa: E731
    return {
        "stem": {"kernel": leaf(2, 3)},
        "stage1": {"block1": {"a": leaf(2)}, "block2_to_11": {"a": leaf(10, 2), "b": {"c": leaf(10)}}},
    }


def test_unstack_gives_every_block_its_slice():
    flat = stacking.unstack(tree())
    assert list(flat["stage1"]) == [f"block{number}" for number in range(1, 12)]
    np.testing.assert_array_equal(flat["stage1"]["block2"]["a"], [0, 1])
    np.testing.assert_array_equal(flat["stage1"]["block11"]["a"], [18, 19])
    assert flat["stage1"]["block7"]["b"]["c"] == 5
    np.testing.assert_array_equal(flat["stem"]["kernel"], tree()["stem"]["kernel"])


def test_stack_is_the_inverse_of_unstack():
    again = stacking.stack(stacking.unstack(tree()), like=tree())
    assert jax.tree.structure(again) == jax.tree.structure(tree())
    jax.tree.map(np.testing.assert_array_equal, again, tree())


def test_stack_is_the_inverse_inside_other_containers():
    """An optimiser's state: tuples of trees of parameters, and counters beside them."""
    state = ((tree(), {"count": jnp.int32(3)}), jnp.float32(2), None)
    flat = stacking.unstack(state)
    assert set(flat[0][0]["stage1"]) == {f"block{number}" for number in range(1, 12)}
    again = stacking.stack(flat, like=state)
    assert jax.tree.structure(again) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, again, state)


def test_unstack_of_an_unrolled_tree_changes_nothing():
    flat = stacking.unstack(tree())
    jax.tree.map(np.testing.assert_array_equal, stacking.unstack(flat), flat)


def test_names_of_shapes():
    abstract = jax.eval_shape(tree)
    names = stacking.names(abstract)
    assert names["stage1/block3/a"].shape == (2,)
    assert names["stage1/block3/b/c"].shape == ()
    assert len(names) == 1 + 1 + 2 * 10


def test_an_unknown_place_in_the_tree_is_not_filled_in():
    flat = stacking.unstack(tree())
    del flat["stage1"]["block5"]
    with pytest.raises(KeyError, match="block5"):
        stacking.stack(flat, like=tree())


def test_every_scanned_block_drops_values_of_its_own(settings):
    """A block makes of a value three times as much, or leaves it: with one mask for all there would be two results only."""
    blocks = 9
    halves = Block((Drop("drop", 0.5),), "A", 4, (1, 1))
    module = Scope((Stage("stage", halves, halves, blocks, scan=True),), settings(train=True))
    dropped = module.apply({}, jnp.ones((8, 6, 6, 4)), rngs={"dropout": jax.random.key(0)})
    tripled = np.log(np.asarray(dropped)) / np.log(3)
    np.testing.assert_allclose(tripled, tripled.round(), atol=1e-4)
    # Binomial: of 1152 values each of 3 to 6 of 9 occurs some 190 to 280 times.
    counts = np.bincount(tripled.round().astype(int).ravel(), minlength=blocks + 1)
    assert counts[3:7].min() > 120


def test_a_stack_that_does_not_hold_its_blocks_is_named():
    with pytest.raises(errors.UserError, match=r"block2_to_4 holds 3 blocks, and a leaf of it is of shape \(2, 5\)"):
        stacking.unstack({"block2_to_4": {"conv": {"kernel": np.zeros((2, 5))}}})
