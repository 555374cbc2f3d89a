"""Experiments: a question as data."""

import pathlib
import re

import pytest

from cnnjax import errors
from cnnjax.sweep import experiment
from cnnjax.sweep.experiment import Claim, Experiment, Scale, product

DEGRADATION = pathlib.Path(__file__).parents[2] / "experiments" / "degradation.py"


def scale(**changes: object) -> Scale:
    return Scale(
        **{"config": "x.py", "arms": {"a": {}, "b": {}}, "roles": {"one": "a", "two": "b"}, "seeds": (0,), **changes}
    )


def make(claims: tuple[Claim, ...] = (), **scales: Scale) -> Experiment:
    return Experiment("?", "a paper", scales or {"digits": scale()}, claims)


def test_product_joins_names_and_merges_overrides_in_order() -> None:
    arms = product(kind={"p": {"x": 1, "y": 1}, "r": {"x": 2}}, depth={"20": {"d": 20}, "32": {"d": 32, "y": 3}})
    assert list(arms) == ["p-20", "p-32", "r-20", "r-32"]
    assert arms["p-32"] == {"x": 1, "y": 3, "d": 32}
    assert arms["r-20"] == {"x": 2, "d": 20}
    assert product() == {"": {}}


def test_first_scale_is_the_default() -> None:
    found = make(small=scale(note="s"), large=scale(note="l"))
    assert found.scale()[0] == found.scale("small")[0] == "small"
    assert found.scale("large")[1].note == "l"
    with pytest.raises(errors.UserError, match="unknown scale 'larg'; did you mean large"):
        found.scale("larg")


def test_an_arm_is_measured_for_the_claims_that_it_plays_a_role_in() -> None:
    found = make(
        (
            Claim("Two is better on the whole image.", "full/error", {"one": 1, "two": -1}),
            Claim("Two responds.", "responses/deviation", {"two": 1}),
            Claim("It responds by more than one.", "responses/deviation", {"two": 1}, above=1.0),
            Claim("One is trained better.", "train/error", {"two": 1, "one": -1}),
        ),
        digits=scale(arms={"a": {}, "b": {}, "c": {}}),
    )
    assert [found.measures("digits", arm) for arm in "abc"] == [("full",), ("full", "responses"), ()]


@pytest.mark.parametrize("roles", [{"one": "a"}, {"one": "a", "two": "c"}])
def test_claim_about_a_role_that_no_arm_plays(roles: dict[str, str]) -> None:
    claim = Claim("One beats two.", "test/error", {"one": -1, "two": 1})
    make((claim,))
    with pytest.raises(
        errors.UserError, match=r"scale 'digits' has no arm for the role 'two' of the claim 'One beats two\.'"
    ):
        make((claim,), digits=scale(roles=roles))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "-a", "a b", ".lock", "a\n", "superseded"])
def test_arm_that_is_no_folder_name(name: str) -> None:
    with pytest.raises(errors.UserError, match="the name of an arm is a folder name"):
        make(digits=scale(arms={name: {}}, roles={}))
    with pytest.raises(errors.UserError, match="the name of a scale is a folder name"):
        make(**{name: scale()})


@pytest.mark.parametrize("name", ["plain20", "lr=0.1", "a-b_c+d", "0", "superseded2"])
def test_arm_that_is(name: str) -> None:
    assert list(make(digits=scale(arms={name: {}}, roles={})).scale()[1].arms) == [name]


@pytest.mark.parametrize(("what", "message"), [("arms", "has no arms"), ("seeds", "has no seeds")])
def test_scale_with_nothing_to_run(what: str, message: str) -> None:
    with pytest.raises(errors.UserError, match=f"the scale 'digits' {message}; there is at least one"):
        make(digits=scale(**{what: {} if what == "arms" else ()}))


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1.5), (-1,), ("0",), (True,)])
def test_seeds_that_are_none(seeds: tuple[object, ...]) -> None:
    with pytest.raises(errors.UserError, match="seeds are integers from 0 on, each once"):
        make(digits=scale(seeds=seeds))


@pytest.mark.parametrize("members", [("a", "a"), "ab"])
def test_ensemble_that_is_none(members: object) -> None:
    with pytest.raises(errors.UserError, match="the ensemble 'both' is a list of arms, each once"):
        make(digits=scale(ensembles={"both": members}))


