"""Batch normalisation against a numpy reference, over groups, and over devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.extend import core

from cnnjax import errors
from cnnjax.nn import norm as norms
from cnnjax.nn.norm import BatchNorm, check_groups

RNG = np.random.default_rng(11)


def reference(x, scale, bias, group, epsilon):
    """Output, and mean and biased variance [groups, C], in float64, group by group."""
    group = group or len(x)
    y, means, variances = np.empty(x.shape, np.float64), [], []
    for first in range(0, len(x), group):
        part = x[first : first + group].astype(np.float64)
        flat = part.reshape(-1, x.shape[-1])
        mean = flat.sum(0) / len(flat)
        var = ((flat - mean) ** 2).sum(0) / len(flat)
        y[first : first + group] = (part - mean) / np.sqrt(var + epsilon) * scale + bias
        means.append(mean)
        variances.append(var)
    return y, np.stack(means), np.stack(variances)


def variables(channels, rng=RNG):
    return {
        "params": {
            "scale": (1 + 0.3 * rng.standard_normal(channels)).astype(np.float32),
            "bias": rng.standard_normal(channels).astype(np.float32),
        },
        "batch_stats": {
            "mean": rng.standard_normal(channels).astype(np.float32),
            "var": rng.uniform(0.5, 2, channels).astype(np.float32),
        },
    }


@pytest.mark.parametrize("group", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(8, 3, 5, 4), (8, 6, 4)], ids=["image", "sequence"])
def test_training_normalises_each_group_by_itself(group, shape):
    x = (2 * RNG.standard_normal(shape) + np.arange(8).reshape(8, *(1,) * (len(shape) - 1))).astype(np.float32)
    given_ = variables(4)
    norm = BatchNorm(group=group, momentum=0.8, epsilon=1e-3)
    y, updates = norm.apply(given_, x, train=True, mutable=["batch_stats"])
    expected, means, var = reference(x, **given_["params"], group=group, epsilon=1e-3)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=2e-5)
    running = given_["batch_stats"]
    stats = updates["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.8 * running["mean"] + 0.2 * means.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stats["var"], 0.8 * running["var"] + 0.2 * var.mean(0), rtol=1e-5, atol=1e-6)


def test_rows_without_positions_are_normalised_too():
    x = RNG.standard_normal((8, 4)).astype(np.float32)
    given_ = variables(4)
    y, _ = BatchNorm(group=4).apply(given_, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y, reference(x, **given_["params"], group=4, epsilon=1e-5)[0], rtol=1e-4, atol=2e-5)


def test_evaluation_uses_the_running_statistics_and_ignores_groups():
    x = RNG.standard_normal((5, 3, 3, 4)).astype(np.float32)
    given_ = variables(4)
    stats, params = given_["batch_stats"], given_["params"]
    expected = (x - stats["mean"]) / np.sqrt(stats["var"] + 0.01) * params["scale"] + params["bias"]
    # Groups of 2 would not divide 5, and there is no axis: neither matters here.
    y = BatchNorm(group=2, axis="data", epsilon=0.01).apply(given_, x, train=False)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_worked_example_of_one_neuron_over_a_batch_of_eight():
    """One unit's inputs over a batch, and their normalised values worked out by hand, to two decimals."""
    x = np.array([1.0, 1.5, 1.2, 0.9, 1.7, 2.1, 3.1, 1.7], np.float32)[:, None]
    norm = BatchNorm(epsilon=1e-8, momentum=0.0)
    start = {
        "params": {"scale": np.ones(1), "bias": np.zeros(1)},
        "batch_stats": {"mean": np.zeros(1), "var": np.ones(1)},
    }
    y, updates = norm.apply(start, x, train=True, mutable=["batch_stats"])
    by_hand = [-0.98, -0.23, -0.68, -1.13, 0.08, 0.68, 2.19, 0.08]
    np.testing.assert_array_equal(np.asarray(y[:, 0], np.float64).round(2), by_hand)
    np.testing.assert_array_equal(np.asarray(updates["batch_stats"]["mean"], np.float64).round(2), [1.65])
    np.testing.assert_array_equal(np.asarray(updates["batch_stats"]["var"], np.float64).round(2), [0.44])


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_scale_of_the_input_does_not_matter(scale, seed):
    """BN(a·u) = BN(u): Ioffe & Szegedy 2015, §3.3; exactly so where epsilon vanishes."""
    x = np.random.default_rng(seed).standard_normal((4, 3, 3, 2))
    norm = BatchNorm(epsilon=1e-30, dtype="float64")
    with jax.enable_x64(True):
        apply = lambda x: norm.apply(variables(2, np.random.default_rng(0)), x, train=True, mutable=["batch_stats"])[0]  # noqa: E731
        np.testing.assert_allclose(apply(scale * x), apply(x), rtol=1e-8, atol=1e-10)


