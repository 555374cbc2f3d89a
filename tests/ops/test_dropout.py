"""Dropout: what is dropped, how often, and what is left for evaluation."""

import jax
import numpy as np
import pytest

from cnnjax import errors
from cnnjax.ops.dropout import classic_evaluation, dropout

KEY = jax.random.key(0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_so_many_are_dropped_and_the_mean_stays(rate):
    x = np.ones((200, 200), np.float32)
    y = np.asarray(dropout(KEY, x, rate))
    share = 4 * np.sqrt(rate * (1 - rate) / x.size)  # four standard errors
    assert abs((y == 0).mean() - rate) < share
    assert np.allclose(y[y != 0], 1 / (1 - rate))
    assert abs(y.mean() - 1) < share / (1 - rate)


def test_classic_dropout_scales_at_evaluation_instead():
    x = np.arange(1, 1001, dtype=np.float32)
    kept, scaled = dropout(KEY, x, 0.4, inverted=False), dropout(KEY, x, 0.4)
    assert set(np.unique(kept / x)) == {0.0, 1.0}
    np.testing.assert_allclose(classic_evaluation(scaled, 0.4), kept, rtol=1e-6)


def test_each_example_has_a_mask_of_its_own_and_noise_is_shared_where_asked():
    x = np.ones((8, 4, 4, 16), np.float32)
    independent, maps = dropout(KEY, x, 0.5), np.asarray(dropout(KEY, x, 0.5, noise_shape=(8, 1, 1, 16)))
    assert not np.array_equal(independent[0], independent[1])
    assert {float(each.std()) for each in maps.transpose(0, 3, 1, 2).reshape(-1, 16)} == {0.0}
    assert 0 < (maps == 0).mean() < 1


def test_a_rate_of_zero_changes_nothing_and_the_input_stays():
    x = np.arange(10, dtype=np.float32)
    np.testing.assert_array_equal(dropout(KEY, x, 0.0), x)
    dropout(KEY, x, 0.5)
    np.testing.assert_array_equal(x, np.arange(10))


@pytest.mark.parametrize("rate", [1.0, -0.1, 1.5])
def test_rates_that_are_none(rate):
    with pytest.raises(errors.UserError, match="at least 0 and below 1"):
        dropout(KEY, np.ones(3, np.float32), rate)