@pytest.mark.parametrize(
    ("contrast", "message"),
    [
        ({}, "gives each of its roles a number other than 0"),
        ({"one": 1, "two": 0}, "gives each of its roles a number other than 0"),
        ({"one": float("nan"), "two": 1}, "gives each of its roles a number other than 0"),
        ({"one": "1", "two": -1}, "gives each of its roles a number other than 0"),
        ({"one": 1, "two": 1}, "compares arms, so its numbers sum to 0"),
    ],
)
def test_contrast_that_compares_nothing(contrast: dict[str, float], message: str) -> None:
    with pytest.raises(errors.UserError, match=f"contrast of the claim 'So it is' {message}"):
        make((Claim("So it is", "test/error", contrast),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": 3}, "'text' of a claim is of type str, not int: 3"),
        ({"metric": None}, "'metric' of a claim is of type str, not NoneType"),
        ({"paper": None}, "'paper' of a claim is of type str"),
        ({"above": "0.1"}, "'above' of a claim is of type int or float, not str"),
        ({"above": float("inf")}, "the margin of the claim 'So it is' is a number, not inf"),
        ({"above": float("nan")}, "the margin of the claim 'So it is' is a number, not nan"),
        ({"exact": 1}, "'exact' of a claim is of type bool"),
        ({"scales": "digits"}, "'scales' of a claim is of type Sequence, not str: 'digits'"),
        ({"scales": ("digit",)}, "unknown scale of the claim 'So it is': 'digit'; did you mean digits"),
    ],
)
def test_claim_of_other_types(changes: dict[str, object], message: str) -> None:
    fields = {"text": "So it is", "metric": "test/error", "contrast": {"one": 1, "two": -1}, **changes}
    with pytest.raises(errors.UserError, match=message):
        make((Claim(**fields),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": ["a"]}, "'arms' of the scale 'digits' is of type Mapping, not list"),
        ({"arms": {"a": "model.depth=20", "b": {}}}, "the arm 'a' is overrides by key, not 'model.depth=20'"),
        ({"overrides": None}, "'overrides' of the scale 'digits' is of type Mapping, not NoneType"),
        ({"config": 3}, "'config' of the scale 'digits' is of type str, not int"),
        ({"note": None}, "'note' of the scale 'digits' is of type str"),
        ({"arms": {"report.html": {}}}, "none of a sweep's own files, not 'report.html'"),
    ],
)
def test_scale_of_other_types(changes: dict[str, object], message: str) -> None:
    with pytest.raises(errors.UserError, match=message):
        make(digits=scale(**changes))


def test_one_arm_in_two_roles_of_a_claim() -> None:
    claim = Claim("So it is", "test/error", {"one": 1, "two": -1})
    with pytest.raises(errors.UserError, match="one arm plays two roles of the claim 'So it is': a, a"):
        make((claim,), digits=scale(roles={"one": "a", "two": "a"}))
    make((Claim("So it is", "test/error", {"one": 1}, above=0.1),), digits=scale(roles={"one": "a", "two": "a"}))


def test_experiment_without_a_scale() -> None:
    with pytest.raises(errors.UserError, match="has no scales"):
        Experiment("?", "a paper", {}, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Experiment()", r":2: TypeError: .*missing 4 required positional arguments.*"),
        ("Experiment('?', 'a paper', {}, ())", ": an experiment has no scales; there is at least one"),
        ("Experiment('?', 'a paper', {'a': 3}, ())", ": the scale 'a' is a Scale, not int"),
        ("Experiment('?', None, {}, ())", ": 'source' of an experiment is of type str, not NoneType: None"),
        ("Experiment(", r":2: SyntaxError: '\(' was never closed"),
    ],
)
def test_file_that_cannot_be_run(text: str, message: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("from cnnjax.sweep.experiment import Experiment\nexperiment = " + text)
    with pytest.raises(errors.UserError) as caught:
        experiment.load(path)
    assert re.fullmatch(re.escape(str(path)) + message, str(caught.value))


def test_loaded_from_a_file(write_experiment, tmp_path: pathlib.Path) -> None:
    path = write_experiment(tmp_path)
    found = experiment.load(path)
    assert found.name == "tiny"
    assert found.path == path.resolve()
    assert list(found.scales) == ["digits", "small"]


def test_file_that_is_not_there(write_experiment, tmp_path: pathlib.Path) -> None:
    write_experiment(tmp_path)
    with pytest.raises(errors.UserError, match=r"unknown experiment file .*tinny\.py'; did you mean .*tiny\.py"):
        experiment.load(tmp_path / "tinny.py")


@pytest.mark.parametrize("text", ["", "experiment = 3", "from cnnjax.sweep.experiment import Experiment as experiment"])
def test_file_without_an_experiment(text: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "empty.py"
    path.write_text(text)
    with pytest.raises(errors.UserError, match="an experiment's file defines"):
        experiment.load(path)


def test_degradation_asks_what_the_paper_claims() -> None:
    found = experiment.load(DEGRADATION)
    name, digits = found.scale()
    assert name == "digits"
    assert list(found.scales) == ["digits", "cifar10", "imagenet"]
    assert len(digits.seeds) >= 5
    assert len(found.scales["cifar10"].seeds) >= 3
    for each in found.scales.values():
        for arm, changes in each.arms.items():
            depth = changes.get("model.depth") or changes["model.name"].removeprefix("resnet")
            assert arm == f"{'plain' if changes['model.shortcut'] == 'none' else 'residual'}{depth}"
        assert {arm for arm in each.arms if arm.startswith("plain")} == {
            arm.replace("residual", "plain") for arm in each.arms if arm.startswith("residual")
        }
    assert len(found.claims) == 5
    assert all(claim.paper and sum(claim.contrast.values()) == 0 for claim in found.claims)


def test_a_claim_of_some_scales_is_judged_there_alone() -> None:
    """And only there wants arms for its roles."""
    both = Claim("So it is", "test/error", {"one": 1, "two": -1})
    large = Claim("There too", "full/error_saved", {"three": 1, "one": -1}, scales=("large",))
    roles = {"one": "a", "two": "b", "three": "c"}
    found = make((both, large), digits=scale(), large=scale(arms={"a": {}, "b": {}, "c": {}}, roles=roles))
    assert found.claims_at("digits") == (both,)
    assert found.claims_at("large") == (both, large)
    assert (found.measures("digits", "a"), found.measures("large", "a")) == ((), ("full",))
    with pytest.raises(errors.UserError, match="scale 'digits' has no arm for the role 'three' of the claim 'All'"):
        make((Claim("All", "test/error", large.contrast),), digits=scale())