def test_statistics_of_bfloat16_are_float32():
    # In bfloat16 a sum of 8192 numbers near 1 stops growing at 256.
    x = (1 + 0.25 * RNG.standard_normal((8, 32, 32, 2))).astype(jnp.bfloat16)
    given_ = variables(2)
    given_["batch_stats"]["mean"] = np.ones(2, np.float32)
    y, updates = BatchNorm(momentum=0.0, dtype="bfloat16").apply(given_, x, train=True, mutable=["batch_stats"])
    expected, mean, var = reference(np.asarray(x, np.float64), **given_["params"], group=0, epsilon=1e-5)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {np.dtype("float32")}
    np.testing.assert_allclose(updates["batch_stats"]["mean"], mean[0], rtol=1e-4)
    np.testing.assert_allclose(updates["batch_stats"]["var"], var[0], rtol=1e-4)
    # The output is rounded once, at the end: to half a unit in the last of 8 bits.
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, rtol=2**-8, atol=1e-4)


def test_variance_is_never_negative_and_the_output_finite():
    x = np.full((4, 5, 5, 3), 1234.567, np.float32)
    y, updates = BatchNorm(momentum=0.0).apply(variables(3), x, train=True, mutable=["batch_stats"])
    assert (updates["batch_stats"]["var"] >= 0).all()
    assert np.isfinite(y).all()


@pytest.mark.parametrize("ratio", [10.0, 100.0, 1000.0])
def test_variance_of_values_far_from_zero_once_the_running_mean_is_near(ratio):
    x = (ratio + RNG.standard_normal((64, 4, 4, 3))).astype(np.float32)
    norm = BatchNorm(momentum=0.0)
    state = norm.init(jax.random.key(0), x, train=True)
    for _ in range(2):
        y, updates = norm.apply(state, x, train=True, mutable=["batch_stats"])
        state = {**state, **updates}
    exact = x.astype(np.float64)
    np.testing.assert_allclose(state["batch_stats"]["var"], exact.var((0, 1, 2)), rtol=1e-4)
    expected = (exact - exact.mean((0, 1, 2))) / np.sqrt(exact.var((0, 1, 2)) + norm.epsilon)
    np.testing.assert_allclose(y, expected, atol=1e-3)


def test_initialisation_sees_no_statistics():
    start = BatchNorm(group=4, axis="data").init(jax.random.key(0), RNG.standard_normal((3, 2, 2, 5)), train=True)
    np.testing.assert_array_equal(start["batch_stats"]["mean"], np.zeros(5))
    np.testing.assert_array_equal(start["batch_stats"]["var"], np.ones(5))
    np.testing.assert_array_equal(start["params"]["scale"], np.ones(5))
    np.testing.assert_array_equal(start["params"]["bias"], np.zeros(5))


@pytest.mark.parametrize("group", [3, 16, -4])
def test_groups_that_do_not_divide_the_batch(group):
    with pytest.raises(errors.UserError, match=f"BN groups of {group} do not divide a batch of 8"):
        BatchNorm(group=group).apply(variables(2), np.ones((8, 2, 2, 2)), train=True, mutable=["batch_stats"])


DEVICES, SHARE = 8, 2
BATCH = DEVICES * SHARE


@pytest.mark.parametrize("group", [0, BATCH, SHARE, SHARE // 2, 2 * SHARE], ids="group{}".format)
def test_groups_mean_the_same_on_eight_devices_under_pmap(group):
    """Outputs, input gradients, parameter gradients and running statistics are those of one device."""
    assert jax.device_count() == DEVICES
    x = (RNG.standard_normal((BATCH, 2, 3, 4)) + 0.2 * np.arange(BATCH).reshape(-1, 1, 1, 1)).astype(np.float32)
    weights = RNG.standard_normal(x.shape).astype(np.float32)
    given_ = variables(4)

    def run(x, weights, axis):
        def loss(x, params):
            norm = BatchNorm(group=group, axis=axis)
            y, updates = norm.apply({**given_, "params": params}, x, train=True, mutable=["batch_stats"])
            return (weights * y).sum(), (y, updates["batch_stats"])

        gradients, (y, stats) = jax.grad(loss, argnums=(0, 1), has_aux=True)(x, given_["params"])
        if axis:
            gradients, stats = (gradients[0], lax.psum(gradients[1], axis)), lax.pmean(stats, axis)
        return y, gradients[0], gradients[1], stats

    one = jax.jit(lambda x, w: run(x, w, None))(x, weights)
    split = lambda array: array.reshape(DEVICES, SHARE, *array.shape[1:])  # noqa: E731
    many = jax.pmap(lambda x, w: run(x, w, "data"), "data", out_axes=(0, 0, None, None))(split(x), split(weights))
    many = (many[0].reshape(x.shape), many[1].reshape(x.shape), *many[2:])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), many, one)
    expected, _, _ = reference(x, **given_["params"], group=group, epsilon=1e-5)
    np.testing.assert_allclose(many[0], expected, rtol=2e-4, atol=1e-4)


