"""The convolution and its gradients: against JAX's own autodiff, and against loops in numpy."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from cnnjax import errors
from cnnjax.nn.conv import Conv, conv2d
from cnnjax.train import compiler


@dataclasses.dataclass(frozen=True)
class Case:
    batch: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int
    fan: int
    features: int

    @property
    def out(self):
        spans = [n + low + high - d * (k - 1) - 1 for n, (low, high), d, k in self._sides()]
        return tuple(span // s + 1 for span, s in zip(spans, self.strides, strict=True))

    def _sides(self):
        return zip(self.size, self.padding, self.dilation, self.kernel, strict=True)

    def arrays(self, dtype):
        rng = np.random.default_rng(7)
        x = rng.standard_normal((self.batch, *self.size, self.groups * self.fan))
        kernel = rng.standard_normal((*self.kernel, self.fan, self.groups * self.features))
        dy = rng.standard_normal((self.batch, *self.out, self.groups * self.features))
        return [array.astype(dtype) for array in (x, kernel, dy)]

    def ours(self, x, kernel, form="canonical"):
        return conv2d(x, kernel, self.strides, self.padding, self.dilation, self.groups, form)

    def jax(self, x, kernel):
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=self.strides,
            padding=self.padding,
            rhs_dilation=self.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )


def loops(case, x, kernel, dy):
    """Value and both gradients from the definition, one output position at a time."""
    (top, bottom), (left, right) = case.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    y, dpadded, dkernel = np.zeros(dy.shape), np.zeros(padded.shape), np.zeros(kernel.shape)
    (kh, kw), (sh, sw), (dh, dw) = case.kernel, case.strides, case.dilation
    for row in range(case.out[0]):
        for column in range(case.out[1]):
            for group in range(case.groups):
                of_x = slice(group * case.fan, (group + 1) * case.fan)
                of_y = slice(group * case.features, (group + 1) * case.features)
                rows = slice(row * sh, row * sh + dh * (kh - 1) + 1, dh)
                columns = slice(column * sw, column * sw + dw * (kw - 1) + 1, dw)
                window = (slice(None), rows, columns, of_x)
                y[:, row, column, of_y] = np.einsum("nhwi,hwio->no", padded[window], kernel[..., of_y])
                error = dy[:, row, column, of_y]
                dpadded[window] += np.einsum("no,hwio->nhwi", error, kernel[..., of_y])
                dkernel[..., of_y] += np.einsum("no,nhwi->hwio", error, padded[window])
    height, width = case.size
    return y, dpadded[:, top : top + height, left : left + width], dkernel


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradients(convolutions, x, kernel, dy):
    """For each convolution (compiled together, which is what takes the time) its value and both gradients."""
    pulled = [jax.vjp(convolution, x, kernel) for convolution in convolutions]
    return [(y, *pullback(dy)) for y, pullback in pulled]


@st.composite
def cases(draw):
    pair = lambda low, high: st.tuples(*(st.integers(low, high),) * 2)  # noqa: E731
    # Not both: for some shapes with both, XLA 0.10.2's algebraic simplifier aborts, on JAX's own gradients too.
    strides, dilation = draw(st.one_of(st.tuples(pair(1, 3), st.just((1, 1))), st.tuples(st.just((1, 1)), pair(1, 3))))
    kernel = draw(pair(1, 5))
    padding = draw(st.tuples(pair(0, 3), pair(0, 3)))
    smallest = [max(1, d * (k - 1) + 1 - sum(p)) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = tuple(draw(st.integers(n, n + 5)) for n in smallest)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    return Case(
        draw(st.integers(1, 3)),
        size,
        kernel,
        strides,
        padding,
        dilation,
        groups,
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
    )


NETWORKS = [
    # Those of the networks: 3×3 and 1×1, stride 1 and 2 on even and odd sizes, 7×7 stride 2, 11×11 stride 4, depthwise.
    Case(2, (8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, 3, 4),
    Case(2, (8, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1, 3, 4),
    Case(2, (7, 9), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1, 3, 4),
    Case(2, (8, 8), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1), 1, 3, 4),
    Case(1, (15, 14), (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1), 1, 3, 4),
    Case(1, (23, 25), (11, 11), (4, 4), ((0, 0), (0, 0)), (1, 1), 1, 3, 4),
    Case(2, (6, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 5, 1, 1),
    Case(2, (6, 6), (3, 3), (2, 2), ((0, 1), (0, 1)), (1, 1), 5, 1, 2),
    Case(2, (7, 9), (3, 5), (2, 3), ((1, 0), (2, 3)), (1, 1), 4, 1, 1),
    Case(2, (9, 8), (3, 2), (1, 1), ((2, 2), (0, 1)), (2, 3), 3, 1, 1),
    Case(2, (9, 9), (3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2), 2, 2, 3),
    Case(2, (9, 10), (3, 3), (2, 2), ((2, 2), (2, 2)), (2, 2), 1, 3, 2),
    # More padding than the kernel reaches over; a kernel as large as the map; rows and columns that nothing reads.
    Case(1, (3, 4), (1, 2), (1, 3), ((2, 1), (3, 0)), (1, 1), 1, 2, 2),
    Case(2, (5, 5), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, 2, 3),
    Case(1, (8, 9), (2, 3), (3, 4), ((0, 0), (1, 0)), (1, 1), 1, 2, 2),
    # So much padding on one side that a part of the gradient is of zeros alone.
    Case(2, (1, 1), (1, 1), (4, 4), ((6, 0), (6, 0)), (1, 1), 1, 3, 2),
    Case(2, (5, 1), (4, 3), (2, 4), ((7, 4), (4, 0)), (1, 1), 1, 4, 9),
]


def check_all_three_agree(case):
    with jax.enable_x64(True):
        arrays = case.arrays(np.float64)
        ours, theirs = value_and_gradients((case.ours, case.jax), *arrays)
    slow = loops(case, *arrays)
    for mine, derived, defined in zip(ours, theirs, slow, strict=True):
        assert mine.dtype == np.float64
        np.testing.assert_allclose(mine, derived, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(mine, defined, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_value_and_gradients_of_the_networks_layers(case):
    check_all_three_agree(case)


@given(cases())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_value_and_gradients_of_any_convolution(case):
    check_all_three_agree(case)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 5e-2)], ids=["float32", "bfloat16"])
def test_value_and_gradients_keep_their_dtype(dtype, tolerance):
    case = NETWORKS[2]
    arrays = case.arrays(np.float64)
    (ours,) = value_and_gradients((case.ours,), *(jnp.asarray(array, dtype) for array in arrays))
    for mine, defined in zip(ours, loops(case, *arrays), strict=True):
        assert mine.dtype == dtype
        scale = np.abs(defined).max()
        np.testing.assert_allclose(np.asarray(mine, np.float64) / scale, defined / scale, atol=tolerance)


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_onednn_agrees_with_the_definition(case):
    arrays = case.arrays(np.float32)
    (ours,) = value_and_gradients((functools.partial(case.ours, form="onednn"),), *arrays)
    for mine, defined in zip(ours, loops(case, *arrays), strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine, defined, atol=1e-5 * np.abs(defined).max())


@given(cases())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_onednn_agrees_with_xla_on_any_convolution(case):
    arrays = case.arrays(np.float32)
    ours, theirs = value_and_gradients((functools.partial(case.ours, form="onednn"), case.jax), *arrays)
    for mine, derived in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, derived, atol=1e-5 * max(1.0, float(np.abs(derived).max())))


def test_depthwise_convolutions_are_none_of_xlas_on_a_cpu():
    """But for the kernel gradient. With two maps a channel, or in another form, all three are."""
    count = lambda case, form: (  # noqa: E731
        jax.jit(lambda *each: value_and_gradients.__wrapped__([functools.partial(case.ours, form=form)], *each))
        .lower(*case.arrays(np.float32))
        .as_text()
        .count("stablehlo.convolution")
    )
    alone = Case(2, (6, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 5, 1, 1)
    assert count(alone, "onednn") == 1
    assert count(alone, "canonical") == 3
    assert count(dataclasses.replace(alone, features=2), "onednn") == 3


def test_gradients_inside_a_scan_are_those_outside():
    case = Case(2, (6, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, 3, 3)
    kernels = 0.3 * np.random.default_rng(3).standard_normal((4, 3, 3, 3, 3))

    def scanned(x, kernels, convolution):
        return lax.scan(lambda x, kernel: (jnp.tanh(convolution(x, kernel)), None), x, kernels)[0].sum()

    def unrolled(x, kernels):
        for kernel in kernels:
            x = jnp.tanh(case.jax(x, kernel))
        return x.sum()

    with jax.enable_x64(True):
        x = case.arrays(np.float64)[0]
        expected = jax.jit(jax.grad(unrolled, argnums=(0, 1)))(x, kernels)
        for convolution in (case.ours, functools.partial(case.ours, form="plain")):
            found = jax.jit(jax.grad(functools.partial(scanned, convolution=convolution), argnums=(0, 1)))(x, kernels)
            for mine, derived in zip(found, expected, strict=True):
                np.testing.assert_allclose(mine, derived, rtol=1e-10, atol=1e-12)


def test_gradients_are_convolutions_in_the_canonical_layout():
    """What makes loops fast on CPU: NHWC and HWIO in every convolution of the backward pass."""
    case = NETWORKS[1]
    x, kernel, dy = case.arrays(np.float32)
    layouts = lambda convolution: [  # noqa: E731
        equation.params["dimension_numbers"]
        for equation in jax.make_jaxpr(lambda x, k, dy: jax.vjp(convolution, x, k)[1](dy))(x, kernel, dy).eqns
        if equation.primitive.name == "conv_general_dilated"
    ]
    canonical = lax.conv_dimension_numbers(x.shape, kernel.shape, ("NHWC", "HWIO", "NHWC"))
    ours = layouts(case.ours)
    assert len(ours) >= 2
    assert set(ours) == {canonical}
    assert set(layouts(case.jax)) != {canonical}  # so that this test would notice


def test_plain_form_has_forward_mode_and_the_canonical_one_has_not():
    case = NETWORKS[2]
    x, kernel, _ = case.arrays(np.float32)
    tangent = np.ones_like(x)
    value, derivative = jax.jvp(lambda x: case.ours(x, kernel, form="plain"), (x,), (tangent,))
    np.testing.assert_allclose(value, case.ours(x, kernel), rtol=1e-5, atol=1e-5)
    # A convolution is linear in its input.
    np.testing.assert_allclose(derivative, case.jax(tangent, kernel), rtol=1e-5, atol=1e-5)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: case.ours(x, kernel), (x,), (tangent,))


def test_lists_are_accepted_where_tuples_are():
    case = NETWORKS[3]
    x, kernel, _ = case.arrays(np.float32)
    y = conv2d(x, kernel, [2, 2], [[0, 0], [0, 0]], [1, 1])
    np.testing.assert_array_equal(y, case.ours(x, kernel))


def test_layer_has_the_parameters_and_the_padding_that_it_says():
    x = np.random.default_rng(0).standard_normal((2, 9, 9, 4)).astype(np.float32)
    layer = Conv(6, (3, 5), groups=2)
    variables = layer.init(jax.random.key(0), x)
    kernel, bias = variables["params"]["kernel"], jnp.arange(6.0)
    assert kernel.shape == (3, 5, 2, 6)
    np.testing.assert_array_equal(variables["params"]["bias"], np.zeros(6))
    case = Case(2, (9, 9), (3, 5), (1, 1), ((1, 1), (2, 2)), (1, 1), 2, 2, 3)
    y = layer.apply({"params": {"kernel": kernel, "bias": bias}}, x)
    assert y.shape == (2, 9, 9, 6)
    np.testing.assert_allclose(y, case.jax(x, kernel) + bias, rtol=1e-5, atol=1e-5)

    unpadded = Conv(6, (3, 5), padding=((0, 0), (0, 0)), use_bias=False)
    shapes = jax.eval_shape(unpadded.init_with_output, jax.random.key(0), x)
    assert shapes[0].shape == (2, 7, 5, 6)
    assert list(shapes[1]["params"]) == ["kernel"]


def test_layer_computes_in_its_dtype_with_float32_parameters():
    x = np.ones((1, 4, 4, 2), np.float32)
    y, variables = Conv(3, (3, 3), dtype="bfloat16").init_with_output(jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}


def test_initial_kernels_are_he_normal():
    """Variance 2 / (kh · kw · Cin): He et al. 2015, Delving Deep into Rectifiers, equation 10. Not cut off."""
    x = np.zeros((1, 4, 4, 32), np.float32)
    kernel = np.asarray(Conv(256, (3, 3)).init(jax.random.key(0), x)["params"]["kernel"], np.float64)
    sigma = np.sqrt(2 / (3 * 3 * 32))
    n = kernel.size
    assert abs(kernel.mean()) < 5 * sigma / np.sqrt(n)
    assert abs(kernel.var() / sigma**2 - 1) < 5 * np.sqrt(2 / n)
    assert np.abs(kernel).max() > 3 * sigma


def slow_gradients(x, kernel, dy, strides, padding):
    """Of input and kernel, by loops, in float64."""
    wide = np.pad(x, ((0, 0), *padding, (0, 0)))
    dx, dk = np.zeros_like(wide), np.zeros_like(kernel)
    for i, j, a, b in np.ndindex(*kernel.shape[:2], *dy.shape[1:3]):
        place = (slice(None), a * strides[0] + i, b * strides[1] + j)
        dx[place] += dy[:, a, b] @ kernel[i, j].T
        dk[i, j] += wide[place].T @ dy[:, a, b]
    (top, _), (left, _) = padding
    return dx[:, top : top + x.shape[1], left : left + x.shape[2]], dk


@pytest.mark.parametrize("form", ["canonical", "onednn"])
@pytest.mark.parametrize(
    ("shape", "kernel_shape", "strides", "padding"),
    [
        pytest.param((8, 8, 8, 16), (3, 3, 16, 16), (1, 1), ((1, 1), (1, 1)), id="usual"),
        pytest.param((8, 8, 8, 16), (3, 3, 16, 32), (2, 2), ((1, 1), (1, 1)), id="strided"),
        pytest.param((8, 8, 8, 16), (1, 1, 16, 32), (2, 2), ((0, 0), (0, 0)), id="projection"),
        pytest.param((8, 7, 7, 16), (3, 3, 16, 2), (1, 1), ((5, 1), (6, 1)), id="padded beyond the kernel on one side"),
        pytest.param((8, 3, 2, 16), (3, 3, 16, 2), (3, 3), ((5, 1), (6, 1)), id="the same with strides"),
        pytest.param((8, 9, 3, 16), (2, 2, 16, 16), (2, 3), ((6, 6), (3, 0)), id="and with others"),
        pytest.param((64, 20, 20, 16), (3, 3, 16, 8), (1, 1), ((1, 1), (1, 1)), id="in pieces"),
    ],
)
def test_gradients_as_training_compiles_them(form, shape, kernel_shape, strides, padding):
    """Optimised, and with the options of `cnnjax.train.compiler`, unlike the other tests; against loops in NumPy."""
    rng = np.random.default_rng(6)
    x, kernel = rng.standard_normal(shape), rng.standard_normal(kernel_shape)
    options = {**compiler.options("cpu"), "xla_backend_optimization_level": 3}
    convolution = functools.partial(conv2d, strides=strides, padding=padding, form=form)
    output = jax.eval_shape(convolution, x, kernel).shape
    dy = rng.standard_normal(output)
    pull = jax.jit(lambda x, kernel, dy: jax.vjp(convolution, x, kernel)[1](dy), compiler_options=options)
    found = pull(*(each.astype(np.float32) for each in (x, kernel, dy)))
    for ours, expected in zip(found, slow_gradients(x, kernel, dy, strides, padding), strict=True):
        np.testing.assert_allclose(ours, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("form", ["canonical", "onednn"])
def test_gradients_of_an_empty_result_are_zero(form):
    x, kernel = jnp.ones((2, 2, 2, 3)), jnp.ones((5, 5, 3, 2))
    total = lambda x, kernel: conv2d(x, kernel, (2, 2), form=form).sum()  # noqa: E731
    for found, like in zip(jax.jit(jax.grad(total, (0, 1)))(x, kernel), (x, kernel), strict=True):
        np.testing.assert_array_equal(found, np.zeros(like.shape))


@pytest.mark.parametrize("form", ["canonical", "onednn", "plain"])
def test_channels_that_do_not_fit_are_an_error_and_no_end_of_the_process(form):
    with pytest.raises(ValueError, match="feature"):
        conv2d(jnp.ones((1, 5, 5, 3)), jnp.ones((3, 3, 2, 2)), form=form)


def test_an_unknown_form():
    with pytest.raises(errors.UserError, match="unknown form 'one-dnn'"):
        conv2d(jnp.ones((1, 5, 5, 3)), jnp.ones((3, 3, 3, 2)), form="one-dnn")
