"""Networks by name."""

import pytest

from cnnjax import errors, models
from cnnjax.models import registry
from cnnjax.models.resnet import CifarResNet


def test_a_name_stands_for_its_fields():
    assert models.create("resnet56", shortcut="B") == CifarResNet(depth=56, shortcut="B")
    assert models.create("plain32", num_classes=100) == CifarResNet(depth=32, shortcut="none", num_classes=100)
    assert models.create("resnet_cifar", depth=44, scan=True) == CifarResNet(depth=44, scan=True)


def test_fields_of_tuples():
    assert models.create("mlp_cifar10", widths=()).widths == ()
    assert models.create("lenet5_dense", maps=(2, 3)).maps == (2, 3)
    for widths in ([3], (3.0,), (3, "4"), 3):
        with pytest.raises(
            errors.UserError, match=r"widths of the model 'mlp_cifar10' is of type tuple\[int, \.\.\.\]"
        ):
            models.create("mlp_cifar10", widths=widths)
    with pytest.raises(errors.UserError, match=r"maps of the model 'lenet5_dense' is of type tuple\[int, int\], not"):
        models.create("lenet5_dense", maps=(2, 3, 4))


def test_equal_calls_give_equal_hashable_modules():
    fields = {"shortcut": "C", "width": 8, "bn_axis": "data", "bn_momentum": 0.5}
    one, other = models.create("resnet20", **fields), models.create("resnet20", **fields)
    assert one == other
    assert hash(one) == hash(other)
    assert one != models.create("resnet20", **{**fields, "width": 9})


def test_every_entry_names_its_paper_and_is_creatable():
    entries = models.entries()
    assert {"resnet_cifar", "plain_cifar", "resnet20", "plain1202"} <= set(entries)
    for name, entry in entries.items():
        assert "§" in entry.doc or "Table" in entry.doc
        module = models.create(name)
        assert {key: getattr(module, key) for key in entry.fixed} == entry.fixed
        assert {key: getattr(module, key) for key in entry.fields} == entry.fields
        assert not set(entry.fields) & {*entry.fixed, "parent", "name"}


def test_the_table_cannot_be_changed_from_outside():
    models.entries().clear()
    assert models.entries()
    with pytest.raises(ValueError, match="registered already"):
        registry.register("resnet20", CifarResNet, "again")


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("resnet21", {}, r"unknown model 'resnet21'; did you mean .*resnet20.*\?; `cnnjax models` lists them"),
        ("capsules", {}, r"unknown model 'capsules'; available: alexnet, .*zfnet_wide; `cnnjax models`"),
        ("resnet20", {"shorcut": "B"}, r"unknown field of the model 'resnet20': 'shorcut'; did you mean shortcut\?"),
        ("resnet20", {"depth": 20}, r"the model 'resnet20' fixes depth = 20; it cannot be set"),
        ("plain20", {"shortcut": "A"}, r"the model 'plain20' fixes shortcut = 'none'"),
        ("resnet20", {"width": 16.0}, r"the field width of the model 'resnet20' is of type int, not 16.0"),
        ("resnet20", {"width": True}, r"is of type int, not True"),
        ("resnet20", {"scan": 1}, r"is of type bool, not 1"),
        ("resnet20", {"bn_axis": 3}, r"is of type str or None, not 3"),
        ("resnet20", {"shortcut": "D"}, r"unknown shortcut 'D'; available: A, B, B3, C, highway, none"),
        ("resnet20", {"dtype": "float31"}, r"unknown dtype 'float31'; did you mean .*float32"),
        ("resnet20", {"bn_epsilon": 0}, r"bn_epsilon is larger than 0, not 0"),
        ("resnet20", {"bn_epsilon": float("nan")}, r"bn_epsilon is larger than 0, not nan"),
        ("resnet20", {"bn_momentum": 1.1}, r"bn_momentum lies in 0 \.\.\. 1, not 1\.1"),
        ("resnet20", {"bn_momentum": -0.1}, r"bn_momentum lies in 0 \.\.\. 1, not -0\.1"),
        ("resnet20", {"width": 0}, r"at least 1"),
        ("resnet20", {"num_classes": 0}, r"at least 1"),
        ("resnet_cifar", {"depth": 18}, r"6n \+ 2 .*, not 18; the nearest are 14 and 20"),
        ("resnet_cifar", {"depth": 55}, r", not 55; the nearest are 50 and 56"),
        ("resnet_cifar", {"depth": 2}, r", not 2; the nearest are 8 and 14"),
        ("resnet_cifar", {"depth": -4}, r", not -4; the nearest are 8 and 14"),
    ],
)
def test_what_a_user_can_get_wrong(name, fields, message):
    with pytest.raises(errors.UserError, match=message) as caught:
        models.create(name, **fields)
    assert "\n" not in str(caught.value)


