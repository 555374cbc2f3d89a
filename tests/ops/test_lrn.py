"""Local response normalisation against the formula, number by number."""

import jax
import numpy as np
import pytest

from cnnjax.ops import lrn


@pytest.mark.parametrize("size", [1, 3, 5, 4])
@pytest.mark.parametrize("mean", [False, True], ids=["sum", "mean"])
def test_the_formula_of_2012(size, mean):
    """Krizhevsky et al. 2012, §3.3: j from max(0, i - n/2) to min(N - 1, i + n/2)."""
    x = np.random.default_rng(0).standard_normal((2, 2, 3, 7)) * 20
    expected = np.empty_like(x)
    for i in range(7):
        low, high = max(0, i - size // 2), min(6, i + (size - 1 - size // 2))
        squares = (x[..., low : high + 1] ** 2).sum(-1)
        expected[..., i] = x[..., i] / (2.0 + 0.01 * squares / (size if mean else 1)) ** 0.75
    found = lrn.across_channels(x.astype(np.float32), size, 2.0, 0.01, 0.75, mean)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_defaults_are_the_papers():
    x = np.full((1, 1, 1, 5), 10.0, np.float32)
    np.testing.assert_allclose(lrn.across_channels(x)[0, 0, 0, 2], 10 / (2 + 1e-4 * 500) ** 0.75, rtol=1e-6)


@pytest.mark.parametrize("size", [3, 2, 4])
def test_within_a_channel_the_neighbours_are_places(size):
    """An even window has one place more above and to the left than below and to the right."""
    x = np.random.default_rng(1).standard_normal((1, 4, 5, 2)) * 100
    expected = np.empty_like(x)
    for h, w in np.ndindex(4, 5):
        rows, columns = (slice(max(0, at - size // 2), at + size - size // 2) for at in (h, w))
        squares = (x[:, rows, columns] ** 2).sum((1, 2))
        expected[:, h, w] = x[:, h, w] / (1 + 5e-5 * squares / size**2) ** 0.75
    np.testing.assert_allclose(lrn.within_channel(x.astype(np.float32), size), expected, rtol=1e-5)


def test_its_derivative():
    """Against differences, in float64."""
    rng = np.random.default_rng(2)
    x, along = rng.standard_normal((1, 2, 2, 6)) * 30, rng.standard_normal((1, 2, 2, 6))
    with jax.enable_x64(True):
        _, found = jax.jvp(lrn.across_channels, (x,), (along,))
        step = 1e-5
        ahead, behind = (np.asarray(lrn.across_channels(x + sign * step * along)) for sign in (1, -1))
    np.testing.assert_allclose(found, (ahead - behind) / (2 * step), rtol=1e-7)


@pytest.mark.parametrize("normalise", [lrn.across_channels, lrn.within_channel])
def test_its_gradient_in_a_compiled_program(normalise):
    """Reverse mode, as training needs it, against differences."""
    rng = np.random.default_rng(3)
    x, along, cotangent = rng.standard_normal((3, 1, 4, 3, 6)) * 30
    with jax.enable_x64(True):
        gradient = np.asarray(jax.jit(jax.grad(lambda x: (normalise(x) * cotangent).sum()))(x))
        ahead, behind = (np.asarray(normalise(x + sign * 1e-5 * along)) for sign in (1, -1))
    np.testing.assert_allclose((gradient * along).sum(), ((ahead - behind) * cotangent).sum() / 2e-5, rtol=1e-6)
