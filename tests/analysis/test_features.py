"""What features respond to, on networks and images whose answers can be written down."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import features, receptive_field


@pytest.fixture(scope="module")
def network():
    model = models.create("resnet20", num_classes=4, width=4)
    images = jax.random.normal(jax.random.key(1), (7, 12, 10, 3))
    return model, model.init(jax.random.key(0), images), images


def test_strongest_are_the_maxima(network):
    model, variables, images = network
    found = features.strongest(model, variables, [images[:4], images[4:]], "stage2", [3, 0], 2)
    maps = np.asarray(model.apply(variables, images)[1]["stage2"])
    assert found[["channel", "rank"]].to_numpy().tolist() == [[3, 0], [3, 1], [0, 0], [0, 1]]
    for row in found.itertuples():
        each = maps[..., row.channel]
        peaks = each.reshape(7, -1).max(1)
        assert row.image == np.argsort(-peaks)[row.rank]
        np.testing.assert_allclose(row.activation, each[row.image, row.y, row.x], rtol=1e-4)
        np.testing.assert_allclose(row.activation, peaks[row.image], rtol=1e-4)
    of_vectors = features.strongest(model, variables, [images], "classifier")
    assert len(of_vectors) == 4 * 7
    assert (of_vectors[["y", "x"]] == 0).all(axis=None)


def test_a_patch_is_what_the_place_sees(network):
    model, variables, images = network
    field = receptive_field.fields(model, images.shape)["stage1/block1/conv1"]
    image = np.asarray(images[0])
    inside = features.patch(image, field, 4, 5)
    np.testing.assert_array_equal(inside, image[2:7, 3:8])
    corner = features.patch(image, field, 0, 9, fill=7.0)
    np.testing.assert_array_equal(corner[2:, :3], image[:3, 7:])
    assert (corner[:2] == 7).all()
    assert (corner[:, 3:] == 7).all()
    # What lies outside of the patch does not matter to the feature.
    other = np.where(np.zeros_like(image) == 0, -image, image)
    other[2:7, 3:8] = image[2:7, 3:8]
    maps = [
        receptive_field.tapped(model, variables, jnp.asarray(each)[None], "stage1/block1/conv1")
        for each in (image, other)
    ]
    np.testing.assert_allclose(maps[0][0, 4, 5], maps[1][0, 4, 5], atol=1e-6)
    assert np.abs(maps[0][0, 8, 8] - maps[1][0, 8, 8]).max() > 1e-3


def test_patches_of_the_strongest(network):
    """Cut out at each row's place, with nothing beyond the edges; whole where there is no map."""
    model, variables, images = network
    name = "stage1/block1/conv1"
    rows = features.strongest(model, variables, [images], name, [1, 2], 3)
    whole = np.asarray(images)[rows["image"]]
    field = receptive_field.fields(model, images.shape)[name]
    found = features.patches(whole, rows, field)
    assert len(found) == 6
    for each, image, y, x in zip(found, whole, rows["y"], rows["x"], strict=True):
        expected = np.pad(image, ((2, 2), (2, 2), (0, 0)), constant_values=np.nan)[y : y + 5, x : x + 5]
        np.testing.assert_array_equal(each, expected)
    fields = receptive_field.fields(model, images.shape)
    assert fields["stage1"].height.size == 15  # of an image of 12×10 there is nothing else to see
    for field in (None, fields["classifier"], fields["stage1"]):
        np.testing.assert_array_equal(features.patches(whole, rows, field), whole)


