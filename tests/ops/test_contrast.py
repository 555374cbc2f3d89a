"""Contrast against slow loops, whitening against scikit-learn and its definition."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from cnnjax import errors
from cnnjax.ops import contrast


def test_global_contrast_gives_each_image_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (5, 4, 6, 3)) * rng.uniform(0.1, 1, (5, 1, 1, 1))
    found = contrast.global_contrast(jnp.float32(images))
    expected = [(image - image.mean()) / image.std() for image in images]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["global", "local"])
def test_contrast_does_not_depend_on_brightness_and_a_flat_image_has_none(kind):
    images = np.random.default_rng(1).uniform(0, 1, (2, 12, 11, 1))
    change = contrast.kind(kind)
    np.testing.assert_allclose(change(jnp.float32(40 * images + 100)), change(jnp.float32(images)), atol=2e-3)
    assert np.abs(change(jnp.full((1, 5, 5, 3), 7.0))).max() < 0.05
    assert not np.any(change(jnp.zeros((1, 5, 5, 3))))


def test_local_contrast_is_that_of_loops():
    images = np.random.default_rng(2).uniform(0, 1, (2, 7, 12, 3))

    def around(values, row, column):
        """Mean over the window and channels, of what lies inside of the image."""
        total = weight = 0.0
        for y in range(max(0, row - 4), min(values.shape[0], row + 5)):
            for x in range(max(0, column - 4), min(values.shape[1], column + 5)):
                w = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 2.0**2))
                total, weight = total + w * values[y, x].mean(), weight + w
        return total / weight

    places = [(row, column) for row in range(7) for column in range(12)]
    for image, found in zip(images, contrast.local_contrast(jnp.float32(images)), strict=True):
        means = np.array([around(image, *place) for place in places]).reshape(7, 12, 1)
        centred = image - means
        spread = np.sqrt([around(centred**2, *place) for place in places]).reshape(7, 12, 1)
        np.testing.assert_allclose(found, centred / np.maximum(spread, spread.mean()), atol=1e-4)


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    mixed = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6))
    return mixed - mixed.mean(0)


def test_pca_whitening_is_scikit_learns(rows):
    """But for the signs of directions; there is no epsilon there."""
    found = rows @ contrast.whitening(rows.T @ rows / (len(rows) - 1), 1e-9, "pca")
    np.testing.assert_allclose(np.abs(found), np.abs(PCA(whiten=True).fit_transform(rows)), atol=1e-4)


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_the_covariance_of_what_is_whitened(kind, rows):
    covariance, epsilon = rows.T @ rows / len(rows), 0.5
    values = np.linalg.eigvalsh(covariance)
    matrix = contrast.whitening(covariance, epsilon, kind)
    whitened = rows @ matrix
    found = np.linalg.eigvalsh(whitened.T @ whitened / len(rows))
    np.testing.assert_allclose(found, values / (values + epsilon), atol=1e-5)
    assert np.allclose(matrix, matrix.T) == (kind == "zca")


def test_directions_without_variance_stay_finite():
    matrix = contrast.whitening(np.diag([4.0, 0.0]), 0.25, "zca")
    np.testing.assert_allclose(matrix, np.diag([4.25**-0.5, 2.0]), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: contrast.whitening(np.eye(2), 0.0, "zca"), "epsilon of whitening is above 0, not 0.0"),
        (lambda: contrast.whitening(np.eye(2), 0.1, "zac"), "unknown kind of whitening 'zac'; did you mean zca"),
        (lambda: contrast.kind("globel"), "unknown contrast 'globel'; did you mean global"),
    ],
)
def test_what_a_user_can_get_wrong(call, message):
    with pytest.raises(errors.UserError, match=message):
        call()
