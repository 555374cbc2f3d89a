"""Recipes: load, override, parse, digest, durations."""

import copy
import json
import pathlib
import textwrap

import ml_collections
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import config_dict

from cnnjax import config as configs
from cnnjax import errors

VALUES = {
    "seed": 0,
    "duration": "64 steps",
    "model": {"name": "resnet_cifar", "depth": 20, "scan": True, "inner": {"rate": 0.1}},
    "optimizer": {"decay_multipliers": (("kernel$", 1.0), ("bias$", 0.0))},
    "execution": {"devices": 0, "checkpoint": {"at": ()}},
}


def make():
    config = ml_collections.ConfigDict(copy.deepcopy(VALUES))
    config.execution.data_dir = config_dict.placeholder(str)
    return config.lock()


ANOTHER = {str: "another", int: 7, float: 0.25, bool: False, tuple: (("x", 2.0),)}


def others():
    """For each leaf, a value of its type that it does not have."""
    config = make()
    for key in configs.flatten(config):
        *groups, name = key.split(".")
        node = config
        for group in groups:
            node = node[group]
        yield key, ANOTHER[node.get_type(name)]


# override


@pytest.mark.parametrize(("key", "value"), list(others()), ids=str)
def test_an_override_changes_one_leaf_of_a_copy(key, value):
    base = make()
    before = configs.flatten(base)
    changed = configs.override(base, {key: value})
    assert configs.flatten(changed) == {**before, key: value}
    assert configs.flatten(base) == before
    assert configs.flatten(base) == configs.flatten(make())
    assert changed.is_locked
    assert base.is_locked


def test_copies_share_no_group():
    base = make()
    one = configs.override(base, {})
    other = configs.override(one, {"model.inner.rate": 0.5})
    with other.unlocked():
        other.model.inner.rate = 9.0
        other.execution.data_dir = "elsewhere"
    assert (base.model.inner.rate, one.model.inner.rate) == (0.1, 0.1)
    assert (base.execution.data_dir, one.execution.data_dir) == (None, None)


def test_a_changed_group_stays_locked():
    config = configs.override(make(), {"model.depth": 32})
    with pytest.raises(AttributeError, match="locked"):
        config.model.dept = 3


def test_the_two_conversions():
    config = configs.override(make(), {"model.inner.rate": 1, "optimizer.decay_multipliers": [("", 1.0)]})
    assert config.model.inner.rate == 1.0
    assert type(config.model.inner.rate) is float
    assert config.optimizer.decay_multipliers == (("", 1.0),)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("model.depth", 20.0, "int"),
        ("model.depth", "20", "int"),
        ("model.depth", True, "int"),
        ("model.depth", None, "int"),
        ("model.inner.rate", True, "float"),
        ("model.inner.rate", "0.1", "float"),
        ("model.scan", 1, "bool"),
        ("model.scan", "true", "bool"),
        ("model.name", 3, "str"),
        ("execution.data_dir", 3, "str"),
        ("execution.checkpoint.at", "1 epochs", "tuple"),
        ("execution.checkpoint.at", {"a": 1}, "tuple"),
    ],
)
def test_another_type_is_refused(key, value, expected):
    with pytest.raises(errors.UserError) as caught:
        configs.override(make(), {key: value})
    assert str(caught.value) == f"config.{key} is of type {expected}, not {value!r}"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("model.dept", r"unknown setting 'config.model.dept'; did you mean config.model.depth"),
        ("modle.depth", r"unknown setting 'config.modle.depth'; did you mean config.model.depth"),
        ("depth", r"unknown setting 'config.depth'; did you mean config.model.depth"),
        ("model.depth.n", r"unknown setting 'config.model.depth.n'; did you mean config.model.depth"),
        ("qqqqqqq", r"unknown setting 'config.qqqqqqq'; available: config.duration, .*, config.seed"),
        ("", r"unknown setting 'config.'"),
        ("model.", r"unknown setting 'config.model.'"),
        ("model.inner", r"config.model.inner is a group; set one of config.model.inner.rate$"),
        ("execution", r"config.execution is a group; set one of .*config.execution.checkpoint.at"),
    ],
)
def test_a_key_that_is_no_leaf_is_refused(key, message):
    with pytest.raises(errors.UserError, match=message):
        configs.override(make(), {key: 3})
    if key:  # no command line has an empty one
        with pytest.raises(errors.UserError, match=message):
            configs.parse(make(), [f"--config.{key}=3"])


def test_a_placeholder_is_none_until_it_is_set():
    config = make()
    assert config.execution.data_dir is None
    assert configs.flatten(config)["execution.data_dir"] is None
    assert configs.override(config, {"seed": 1}).execution.data_dir is None
    assert configs.override(config, {"execution.data_dir": "/data"}).execution.data_dir == "/data"
    assert configs.override(config, configs.parse(config, ["--config.execution.data_dir=7"])).execution.data_dir == "7"
    assert config.execution.data_dir is None