@pytest.mark.parametrize("transform", features.TRANSFORMS)
def test_an_image_that_is_not_moved_has_not_moved(network, transform):
    model, variables, images = network
    nothing = {"translation": 0.0, "scale": 1.0, "rotation": 0.0}[transform]
    something = {"translation": 2.0, "scale": 1.5, "rotation": 40.0}[transform]
    found = features.invariance(
        model, variables, np.asarray(images[:2]), [0, 1], transform, [nothing, something], ["conv1", "global_pool"]
    )
    assert found["image"].tolist() == [0, 0, 1, 1]
    still, moved = found[found["amount"] == nothing], found[found["amount"] == something]
    np.testing.assert_allclose(still[["conv1", "global_pool"]], 0, atol=1e-4)
    assert (moved[["conv1", "global_pool"]] > 0.01).all(axis=None)
    chances = jax.nn.softmax(model.apply(variables, images[:2])[0])
    np.testing.assert_allclose(still["probability"], chances[[0, 1], [0, 1]], rtol=1e-4)


def test_transforms_by_hand():
    image = np.arange(35.0).reshape(5, 7, 1)
    np.testing.assert_allclose(features.TRANSFORMS["translation"](image, 2)[2:], image[:-2])
    np.testing.assert_allclose(features.TRANSFORMS["translation"](image, 2)[0], image[0])
    square = np.arange(25.0).reshape(5, 5, 1)
    np.testing.assert_allclose(features.TRANSFORMS["rotation"](square, 90), np.rot90(square))
    # Twice as large about the middle: what was one pixel from it is two.
    double = features.TRANSFORMS["scale"](square, 2)
    np.testing.assert_allclose(double[[0, 2, 4]][:, [0, 2, 4]], square[1:4, 1:4])


def test_neighbours():
    points = np.array([[0.0, 0], [10, 0], [1, 0], [0, 3]])
    assert features.neighbours(points, np.array([[0.4, 0], [9, 0]]), 3).tolist() == [[0, 2, 3], [1, 2, 0]]
    with pytest.raises(errors.UserError, match="5 neighbours among 4"):
        features.neighbours(points, points, 5)
    with pytest.raises(errors.UserError, match=r"of shape \(2,\) for one of \(3,\)"):
        features.neighbours(points, np.zeros((1, 3)), 1)


def test_dead_and_aliased_filters():
    """A constant, a checkerboard (0.5 cycles a pixel each way), one of four pixels a cycle, and a dead one."""
    rows, columns = np.mgrid[:8, :8]
    board, wave = (-1.0) ** (rows + columns), np.cos(np.pi * rows / 2)
    kernel = np.stack([np.ones((8, 8)), board, wave, board * 1e-3], -1)[:, :, None].repeat(3, 2)
    found = features.filters(kernel, stride=2)
    np.testing.assert_allclose(found.frequency[:3], [0, np.sqrt(0.5), 0.25], atol=1e-9)
    assert found.dead.tolist() == [False, False, False, True]
    assert found.aliased.tolist() == [False, True, False, False]
    assert features.filters(kernel, stride=4).aliased.tolist() == [False, True, True, False]
    assert not features.filters(kernel, stride=1).aliased.any()  # every frequency is carried
    assert features.filters(0 * kernel, stride=2).dead.all()


def test_what_cannot_be_asked(network):
    model, variables, images = network
    for arguments, message in (
        (([images], "stage9"), "unknown tap 'stage9'"),
        (([images], "stage2", [8]), "stage2 has no feature 8; they are numbered 0 to 7"),
        (([], "stage2"), "there is no batch of images"),
        (([images], "stage2", None, 0), "at least one image"),
    ):
        with pytest.raises(errors.UserError, match=message):
            features.strongest(model, variables, *arguments)
    still = np.asarray(images[:1])
    for arguments, message in (
        (([0], "shear", [1.0], ["conv1"]), "unknown transform 'shear'"),
        (([0], "scale", [1.0, 0.0], ["conv1"]), "a factor of scale is positive, not 0"),
        (([4], "scale", [1.0], ["conv1"]), "there is no class 4"),
        (([0], "scale", [1.0], ["conv9"]), "unknown tap 'conv9'"),
    ):
        with pytest.raises(errors.UserError, match=message):
            features.invariance(model, variables, still, *arguments)
