"""Memory: the sources' worked examples, what others publish, and what the compiler says."""

import json

import flax.linen as nn
import jax
import pytest

from cnnjax import cli, errors, models
from cnnjax.analysis import cost, description, memory, sizes
from cnnjax.analysis.layers import trace
from cnnjax.analysis.memory import MIB
from cnnjax.nn.conv import Conv


class Layer(nn.Module):
    """One convolution of the sources' worked example: 200 maps of 150 × 100 from 5 × 5 windows of three channels."""

    @nn.compact
    def __call__(self, images, train=False):
        maps = Conv(200, (5, 5), padding=((2, 2), (2, 2)), use_bias=True, name="conv")(images)
        return maps, {"conv": maps}


def test_a_worked_example():
    """Géron 2019, chapter 14: 15,200 parameters, 225 million products, 12 MB an image, 1.2 GB for a hundred."""
    found = description.describe(Layer(), (150, 100, 3))
    assert (found.parameters, found.macs, found.stored) == (15_200, 225_000_000, 3_000_000)
    estimate = memory.training(found.parameters, found.stored)
    assert (estimate.total(100) - estimate.model) // 2 == 1_200_000_000
    assert memory.inference(found.parameters, found.inference).image == 4 * (3_000_000 + 150 * 100 * 3)


@pytest.mark.parametrize(
    ("name", "copies"),
    [
        ("resnet50", {"sgd": 195.0, "sgd-momentum": 292.5, "adam": 390.0}),
        ("alexnet", {"sgd": 465.1, "sgd-momentum": 697.7, "adam": 930.3}),
        ("vgg16", {"sgd": 1055.6, "sgd-momentum": 1583.4, "adam": 2111.2}),
    ],
)
def test_copies_of_the_parameters(name, copies):
    """In MiB, from parameter counts of 25,557,032, 60,965,224 and 138,357,544 by hand."""
    parameters = {"resnet50": 25_557_032, "alexnet": 60_965_224, "vgg16": 138_357_544}[name]
    alone = {"resnet50": 97.5, "alexnet": 232.6, "vgg16": 527.8}[name]
    assert memory.inference(parameters, 1).model / MIB == pytest.approx(alone, abs=0.06)
    for optimizer, expected in copies.items():
        assert memory.training(parameters, 1, optimizer).model / MIB == pytest.approx(expected, abs=0.06)
    assert memory.training(parameters, 1, "adam", "bfloat16").model == 4 * 2 * parameters


# "param memory", running statistics among it, and "feature memory" in albanie/convnet-burden, MiB for one image.
BURDEN = {
    "alexnet": (233, 3),
    "vgg16": (528, 58),
    "vgg19": (548, 63),
    "googlenet": (51, 26),
    "resnet50": (98, 103),
    "resnet101": (170, 155),
    "resnet152": (230, 219),
}


@pytest.mark.parametrize("name", BURDEN)
def test_memory_is_that_of_a_published_table(name):
    model = models.create(name)
    traced = trace(model, (1, *model.input_shape))
    statistics = sum(2 * var.aval.shape[-1] for layer, var in traced.modules if layer in traced.normalised)
    values = memory.stored(model, (1, *model.input_shape))
    if name == "alexnet":  # that one is without local response normalisation
        values = {layer: size for layer, size in values.items() if not layer.startswith("lrn")}
    numbers = sizes.known()[name].parameters + statistics, sum(values.values())
    assert tuple(round(4 * count / MIB) for count in numbers) == BURDEN[name]


def test_stored_values_of_alexnet():
    """By hand: convolutions, pools, fully connected layers; its two local normalisations are values of their own."""
    values = memory.stored(models.create("alexnet"), (2, 227, 227, 3))
    maps = {"conv1": 55 * 55 * 96, "conv2": 27 * 27 * 256, "conv3": 13 * 13 * 384, "conv4": 13 * 13 * 384}
    maps |= {"conv5": 13 * 13 * 256, "pool1": 27 * 27 * 96, "pool2": 13 * 13 * 256, "pool5": 6 * 6 * 256}
    maps |= {"lrn1": 55 * 55 * 96, "lrn2": 27 * 27 * 256, "fc6": 4096, "fc7": 4096, "fc8": 1000}
    assert values == {name: 2 * size for name, size in maps.items()}
    image = sum(size for name, size in maps.items() if not name.startswith("lrn"))
    assert round(image * 4 / MIB) == 3  # convnet-burden


def test_stored_values_of_a_residual_block():
    """Two convolutions, two normalisations and the sum; activations take their places."""
    values = memory.stored(models.create("resnet_cifar", depth=8, width=2, shortcut="A"), (1, 8, 8, 3))
    block = {name: size for name, size in values.items() if name.startswith("stage1")}
    assert block == {f"stage1/block1{layer}": 8 * 8 * 2 for layer in ("/conv1", "/norm1", "/conv2", "/norm2", "")}
    assert values["global_pool"] == 8


def test_largest_batch():
    estimate = memory.Estimate(model=100 * MIB, image=3 * MIB)
    assert estimate.largest(400 * MIB) == 100
    assert estimate.total(100) == 400 * MIB
    with pytest.raises(errors.UserError, match=r"into 102.0 MiB: the parameters .* take 100.0 MiB, and an image 3"):
        estimate.largest(102 * MIB)
    assert [memory.written(size) for size in (1000, MIB - 1, MIB)] == ["1,000 bytes", "1,048,575 bytes", "1.0 MiB"]


