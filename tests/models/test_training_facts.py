"""What the papers say of training, and no output in evaluation shows: where values are dropped, and how parameters start."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from cnnjax import models

DROPPED = {
    "alexnet": [(4096,), (4096,)],  # Krizhevsky et al. 2012, §4.2: the first two fully connected layers
    "alexnet_owt": [(9216,), (4096,)],  # torchvision: before each of them
    "zfnet": [(4096,), (4096,)],  # Zeiler & Fergus 2013, §3: layers 6 and 7
    "vgg16": [(4096,), (4096,)],  # Simonyan & Zisserman 2014, §3.1: the first two
    "vgg16_bn": [(4096,), (4096,)],
    "spp_zf5": [(4096,), (4096,)],  # He et al. 2014, §3.1.1
    "nin_cifar10": [(16, 16, 96), (8, 8, 192)],  # Lin et al. 2013, §4.1: the outputs of all mlpconv layers but the last
    "googlenet": [(1024,), (1024,), (1024,)],  # Szegedy et al. 2014, Table 1 and §5: two auxiliary heads, and the end
    "bn_inception": [],  # Ioffe & Szegedy 2015, §4.2.1: removed
    "inception_v3": [(2048,)],
    "inception_v4": [(1536,)],  # Szegedy et al. 2016, Fig. 9
    "inception_resnet_v2": [(1536,)],
    "xception": [(2048,)],  # Chollet 2016, §4.4
    "resnet50": [],  # He et al. 2015, §3.4
    "seresnet50": [],
    "senet154": [(2048,)],  # Hu et al. 2017, appendix
    "darknet19": [],
    "cifarnet": [],
    "lenet5": [],
    "lenet_mnist": [(512,)],
    "fashion_cnn": [(128,), (64,)],  # Géron 2019, chapter 14
}
RATES = {
    "googlenet": (0.4, 0.7),
    "inception_v3": (0.2,),
    "inception_v4": (0.2,),
    "inception_resnet_v2": (0.2,),
    "senet154": (0.2,),
}
"""Where they are not one half: at the end, and in auxiliary heads."""


def equations(jaxpr):
    """Those of a traced program, and of all programs in it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in core.jaxprs_in_params(equation.params):
            yield from equations(inner)


DEEP = ("inception", "bn_inception", "xception", "resnet", "seresnet", "senet")


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=pytest.mark.slow if each.startswith(DEEP) else ()) for each in sorted(DROPPED)],
)
def test_what_is_dropped(name):
    model = models.create(name)
    images = jax.ShapeDtypeStruct((2, *model.input_shape), "float32")
    variables = jax.eval_shape(model.init, jax.random.key(0), images)

    def train(variables, images):
        return model.apply(variables, images, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)})

    traced = jax.make_jaxpr(train)(variables, images)
    masks = [each.params["shape"] for each in equations(traced.jaxpr) if each.primitive.name == "random_bits"]
    assert sorted(masks) == sorted((2, *shape) for shape in DROPPED[name])
    if DROPPED[name]:
        rates = RATES.get(name, (0.5,))
        assert model.dropout == rates[0]
        assert getattr(model, "auxiliary_dropout", rates[-1]) == rates[-1]


@functools.cache
def started(name, side, **fields):
    model = models.create(name, num_classes=1000, **fields)
    images = jnp.zeros((1, side, side, model.input_shape[2]))
    return jax.tree.map(np.asarray, jax.jit(model.init)(jax.random.key(0), images)["params"])


def test_alexnet_starts_as_in_section_5():
    """N(0, 0.01²); biases of one in the second, fourth, fifth convolution and the hidden layers, and zero elsewhere."""
    for name, layer in started("alexnet", 99).items():
        np.testing.assert_allclose(layer["kernel"].std(), 0.01, rtol=0.02)
        assert abs(layer["kernel"].mean()) < 1e-3
        assert set(layer["bias"].tolist()) == {1.0 if name in ("conv2", "conv4", "conv5", "fc6", "fc7") else 0.0}


@pytest.mark.parametrize(("name", "side"), [("zfnet", 64), ("vgg11", 32)])
def test_gaussians_and_biases_of_zero(name, side):
    """Zeiler & Fergus 2013, §3 (10⁻²); Simonyan & Zisserman 2014, §3.1."""
    for layer in started(name, side).values():
        np.testing.assert_allclose(layer["kernel"].std(), 0.01, rtol=0.05)
        assert not layer["bias"].any()


def test_lenet_starts_within_its_fan_in():
    """LeCun et al. 1998, appendix A: ±2.4 / fan-in, that of a map of C3 being 25 for each map it sees."""
    params = started("lenet5", 32)
    for name, fan in (("conv1", 25), ("conv5", 400), ("fc6", 120)):
        largest = np.abs(params[name]["kernel"]).max()
        assert 0.9 * 2.4 / fan < largest <= 2.4 / fan
    maps = np.split(params["conv3"]["kernel"].reshape(25, -1), np.cumsum([3] * 6 + [4] * 9), axis=1)
    for weights in maps:
        fan = weights.size
        assert 0.9 * 2.4 / fan < np.abs(weights).max() <= 2.4 / fan


def test_residual_networks_start_with_hes_variance():
    """He et al. 2015, §3.4: the initialisation of *Delving Deep into Rectifiers*; a normalisation starts as the identity."""
    params = started("resnet18", 32)
    for path, leaf in jax.tree.leaves_with_path(params):
        last = path[-1].key
        if last == "kernel" and leaf.ndim == 4:
            np.testing.assert_allclose(leaf.std(), math.sqrt(2 / np.prod(leaf.shape[:-1])), rtol=0.05)
        assert last == "kernel" or set(np.unique(leaf)) == {1.0 if last == "scale" else 0.0}