def test_an_int_is_taken_for_a_float():
    assert models.create("resnet20", bn_momentum=1).bn_momentum == 1.0
    assert models.create("resnet20", bn_axis=None).bn_axis is None


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("googlenet", {"modules": "3a,6a"}, r"unknown one of modules '6a'; available: 3a, 3b, 4a, .*5b"),
        (
            "googlenet",
            {"modules": "3a,5b"},
            r"an auxiliary classifier hangs on 4a, which is not among modules \(3a,5b\)",
        ),
        ("vgg16", {"hidden": -1}, "fc6: features is at least 1, not -1"),
        ("vgg16", {"hidden": 0}, "fc6: features is at least 1, not 0"),
        ("alexnet", {"groups": 0}, "conv2: groups is at least 1, not 0"),
        ("googlenet", {"se_ratio": -1}, "squeeze_excite: ratio is at least 1, not -1"),
        ("googlenet", {"last_pool": 0}, "window is at least 1, not 0"),
        ("nin_cifar10", {"pool_padding": -1}, "pool1: padding is at least 0, not -1"),
        ("nin_cifar10", {"std": -1.0}, "conv1_1: std is at least 0, not -1.0"),
        ("nin_cifar10", {"widths": ()}, "widths names at least one mlpconv layer"),
        ("lenet5_dense", {"maps": (0, 0)}, "conv1: features is at least 1, not 0"),
        ("lenet5_dense", {"padding": -5}, "conv1: padding is at least 0, not -5"),
        ("mlp_cifar10", {"widths": (0,)}, "features is at least 1, not 0"),
        ("resnet20", {"se_ratio": 4, "se_gate": "softmax"}, "unknown gate of squeeze_excite: 'softmax'"),
        ("resnet20", {"se_ratio": 4, "se_squeeze": "sum"}, "unknown kind of squeeze_excite: 'sum'"),
        (
            "inception_resnet_v1",
            {"scales": (0.1, 0.0, 0.2)},
            r"scales are larger than 0, and finite, not \(0\.1, 0\.0, 0\.2\)",
        ),
        ("inception_resnet_v1", {"scales": (0.1, 0.2)}, r"of type tuple\[float, float, float\], not \(0\.1, 0\.2\)"),
        ("inception_resnet_v1", {"scales": 0.1}, r"of type tuple\[float, float, float\], not 0\.1"),
        ("resnet20", {"se_stages": (2, 4)}, "unknown stage of se_stages '4'; available: 1, 2, 3"),
        ("resnet50", {"se_stages": (0,)}, "unknown stage of se_stages '0'; available: 1, 2, 3, 4"),
        ("resnet20", {"conv_form": "foo"}, "unknown conv_form 'foo'"),
        ("resnet20", {"bn_group": -1}, "bn_group is at least 0, not -1"),
    ],
)
def test_sizes_that_no_layer_has(name, fields, message):
    with pytest.raises(errors.UserError, match=message):
        models.create(name, **fields).table()