def test_groups_that_straddle_devices_are_refused_under_pmap():
    x = np.ones((DEVICES, 6, 2, 2, 2), np.float32)
    norm = BatchNorm(group=4, axis="data")
    step = jax.pmap(lambda x: norm.apply(variables(2), x, train=True, mutable=["batch_stats"])[0], "data")
    with pytest.raises(errors.UserError, match=r"divisor or a multiple of a device's share of the batch \(6\), not 4"):
        step(x)
    # The same groups are fine where one program sees the batch.
    y, _ = BatchNorm(group=4).apply(variables(2), x.reshape(48, 2, 2, 2), train=True, mutable=["batch_stats"])
    assert y.shape == (48, 2, 2, 2)


@pytest.mark.parametrize(
    ("here", "devices", "size", "groups"), [(32, 1, 32, 1), (32, 1, 8, 4), (4, 8, 32, 1), (4, 8, 2, 2), (4, 8, 4, 1)]
)
def test_how_many_groups_start_on_a_device(here, devices, size, groups):
    assert check_groups(here, devices, size) == groups


def textbook(x, scale, bias, epsilon):
    """Algorithm 1 as it is written, which JAX differentiates by itself."""
    mean = x.mean((0, 1, 2))
    var = ((x - mean) ** 2).mean((0, 1, 2))
    return scale * (x - mean) / jnp.sqrt(var + epsilon) + bias, mean, var


@pytest.mark.parametrize("far", [0.0, 30.0])
def test_derivatives_are_those_of_the_textbook_in_both_directions(far):
    """Also of the statistics, and where the mean is far from zero."""
    rng = np.random.default_rng(5)
    x, dx, weights = (rng.standard_normal((4, 3, 2, 5)) for _ in range(3))
    scale, dscale, bias, dbias, *mixed = (rng.standard_normal(5) for _ in range(6))
    x = x + far
    with jax.enable_x64(True):

        def ours(x, scale, bias):
            state = {"params": {"scale": scale, "bias": bias}, "batch_stats": {"mean": jnp.ones(5), "var": jnp.ones(5)}}
            norm = BatchNorm(momentum=0.0, epsilon=1e-3, dtype="float64")
            y, updates = norm.apply(state, x, train=True, mutable=["batch_stats"])
            return y, updates["batch_stats"]["mean"], updates["batch_stats"]["var"]

        def weighted(function):
            def loss(*arguments):
                y, mean, var = function(*arguments)
                return (weights * y).sum() + (mixed[0] * mean).sum() + (mixed[1] * var).sum()

            return loss

        theirs = lambda *arguments: textbook(*arguments, 1e-3)  # noqa: E731
        primals, tangents = (x, scale, bias), (dx, dscale, dbias)
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)  # noqa: E731
        jax.tree.map(close, jax.jvp(ours, primals, tangents), jax.jvp(theirs, primals, tangents))
        gradients = [jax.grad(weighted(each), argnums=(0, 1, 2))(*primals) for each in (ours, theirs)]
        jax.tree.map(close, *gradients)


def test_one_pass_and_two_agree():
    """CPUs take the one, accelerators the other."""
    x = (3 + 0.5 * RNG.standard_normal((2, 4096, 6))).astype(np.float32)
    one, two = norms._one_pass(x, np.full(6, 2.9, np.float32)), norms._two_passes(x, np.zeros(6, np.float32))
    for found in (one, two):
        np.testing.assert_allclose(found[0], x.astype(np.float64).mean(1), rtol=1e-5)
        np.testing.assert_allclose(found[1], x.astype(np.float64).var(1), rtol=1e-4)


def test_the_platform_that_is_compiled_for_decides_how_often_the_input_is_read(monkeypatch):
    """Each way leaves a mark of its own: an exponential or a cosine, which nothing else here has."""
    mark = lambda way, function: lambda x, about: tuple(function(each) for each in way(x, about))  # noqa: E731
    monkeypatch.setattr(norms, "_two_passes", mark(norms._two_passes, jnp.exp))
    monkeypatch.setattr(norms, "_one_pass", mark(norms._one_pass, jnp.cos))
    step = jax.jit(lambda x: BatchNorm().apply(variables(4), x, train=True, mutable=["batch_stats"]))
    for platform, there, absent in (("cpu", "exponential", "cosine"), ("cuda", "cosine", "exponential")):
        text = step.trace(jnp.ones((8, 2, 2, 4))).lower(lowering_platforms=(platform,)).as_text()
        assert f"stablehlo.{there}" in text
        assert f"stablehlo.{absent}" not in text


def test_gradient_reads_the_input_twice_and_no_more():
    """Two sums over what lies in memory, and one pass that writes: as few as the maths allows."""
    given_ = variables(4)

    def loss(x, scale):
        state = {**given_, "params": {**given_["params"], "scale": scale}}
        return BatchNorm().apply(state, x, train=True, mutable=["batch_stats"])[0]

    x = jnp.ones((8, 5, 5, 4))
    _, pull = jax.vjp(loss, x, jnp.ones(4))
    jaxpr = jax.make_jaxpr(pull)(x)
    sums = [each for each in flat_equations(jaxpr.jaxpr) if each.primitive.name == "reduce_sum"]
    assert sum(each.invars[0].aval.size == x.size for each in sums) == 2


def flat_equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for body in core.jaxprs_in_params(equation.params):
            yield from flat_equations(body)