# parse


@given(
    st.fixed_dictionaries(
        {
            "seed": st.integers(),
            "duration": st.text(),
            "model.inner.rate": st.floats(allow_nan=False, allow_infinity=False),
            "model.scan": st.booleans(),
            "optimizer.decay_multipliers": st.lists(st.tuples(st.text(), st.floats(0, 9)), max_size=3).map(tuple),
            "execution.checkpoint.at": st.lists(st.text(), max_size=3).map(tuple),
            "execution.data_dir": st.text(),
        }
    )
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_is_written_is_read_back(values):
    arguments = [f"--config.{key}={value}" for key, value in values.items()]
    overrides = configs.parse(make(), arguments)
    assert overrides == values
    found = configs.flatten(configs.override(make(), overrides))
    assert {key: found[key] for key in values} == values


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("false", False), ("True", True), ("False", False)],
)
def test_booleans_are_written_in_either_case(text, value):
    assert configs.parse(make(), [f"--config.model.scan={text}"]) == {"model.scan": value}


def test_numbers_as_people_write_them():
    arguments = ["--config.model.inner.rate=1e-4", "--config.seed=-3", "--config.duration=2 epochs"]
    assert configs.parse(make(), arguments) == {"model.inner.rate": 1e-4, "seed": -3, "duration": "2 epochs"}
    config = configs.override(make(), configs.parse(make(), ["--config.model.inner.rate=1"]))
    assert type(config.model.inner.rate) is float


@pytest.mark.parametrize(
    "argument", ["model.depth=3", "--model.depth=3", "--config.model.depth", "--config.=3", "3", ""]
)
def test_an_argument_of_another_form(argument):
    with pytest.raises(errors.UserError, match=r"unknown argument .*; a setting is written --config.key.name=value"):
        configs.parse(make(), [argument])


@pytest.mark.parametrize(
    "text", ["", "x", "2 0", "[", "{[]: 1}", "os.getcwd()", "(" * 5000, "\0"], ids=lambda text: text[:8]
)
def test_text_that_is_no_value_is_refused(text):
    with pytest.raises(errors.UserError, match=r"^config.model.depth is of type int, not "):
        configs.parse(make(), [f"--config.model.depth={text}"])


@pytest.mark.parametrize("text", ["3.0", "'3'", "True", "None", "(3,)"])
def test_a_value_of_another_type_is_refused(text):
    with pytest.raises(errors.UserError, match=r"^config.model.depth is of type int, not "):
        configs.override(make(), configs.parse(make(), [f"--config.model.depth={text}"]))


# digest


def test_a_digest_is_twelve_hexadecimal_digits_of_the_contents():
    assert configs.digest(make()) == configs.digest(make())
    assert len(configs.digest(make())) == 12
    assert set(configs.digest(make())) <= set("0123456789abcdef")


@pytest.mark.parametrize(("key", "value"), list(others()), ids=str)
def test_every_setting_but_those_of_execution_changes_the_digest(key, value):
    same = configs.digest(configs.override(make(), {key: value})) == configs.digest(make())
    assert same == key.startswith("execution.")


def test_a_setting_that_came_later_is_neutral_at_its_first_value():
    before = configs.digest(make())
    for key, value in configs.NEUTRAL.items():
        group, _, name = key.partition(".")
        for asked, same in ((value, True), ("another", False)):
            later = ml_collections.ConfigDict({**VALUES, group: {**VALUES.get(group, {}), name: asked}})
            assert (configs.digest(later) == before) == (same or group == "execution")


def test_recipes_have_every_neutral_setting_at_its_first_value():
    """That of the CIFAR family, and those of the networks whose own fields came later."""
    flat = {}
    for name in ("inception_v3", "googlenet", "alexnet", "cifarnet", "nin", "resnet_cifar"):
        flat |= configs.flatten(configs.load(pathlib.Path(__file__).parents[1] / "configs" / f"{name}.py"))
    assert {key: flat[key] for key in configs.NEUTRAL} == configs.NEUTRAL


def test_a_stored_configuration_is_read_back():
    """From what ``run.json`` keeps, where tuples are lists; one that was written before a setting came has its first value."""
    config = make()
    found = configs.stored(json.loads(config.to_json()))
    flat = configs.flatten(found)
    assert {key: flat[key] for key in configs.flatten(config)} == configs.flatten(config)
    assert configs.digest(found) == configs.digest(config)
    assert (found.task.mean, found.task.jitter, found.optimizer.average) == ("pixel", (), 0.0)
    assert "dropout" not in found.model
    assert found.is_locked


