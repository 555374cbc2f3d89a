import pytest

from cnnjax import errors

NAMES = ["resnet20", "resnet32", "plain20"]


def test_the_nearest_names_come_first():
    assert (
        str(errors.unknown("model", "resnet202", NAMES))
        == "unknown model 'resnet202'; did you mean resnet20 or resnet32?"
    )


def test_everything_is_offered_where_nothing_is_near():
    assert str(errors.unknown("model", "x", NAMES)) == "unknown model 'x'; available: plain20, resnet20, resnet32"


def test_nothing_to_offer():
    assert str(errors.unknown("arm", "x", [])) == "unknown arm 'x'; there is no arm at all"


def test_a_hint_ends_the_line():
    assert str(errors.unknown("model", "x", ["a"], "try `b`")) == "unknown model 'x'; available: a; try `b`"


@pytest.mark.parametrize("name", ["a\nb", "", "é", 3])
def test_the_message_is_one_line_whatever_the_name(name):
    error = errors.unknown("model", name, iter(NAMES))
    assert isinstance(error, errors.UserError)
    assert "\n" not in str(error)
    assert repr(name) in str(error)
