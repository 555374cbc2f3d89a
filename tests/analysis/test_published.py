"""What other tools' published tables say of the same networks, each by the tool's own rule.

All of them count a multiply-accumulate (MAC) as one operation. None of the numbers comes from this package.
"""

import pytest

from cnnjax import models
from cnnjax.analysis import cost

B = {"shortcut": "B"}
MIDDLE = {"stride_on": "3x3"}
ALONE = {"auxiliary": "none"}

# Network, its fields, and what is published of it; `None`: the table does not have it.
# - torchvision 0.29.1, `_ops` of its weights, 10⁹: MACs of convolutions and matrix products.
# - timm's table of benchmarks, made with fvcore, 10⁹: MACs, and two operations a value of batch normalisation in evaluation.
# - The same table's "activations", 10⁶: values that convolutions and matrix products put out.
# - README of ptflops, 10⁹: MACs, biases, two operations a value of batch normalisation, one a value that a ReLU puts out, one a
#   value that a pool takes in. Sigmoids, gates and sums are none.
TABLES = {
    "alexnet_owt": ({}, 0.714, None, None, 0.72),
    "vgg11": ({}, 7.609, 7.61, 7.44, 7.63),
    "vgg13": ({}, 11.308, 11.31, 12.25, 11.34),
    "vgg16": ({}, 15.470, 15.47, 13.56, 15.5),
    "vgg19": ({}, 19.632, 19.63, 14.86, 19.67),
    "vgg11_bn": ({}, None, None, None, 7.64),
    "vgg13_bn": ({}, None, None, None, 11.36),
    "vgg16_bn": ({}, None, None, None, 15.53),
    "vgg19_bn": ({}, None, None, None, 19.7),
    "googlenet_3x3": (ALONE, 1.498, None, None, None),
    "bn_inception_port": ({}, None, None, None, 2.05),
    "inception_v3": ({"auxiliary": False}, 5.713, 5.73, 8.97, 5.73),
    "inception_v4": ({}, None, 12.28, 15.09, 12.31),
    "inception_resnet_v2": ({}, None, 13.18, 25.06, 13.22),
    "xception": ({}, None, 8.40, 35.83, 8.42),
    "resnet18": (B, 1.814, 1.82, 2.48, 1.82),
    "resnet34": (B, 3.664, 3.67, 3.74, 3.68),
    "resnet50": (MIDDLE, 4.089, 4.11, 11.11, 4.12),
    "resnet101": (MIDDLE, 7.801, 7.83, 16.23, 7.85),
    "resnet152": (MIDDLE, 11.514, 11.56, 22.56, 11.58),
    "seresnet18": ({}, None, 1.82, 2.49, None),
    "seresnet50": ({}, None, 3.88, 10.60, 3.9),
    "seresnet101": ({}, None, 7.61, 15.74, 7.63),
    "seresnet152": ({}, None, 11.33, 22.08, 11.37),
    "senet154": ({}, None, 20.77, 38.69, 20.82),
}
FUNCTIONS = ("inception_v3",)
"""Networks whose ReLUs and pools are no modules in PyTorch: ptflops' table was made without seeing such."""
QUICK = [name for name in TABLES if name.startswith("vgg")] + [
    "alexnet_owt",
    "resnet18",
    "resnet50",
    "seresnet18",
    "xception",
]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in TABLES]
)
def test_costs_are_those_of_published_tables(name):
    fields, *published = TABLES[name]
    model = models.create(name, **fields)
    shape = (1, *model.input_shape)

    def total(count):
        return sum(cost.by_layer(model, shape, count).values())

    macs, values = total(cost.products), total(cost.outputs)
    rules = {kind: least for kind, (least, _) in cost.by_rules(model, shape).items()}
    normalised = rules["batch normalisation"] // 4
    # A convolution and a matrix product of n inputs are 2 n - 1 operations a value by these rules, and one more with a bias.
    biases = rules["convolutions"] + rules["matrix products"] - 2 * macs + values
    pooled = total(lambda equation: equation.invars[0].aval.size if cost.pools(equation) else 0)
    modules = 0 if name in FUNCTIONS else biases + rules["ReLU"] + pooled
    fvcore = macs + 2 * normalised
    found = round(macs / 1e9, 3), round(fvcore / 1e9, 2), round(values / 1e6, 2), round((fvcore + modules) / 1e9, 2)
    expected = zip(found, published, strict=True)
    assert published == [ours if theirs is not None else None for ours, theirs in expected]
