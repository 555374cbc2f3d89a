from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax.data import pipeline
from cnnjax.errors import UserError

SIZES = st.sampled_from([1, 2, 7, 64])  # few: each one compiles
EPOCHS = st.integers(0, 2**31 - 1)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31 - 1), epoch=EPOCHS, n=SIZES)
def test_an_epoch_visits_every_example_once_and_can_be_repeated(seed, epoch, n):
    order = pipeline.permutation(jax.random.key(seed), epoch, n)
    assert order.dtype == jnp.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    np.testing.assert_array_equal(order, pipeline.permutation(jax.random.key(seed), jnp.int32(epoch), n))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 2**31 - 2))
def test_epochs_and_seeds_differ(seed, epoch):
    order = pipeline.permutation(jax.random.key(seed), epoch, 64)
    assert (order != pipeline.permutation(jax.random.key(seed), epoch + 1, 64)).any()
    assert (order != pipeline.permutation(jax.random.key(seed ^ 1), epoch, 64)).any()


def test_the_batches_of_an_epoch_are_its_permutation_cut_up():
    arrays = {"image": jnp.arange(10 * 4).reshape(10, 2, 2, 1).astype(jnp.uint8), "label": jnp.arange(10) % 3}
    order = pipeline.permutation(jax.random.key(0), 5, 10)
    at = jax.jit(lambda step: pipeline.take(arrays, pipeline.batch_indices(order, step, 3)))
    batches = [at(jnp.int32(step)) for step in range(pipeline.steps_per_epoch(10, 3))]
    assert len(batches) == 3
    np.testing.assert_array_equal(np.concatenate([batch["index"] for batch in batches]), order[:9])
    for batch in batches:
        np.testing.assert_array_equal(batch["image"], arrays["image"][batch["index"]])
        np.testing.assert_array_equal(batch["label"], arrays["label"][batch["index"]])


def test_the_examples_left_over_change_with_the_epoch():
    left_over = {int(pipeline.permutation(jax.random.key(0), epoch, 10)[-1]) for epoch in range(20)}
    assert len(left_over) > 3


@pytest.mark.parametrize("batch_size", [0, -1, 11])
def test_a_batch_that_does_not_fit_is_refused(batch_size):
    with pytest.raises(UserError, match=f"batch size {batch_size} .* expected 1 to 10"):
        pipeline.steps_per_epoch(10, batch_size)


@settings(deadline=None, max_examples=25)
@given(index=st.lists(st.integers(0, 60_000), min_size=4, max_size=4, unique=True), epoch=EPOCHS)
def test_an_examples_key_does_not_depend_on_its_batch(index, epoch):
    seed = jax.random.key(3)
    keys = jax.random.key_data(pipeline.example_keys(seed, epoch, jnp.array(index)))
    backwards = jax.random.key_data(pipeline.example_keys(seed, epoch, jnp.array(index[::-1])))
    np.testing.assert_array_equal(keys, backwards[::-1])
    for key, i in zip(keys, index, strict=True):
        np.testing.assert_array_equal(key, jax.random.key_data(pipeline.example_keys(seed, epoch, jnp.array([i])))[0])
    assert len(np.unique(keys, axis=0)) == len(index)
    other = jax.random.key_data(pipeline.example_keys(seed, (epoch + 1) % 2**31, jnp.array(index)))
    assert (np.asarray(keys) != np.asarray(other)).any(axis=1).all()


def test_streams_from_one_key_are_apart():
    """Neither stream may meet the other, or the keys of a trainer that folds its step and then a number into the seed."""
    seed = jax.random.key(0)

    def folded_twice(key):
        first = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(10))
        return jnp.concatenate([first, *(jax.vmap(partial(jax.random.fold_in, k))(jnp.arange(10)) for k in first)])

    examples = jnp.concatenate([pipeline.example_keys(seed, epoch, jnp.arange(10)) for epoch in range(10)])
    keys = jax.random.key_data(jnp.concatenate([examples, folded_twice(seed)]))
    assert len(np.unique(keys, axis=0)) == 210
    order = pipeline.permutation(seed, 0, 64)
    for key in (seed, *folded_twice(seed)[:10]):
        assert (order != jax.random.permutation(key, 64)).any()


@pytest.mark.parametrize(
    ("n", "most", "chosen"), [(10, 4, [0, 2, 5, 7]), (10, 10, range(10)), (10, 99, range(10)), (7, 1, [0])]
)
def test_some_examples_at_equal_distances(n, most, chosen):
    indices, mask = pipeline.padded_batches(n, 3, most)
    assert indices[mask == 1].tolist() == [*chosen]
    assert (indices[mask == 0] == [*chosen][-1]).all()


@given(n=st.integers(1, 300), batch_size=st.integers(1, 70))
def test_padded_batches_count_each_example_once(n, batch_size):
    indices, mask = pipeline.padded_batches(n, batch_size)
    assert indices.shape == mask.shape == (-(-n // batch_size), batch_size)
    assert indices.dtype == np.int32
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) <= {0.0, 1.0}
    np.testing.assert_array_equal(indices[mask == 1], np.arange(n))
    assert indices.min() >= 0
    assert indices.max() < n  # the filling, too, can be gathered


@pytest.mark.parametrize(("n", "batch_size"), [(0, 4), (4, 0)])
def test_nothing_to_batch_is_refused(n, batch_size):
    with pytest.raises(UserError, match="at least 1 of both"):
        pipeline.padded_batches(n, batch_size)