def test_the_order_of_keys_does_not_matter():
    def reverse(tree):
        return {key: reverse(tree[key]) if isinstance(tree[key], dict) else tree[key] for key in reversed(tree)}

    assert list(reverse(VALUES)) != list(VALUES)
    assert configs.digest(ml_collections.ConfigDict(reverse(VALUES))) == configs.digest(
        ml_collections.ConfigDict(VALUES)
    )


def test_settings_are_not_mistaken_for_each_other():
    digests = [
        configs.digest(ml_collections.ConfigDict(each))
        for each in (
            {"a": 1},
            {"a": 1.5},
            {"a": "1"},
            {"b": 1},
            {"a": {"b": 1}},
            {"a": True},
            {"a": (1,)},
            {"a": ("1",)},
        )
    ]
    assert len(set(digests)) == len(digests)


# durations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64000 steps", 64000),
        ("1 step", 1),
        ("0 steps", 0),
        ("1 epoch", 44),
        ("15 epochs", 660),
        ("7.5 epochs", 330),
        ("0.01 epochs", 0),
        (" 2  epochs ", 88),
        ("2epochs", 88),
        ("1408 examples", 44),
        ("47 examples", 1),
        ("49 examples", 2),
        ("9999999999 steps", 2**31 - 1),
        ("9" * 400 + " epochs", 2**31 - 1),
    ],
)
def test_durations_in_steps(text, expected):
    assert configs.steps(text, steps_per_epoch=44, batch_size=32) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "epochs", "-1 epochs", "5 weeks", "1e3 steps", "5 epochs 3", ".5 epochs", "5 Epochs", 5, None]
)
def test_what_is_no_duration(text):
    with pytest.raises(errors.UserError) as caught:
        configs.steps(text, 44, 32)
    assert str(caught.value) == f"a duration is written '20 epochs', '64000 steps' or '50000 examples', not {text!r}"


# load


def test_load_runs_the_file_and_locks_what_it_returns(tmp_path):
    (tmp_path / "base.py").write_text(
        textwrap.dedent("""
            import ml_collections
            def get_config():
                return ml_collections.ConfigDict({"a": 1, "b": {"c": 2.0}})
        """)
    )
    (tmp_path / "derived.py").write_text(
        textwrap.dedent("""
            import pathlib
            from cnnjax import config
            def get_config():
                return config.override(config.load(pathlib.Path(__file__).with_name("base.py")), {"b.c": 3.0})
        """)
    )
    for path in (tmp_path / "derived.py", str(tmp_path / "derived.py")):
        config = configs.load(path)
        assert configs.flatten(config) == {"a": 1, "b.c": 3.0}
        assert config.is_locked
        with pytest.raises(AttributeError, match="locked"):
            config.d = 1


def test_a_missing_file_names_the_others(tmp_path):
    (tmp_path / "resnet.py").touch()
    with pytest.raises(errors.UserError, match=r"unknown recipe '.*resnt.py'; did you mean .*resnet.py\?"):
        configs.load(tmp_path / "resnt.py")
    with pytest.raises(errors.UserError, match=r"unknown recipe '.*'; there is no recipe at all"):
        configs.load(tmp_path / "nowhere" / "resnet.py")
    with pytest.raises(errors.UserError, match="unknown recipe"):
        configs.load(tmp_path)


@pytest.mark.parametrize("text", ["", "get_config = 3", "def get_config():\n    return {'a': 1}\n"])
def test_a_file_that_is_no_recipe(tmp_path, text):
    (tmp_path / "x.py").write_text(text)
    with pytest.raises(errors.UserError, match=r"x.py: a recipe defines get_config\(\), which returns a ConfigDict"):
        configs.load(tmp_path / "x.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef get_config(:\n", ":2: SyntaxError: invalid syntax"),
        ("\nimport nothing_of_that_name\n", ":2: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def get_config():\n    return 1 / 0\n", ":2: ZeroDivisionError: division by zero"),
        ("def get_config():\n    raise ValueError('one\\ntwo')\n", ":2: ValueError: one"),
        ("assert False", ":1: AssertionError"),
        ("raise SystemExit(3)", ":1: SystemExit: 3"),
        ("import json\njson.loads('{')", ":2: JSONDecodeError: Expecting property name"),
        (
            "import ml_collections\ndef get_config():\n    return ml_collections.ConfigDict({'a': 1}).lock().b\n",
            ":3: AttributeError: ",
        ),
        ("from cnnjax import config\nconfig.load('nowhere.py')", ": unknown recipe 'nowhere.py'"),
    ],
)
def test_a_file_that_cannot_be_run(tmp_path, text, message):
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(errors.UserError) as caught:
        configs.load(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


def test_flatten_reads_plain_dictionaries_too():
    assert configs.flatten({"b": {"d": 1, "c": ()}, "a": None}) == {"a": None, "b.c": (), "b.d": 1}
    assert list(configs.flatten({"b": {"d": 1, "c": ()}, "a": None})) == ["a", "b.c", "b.d"]
