"""Projections to pixels, against the paper's procedure written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import deconvnet, features
from cnnjax.nn.network import Network
from cnnjax.nn.rows import GlobalPool, SqueezeExcite


@pytest.fixture(scope="module")
def network():
    """Two convolutions with strides, an overlapping pool, local normalisation, and a third convolution."""
    model = models.create("alexnet", width_factor=1 / 32, num_classes=3)
    images = jax.random.normal(jax.random.key(1), (2, 99, 99, 3))
    variables = model.init(jax.random.key(0), images)
    # Biases that let some units through and not others, and kernels whose signals do not vanish.
    variables = jax.tree.map(lambda leaf: 3 * leaf + 0.01 * (leaf.ndim == 1), variables)
    return model, variables, images


def convolve(x, kernel, bias, stride, pad, groups=1):
    """``[H, W, C]``, slowly."""
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    size, each, out = kernel.shape[0], kernel.shape[2], kernel.shape[3] // groups
    side = (x.shape[0] - size) // stride + 1
    y = np.zeros((side, side, kernel.shape[3]))
    for i in range(side):
        for j in range(side):
            window = x[i * stride : i * stride + size, j * stride : j * stride + size]
            for group in range(groups):
                part = window[..., group * each : (group + 1) * each]
                maps = slice(group * out, (group + 1) * out)
                y[i, j, maps] = np.tensordot(part, kernel[..., maps], 3)
    return y + bias


def transposed(y, kernel, stride, pad, shape, groups=1):
    """Each value writes its filter where it looked."""
    x = np.zeros((shape[0] + 2 * pad, shape[1] + 2 * pad, shape[2]))
    size, each, out = kernel.shape[0], kernel.shape[2], kernel.shape[3] // groups
    for i, j, channel in np.argwhere(y):
        group = channel // out
        at = x[i * stride : i * stride + size, j * stride : j * stride + size, group * each : (group + 1) * each]
        at += y[i, j, channel] * kernel[..., channel]
    return x[pad : pad + shape[0], pad : pad + shape[1]]


def pooled(x):
    """Maxima of 3 × 3 every two places, and where they were: the first, row by row."""
    side = (x.shape[0] - 3) // 2 + 1
    y, switches = np.zeros((side, side, x.shape[2])), np.zeros((side, side, x.shape[2], 2), int)
    for i in range(side):
        for j in range(side):
            window = x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].reshape(9, -1)
            y[i, j] = window.max(0)
            switches[i, j] = np.stack([2 * i + window.argmax(0) // 3, 2 * j + window.argmax(0) % 3], -1)
    return y, switches


def unpooled(y, switches, shape):
    x = np.zeros(shape)
    for i, j, channel in np.argwhere(y):
        x[(*switches[i, j, channel], channel)] += y[i, j, channel]
    return x


def normalised(x):
    squares = np.pad(x**2, ((0, 0), (0, 0), (2, 2)))
    return x / (2 + 1e-4 * sum(squares[..., each : each + x.shape[2]] for each in range(5))) ** 0.75


RULES = {
    "deconvnet": lambda down, up: np.maximum(down, 0),
    "guided": lambda down, up: np.maximum(down, 0) * (up > 0),
}


@pytest.mark.parametrize("method", RULES)
def test_as_the_paper_says(network, method):
    """AlexNet's first two layers: convolution, rectifier, normalisation, pool, convolution in two groups, rectifier."""
    model, variables, images = network
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    got, activations, places = deconvnet.project(model, variables, images, "conv2", 3, method=method)
    assert got.shape == images.shape
    for number, image in enumerate(np.asarray(images, np.float64)):
        first = convolve(image, params["conv1"]["kernel"], params["conv1"]["bias"], 4, 0)
        rectified = np.maximum(first, 0)
        small, switches = pooled(normalised(rectified))
        second = convolve(small, params["conv2"]["kernel"], params["conv2"]["bias"], 1, 2, groups=2)
        feature = np.maximum(second, 0)[..., 3]
        place = np.unravel_index(feature.argmax(), feature.shape)
        assert tuple(places[number]) == place
        assert feature[place] > 0
        np.testing.assert_allclose(activations[number], feature[place], rtol=1e-4)
        alone = np.zeros_like(second)
        alone[(*place, 3)] = feature[place]
        down = RULES[method](alone, second)
        down = transposed(down, params["conv2"]["kernel"], 1, 2, small.shape, groups=2)
        down = RULES[method](unpooled(down, switches, first.shape), first)  # the normalisation is skipped
        expected = transposed(down, params["conv1"]["kernel"], 4, 0, image.shape)
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(got[number], expected, atol=2e-5 * np.abs(expected).max())