def test_a_line_through_measured_steps():
    """By hand: through (1, 15), (2, 18), (3, 27) the line 8 + 6 n, off by 1, -2, 1."""
    line, left = memory.fit({1: 15, 2: 18, 3: 27})
    assert line == memory.Estimate(model=8, image=6)
    assert left == pytest.approx((6 / 3) ** 0.5)
    exact, nothing = memory.fit({2: 120, 4: 140, 16: 260})
    assert (exact, round(nothing, 6)) == (memory.Estimate(100, 10), 0)
    assert exact.largest(305) == 20
    with pytest.raises(errors.UserError, match="to three different numbers of images or more, not 2"):
        memory.fit({1: 15, 2: 18})


def test_what_is_compiled_grows_with_the_images(capsys):
    """By the command line: the fit goes near the points, and its largest batch stands beside the formula's."""
    words = ["describe", "lenet5_dense", "--fit", "8,16,32", "--memory", "64MiB", "--json"]
    assert cli.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    points = {int(images): size for images, size in found["measured_bytes"].items()}
    assert list(points) == [8, 16, 32]
    model, image, left = found["fitted_model"], found["fitted_image"], found["fitted_left"]
    assert max(abs(size - model - images * image) for images, size in points.items()) < 2 * left + 1
    assert left < 0.1 * points[32]
    # Weights, gradients and momentum of 61,706 parameters, and at least the images.
    assert image > 4 * 32 * 32
    assert found["fitted_largest_batch"] == (64 * MIB - model) // image
    assert found["largest_batch"] == (64 * MIB - 12 * 61_706) // (found["training_bytes"] - 12 * 61_706)
    assert cli.main([*words[:-1]]) == 0
    printed = capsys.readouterr().out
    assert "images fit into it by what was fitted" in printed


def test_too_few_steps_are_refused_before_any_is_compiled(capsys, monkeypatch):
    monkeypatch.setattr(memory, "compiled", lambda *_: pytest.fail("compiled"))
    for command in ("describe", "lineage"):
        assert cli.main([command, "lenet5", "--fit", "8,8,16"]) == 2
        assert "three different numbers of images or more, not 2" in capsys.readouterr().err


def test_height_and_width_of_the_images(capsys):
    for written, shape in (("40", [40, 40, 1]), ("40x36", [40, 36, 1]), ("40x36x2", [40, 36, 2])):
        assert cli.main(["describe", "lenet_mnist", "--input", written, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["input"] == shape


def test_numbers_are_of_the_networks_type(capsys):
    """A network that computes in bfloat16 holds its parameters in float32; ``--dtype`` is of all numbers."""
    found = []
    for fields in ([], ["dtype=bfloat16"], ["--dtype", "bfloat16"]):
        assert cli.main(["describe", "lenet5_dense", *fields, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    parameters, values = found[0]["parameters"], found[0]["stored_values"]
    assert [each["training_bytes"] for each in found] == [
        size * 3 * parameters + other * 2 * values for size, other in ((4, 4), (4, 2), (2, 2))
    ]
    assert found[0]["inference_bytes"] == 2 * found[2]["inference_bytes"]
    assert found[1]["inference_bytes"] == found[2]["inference_bytes"] + 2 * parameters


def test_what_auxiliary_classifiers_take_is_not_in_inference(capsys):
    sizes = []
    for fields in ([], ["auxiliary=none"]):
        assert cli.main(["describe", "googlenet", *fields, "--json"]) == 0
        sizes.append(json.loads(capsys.readouterr().out)["inference_bytes"])
    assert sizes[0] == sizes[1]
    assert cli.main(["describe", "googlenet"]) == 0
    assert "FLOPs in all, auxiliary classifiers too;" in capsys.readouterr().out


def test_what_is_unknown():
    with pytest.raises(errors.UserError, match="unknown optimiser 'adm'; did you mean adam"):
        memory.training(1, 1, "adm")
    with pytest.raises(errors.UserError, match="unknown type of numbers 'float8'"):
        memory.training(1, 1, dtype="float8")
    with pytest.raises(errors.UserError, match="unknown type of numbers 'int'"):
        memory.inference(1, 1, "int")
    with pytest.raises(errors.UserError, match="unknown optimiser"):
        memory.compiled(models.create("resnet20"), (1, 32, 32, 3), "momentum")


def test_what_is_compiled():
    """Arguments by hand: parameters twice (the optimiser's too), statistics, images, labels, a key. FLOPs: about six a MAC."""
    model, batch = models.create("resnet_cifar", depth=8, width=8, shortcut="A", scan=False), 16
    found = memory.compiled(model, (batch, 32, 32, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 32, 32, 3), "float32"))
    parameters, statistics = (
        sum(leaf.size for leaf in jax.tree.leaves(variables[each])) for each in ("params", "batch_stats")
    )
    inputs = batch * 32 * 32 * 3 + batch
    assert 0 <= found.arguments - 4 * (2 * parameters + statistics + inputs) <= 4096
    assert found.total == found.arguments + found.temporary
    assert found.temporary > 0
    macs = batch * cost.forward(model, (1, 32, 32, 3))
    assert 5 * macs < found.flops < 8 * macs
