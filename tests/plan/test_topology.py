"""Names of topologies."""

import pytest

from cnnjax import errors
from cnnjax.plan import topology


@pytest.fixture
def plugins(monkeypatch):
    """All plugins are there."""
    monkeypatch.setattr(topology, "_importable", lambda module: True)


@pytest.mark.parametrize(
    ("text", "platform", "shape", "chips"),
    [
        ("cpu", "cpu", (1,), 1),
        ("cpu:8", "cpu", (8,), 8),
        ("gpu", "gpu", (1, 1), 1),
        ("gpu:8", "gpu", (1, 8), 8),
        ("gpu:4x8", "gpu", (4, 8), 32),
        ("v5e:16x16", "tpu", (16, 16), 256),
        ("v4:2x2x2", "tpu", (2, 2, 2), 8),
    ],
)
def test_what_a_name_means(plugins, text, platform, shape, chips):
    found = topology.parse(text)
    assert (found.platform, found.shape, found.chips) == (platform, shape, chips)
    assert (found.chip is not None) == (platform == "tpu")


@pytest.mark.parametrize(
    "text",
    ["", "v5e", "v5e:", "v5e:2", "v5e:2x2x2", "v4:2x2", "v9:2x2", "cpu:0", "cpu:2x2", "gpu:1x1x1", "tpu:2x2", "v5e:2x"],
)
def test_an_unknown_one_lists_all(plugins, text):
    with pytest.raises(errors.UserError) as error:
        topology.parse(text)
    assert f"unknown topology {text!r}" in str(error.value)
    assert all(f"{name}:2x2" in str(error.value) for name in topology.TPUS)


@pytest.mark.parametrize(("text", "extra"), [("v5e:2x4", "tpu"), ("gpu:8", "cuda")])
def test_a_plugin_that_is_not_installed(monkeypatch, text, extra):
    monkeypatch.setattr(topology, "_importable", lambda module: False)
    with pytest.raises(errors.UserError, match=rf"not installed: pip install 'cnnjax\[{extra}\]'"):
        topology.parse(text)
    assert topology.parse("cpu").chips == 1


def test_no_module_is_no_plugin():
    assert not topology._importable("no_such_package.and_none_in_it")
    assert topology._importable("jax.numpy")