class Gated(Network):
    """Images of eight channels times their gates."""

    def table(self):
        return (SqueezeExcite(ratio=1), GlobalPool())


@pytest.mark.parametrize("method", RULES)
def test_what_comes_down_to_gates_goes_both_ways(method):
    """By hand: d · gates to the maps, and Σ d·x · gates′ through both layers of the gates, spread over the mean's places."""
    model, channel = Gated(num_classes=8), 2
    images = jax.random.normal(jax.random.key(1), (1, 3, 4, 8))
    variables = jax.tree.map(lambda leaf: 2 * leaf, model.init(jax.random.key(3), images))
    got, [activation], [place] = deconvnet.project(model, variables, images, "squeeze_excite", channel, method=method)
    reduce, expand = (variables["params"]["squeeze_excite"][name] for name in ("reduce", "expand"))
    image = np.asarray(images[0], np.float64)
    squeezed = image.mean((0, 1)) @ reduce["kernel"] + reduce["bias"]
    gates = 1 / (1 + np.exp(-(np.maximum(squeezed, 0) @ expand["kernel"] + expand["bias"])))
    down = np.zeros_like(image)
    down[(*place, channel)] = activation
    through = RULES[method](expand["kernel"] @ ((down * image).sum((0, 1)) * gates * (1 - gates)), squeezed)
    spread = reduce["kernel"] @ through / image[..., 0].size
    assert np.abs(spread).max() > 1e-3
    np.testing.assert_allclose(got[0], down * gates + spread, rtol=1e-4, atol=1e-6)
    assert ((squeezed <= 0) & (through != 0)).any() == (method == "deconvnet")


def test_saliency_is_the_gradient(network):
    model, variables, images = network
    got, activations, places = deconvnet.project(model, variables, images, "conv3", 1, (2, 1), "saliency")
    unit = lambda images: model.apply(variables, images)[1]["conv3"][:, 2, 1, 1].sum()  # noqa: E731
    expected = jax.grad(unit)(images) * np.asarray(activations)[:, None, None, None]
    np.testing.assert_allclose(got, expected, atol=1e-5 * float(jnp.abs(expected).max()))
    assert places.tolist() == [[2, 1], [2, 1]]


def test_of_a_negative_logit_what_raises_it_is_shown(network):
    model, variables, images = network
    values = model.apply(variables, images)[0]
    channel = int(values[0].argmin())
    assert values[0, channel] < 0
    got, activations, _ = deconvnet.project(model, variables, images, "fc8", channel, method="saliency")
    np.testing.assert_allclose(activations, values[:, channel], rtol=1e-5)
    gradient = jax.grad(lambda images: model.apply(variables, images)[0][:, channel].sum())(images)
    expected = gradient * np.abs(activations)[:, None, None, None]
    np.testing.assert_allclose(got, expected, atol=1e-5 * float(jnp.abs(expected).max()))


def test_without_rectifiers_all_methods_are_one():
    """On a linear network there is nothing to rectify."""
    model = models.create("vgg11", width_factor=1 / 64, num_classes=3, activation="identity")
    images = jax.random.normal(jax.random.key(1), (1, 32, 32, 3))
    variables = model.init(jax.random.key(0), images)
    found = [deconvnet.project(model, variables, images, "conv3_2", 0, (1, 1), each)[0] for each in deconvnet.METHODS]
    assert np.abs(found[0]).max() > 0
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["resnet20", "googlenet_cifar", "seresnet18"])
def test_every_kind_of_network_has_projections(name):
    """Normalised, scanned, branched: what comes down stays in the window of the feature."""
    from cnnjax.analysis import receptive_field

    model = models.create(name, width_factor=0.25) if name != "resnet20" else models.create(name, width=8)
    shape = (1, *model.input_shape)
    images = jax.random.normal(jax.random.key(1), shape)
    variables = model.init(jax.random.key(0), images)
    tap = {"resnet20": "stage1/block2", "googlenet_cifar": "inception_3a", "seresnet18": "conv1"}[name]
    found, _, places = deconvnet.project(model, variables, images, tap, 0)
    field = receptive_field.fields(model, shape)[tap]
    (top, bottom), (left, right) = field.window(*map(int, places[0]))
    inside = np.zeros(shape[1:3], bool)
    inside[max(top, 0) : bottom, max(left, 0) : right] = True
    assert np.abs(found[0, inside]).max() > 0
    assert np.abs(found[0, ~inside]).max(initial=0) == 0


