"""Sums over examples, by hand and by scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from cnnjax import errors
from cnnjax.evaluate.average_precision import average_precision, mean_average_precision
from cnnjax.evaluate.measure import Measure

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(50, 4))
SCORES = special.log_softmax(LOGITS, 1)
LABELS = RNG.integers(0, 4, 50)


def test_errors_are_scikit_learns():
    found = Measure.of(SCORES, LABELS).values((1, 2, 3, 4, 9))
    for k in (1, 2, 3):
        right = sklearn.metrics.top_k_accuracy_score(LABELS, SCORES, k=k)
        np.testing.assert_allclose(found[f"top-{k} error"], 1 - right)
    assert found["top-4 error"] == found["top-9 error"] == 0
    np.testing.assert_allclose(found["loss"], sklearn.metrics.log_loss(LABELS, np.exp(SCORES)))


def test_a_tie_is_decided_for_the_lower_number():
    """All four are equal: the label's rank is its number; class 0 is what is taken."""
    scores = np.full((4, 4), np.log(0.25))
    measure = Measure.of(scores, np.arange(4))
    np.testing.assert_array_equal(measure.ranks, [1, 1, 1, 1])
    assert measure.values((1, 2)) == pytest.approx(
        {"top-1 error": 0.75, "top-2 error": 0.5, "loss": np.log(4), "calibration error": 0.0}
    )
    np.testing.assert_array_equal(measure.confusion, [[1, 0, 0, 0]] * 4)


def test_calibration_by_hand():
    """0.9 three times, right twice: |2.7 - 2|; 0.6 once, right: 0.4; of four."""
    confidence = np.array([0.9, 0.9, 0.9, 0.6])
    scores = np.log(np.stack([confidence, 1 - confidence], 1))
    found = Measure.of(scores, np.array([0, 0, 1, 0])).values()
    assert found["calibration error"] == pytest.approx((0.7 + 0.4) / 4)


def test_classes_are_scikit_learns():
    measure = Measure.of(SCORES, LABELS)
    taken = SCORES.argmax(1)
    np.testing.assert_array_equal(measure.confusion, sklearn.metrics.confusion_matrix(LABELS, taken))
    precision, recall, _, count = sklearn.metrics.precision_recall_fscore_support(LABELS, taken)
    for each in measure.per_class():
        number = each["class"]
        assert each["count"] == count[number]
        np.testing.assert_allclose([each["precision"], each["recall"]], [precision[number], recall[number]])


def test_a_class_that_is_not_there():
    never, always = Measure.of(np.log([[0.9, 0.1]]), np.array([0])).per_class()[::-1]
    assert never == {"class": 1, "count": 0, "recall": None, "precision": None}
    assert always == {"class": 0, "count": 1, "recall": 1.0, "precision": 1.0}


@given(st.lists(st.integers(0, 50), max_size=4))
def test_parts_add_up(cuts):
    parts = np.split(np.arange(50), sorted(cuts))
    added = sum((Measure.of(SCORES[part], LABELS[part]) for part in parts), Measure.empty(4))
    assert added.count == 50
    assert added.values((1, 3)) == pytest.approx(Measure.of(SCORES, LABELS).values((1, 3)))
    np.testing.assert_array_equal(added.confusion, Measure.of(SCORES, LABELS).confusion)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(odd):
    scores = SCORES.copy()
    scores[7, LABELS[7]] = odd
    with pytest.raises(errors.UserError, match="has diverged"):
        Measure.of(scores, LABELS)


def test_nothing_to_measure():
    with pytest.raises(errors.UserError, match="no examples"):
        Measure.empty(3).values()


@given(st.integers(0, 2**31 - 1), st.integers(1, 30), st.integers(2, 30))
def test_average_precision_is_scikit_learns(seed, count, levels):
    """With few levels of score many examples tie."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (count, 3)) / levels
    targets = rng.random((count, 3)) < 0.4
    targets[0] = True
    expected = [sklearn.metrics.average_precision_score(targets[:, k], scores[:, k]) for k in range(3)]
    np.testing.assert_allclose(average_precision(scores, targets), expected)
    np.testing.assert_allclose(mean_average_precision(scores, targets), np.mean(expected))


def test_eleven_points_by_hand():
    """Right, wrong, right, wrong: precision 1 up to a recall of a half, 2/3 up to one; 6 and 5 of the 11 recalls."""
    scores = np.array([[4.0], [3.0], [2.0], [1.0]])
    targets = np.array([[1], [0], [1], [0]])
    np.testing.assert_allclose(average_precision(scores, targets, "11"), [(6 * 1 + 5 * 2 / 3) / 11])
    # Wrong first: a precision of 1/2 at a recall of one, which is the highest at any recall.
    np.testing.assert_allclose(average_precision(scores[:2], targets[:2, :] == 0, "11"), [0.5])


def test_eleven_points_take_tenths_as_they_are():
    """Ten positives, of which three come first and the others last: a recall of 0.3 is reached with a precision of one."""
    targets = np.array([[1]] * 3 + [[0]] * 10 + [[1]] * 7)
    scores = -np.arange(20.0)[:, None]
    # Recalls 0 to 0.3: one. Beyond, precision grows with every positive, to 10 of 20 at the end.
    np.testing.assert_allclose(average_precision(scores, targets, "11"), [(4 * 1 + 7 * 0.5) / 11])


def test_a_class_without_examples_has_no_average_precision():
    scores, targets = RNG.random((5, 2)), np.array([[0, 1]] * 5)
    assert np.isnan(average_precision(scores, targets)[0])
    assert mean_average_precision(scores, targets) == 1.0
    assert np.isnan(mean_average_precision(scores, targets * 0))


def test_arrays_that_do_not_belong_together():
    with pytest.raises(errors.UserError, match=r"not \(2, 3\) and \(3, 2\)"):
        average_precision(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(errors.UserError, match="unknown points of average precision '12'"):
        average_precision(np.zeros((2, 3)), np.zeros((2, 3)), "12")