def test_each_image_at_a_place_of_its_own(network):
    model, variables, images = network
    found, activations, places = deconvnet.project(model, variables, images, "conv2", 3, np.array([[1, 2], [4, 0]]))
    assert places.tolist() == [[1, 2], [4, 0]]
    for number, place in enumerate([(1, 2), (4, 0)]):
        alone = deconvnet.project(model, variables, images, "conv2", 3, place)
        np.testing.assert_allclose(found[number], alone[0][number], rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(activations[number], alone[1][number], rtol=1e-4)
    assert activations.min() >= 0
    assert activations.max() > 0


def test_reconstructions_are_of_the_rows(network):
    model, variables, images = network
    rows = features.strongest(model, variables, [images], "conv2", [5, 3], 2).iloc[[3, 0, 1, 2]]
    found = deconvnet.reconstructions(model, variables, images, rows, "conv2")
    for projection, row in zip(found, rows.itertuples(), strict=True):
        expected = deconvnet.project(model, variables, images, "conv2", row.channel)[0][row.image]
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(projection, expected, atol=1e-5 * np.abs(expected).max())


def test_evolution_takes_the_strongest_image_of_each_state(network):
    """Of a network and one whose image is upside down for it."""
    model, variables, images = network
    batches = [images[:1], images[1:]]
    other = jax.tree.map(lambda leaf: -leaf, variables)
    found = deconvnet.evolution(model, [(10, variables), (30, other)], batches, "conv1", [2, 0])
    assert {step: list(features) for step, features in found.items()} == {10: [2, 0], 30: [2, 0]}
    for step, state in ((10, variables), (30, other)):
        for channel, projection in found[step].items():
            back, activations, _ = deconvnet.project(model, state, images, "conv1", channel)
            np.testing.assert_allclose(projection, back[activations.argmax()], rtol=1e-4, atol=1e-7)
            assert np.abs(back[0] - back[1]).max() > 1e-3


def test_what_cannot_be_projected(network):
    model, variables, images = network
    for arguments, message in (
        (("conv9", 0), "unknown tap 'conv9'; did you mean conv"),
        (("conv1", 4), "conv1 has no feature 4; they are numbered 0 to 3"),
        (("conv1", 0, (99, 0)), r"conv1 has no place \(99, 0\): its map is 23×23"),
        (("fc6", 0, (0, 1)), r"fc6 has no place \(0, 1\): its map is 1×1"),
        (("conv1", 0, np.array([[0, 0], [-1, 3]])), r"conv1 has no place \(-1, 3\): its map is 23×23"),
        (("conv1", 0, None, "deconv"), "unknown method 'deconv'; did you mean deconvnet"),
    ):
        with pytest.raises(errors.UserError, match=message):
            deconvnet.project(model, variables, images, *arguments)


def test_what_training_keeps_changes_no_projection():
    """Blocks that are computed again in the backward pass are programs within the program: their rectifiers count too."""
    images = jax.random.normal(jax.random.key(1), (1, 8, 8, 1))
    found = []
    for keep in ("all", "convolutions", "blocks"):
        model = models.create("resnet_cifar", depth=8, width=4, keep=keep)
        variables = model.init(jax.random.key(0), images)
        found.append(deconvnet.project(model, variables, images, "stage3", 0)[0])
    assert np.ptp(found[0]) > 0
    for each in found[1:]:
        np.testing.assert_allclose(each, found[0], rtol=1e-5, atol=1e-6)
