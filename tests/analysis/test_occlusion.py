"""Hidden parts of images, against images that were hidden by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, models
from cnnjax.analysis import occlusion


@pytest.fixture(scope="module")
def network():
    model = models.create("resnet20", num_classes=4, width=4)
    images = jax.random.normal(jax.random.key(1), (3, 12, 10, 3))
    return model, model.init(jax.random.key(0), images), images


def test_each_place_is_an_image_with_a_square(network):
    model, variables, images = network
    found = occlusion.occlude(model, variables, images[0], 2, "stage2", 4, 3, (1.0, 0.0, -1.0), batch=7)
    assert (found.tops.tolist(), found.lefts.tolist()) == ([-3, 0, 3, 6, 9], [-3, 0, 3, 6, 9])
    logits, taps = model.apply(variables, images[:1])
    sums = np.asarray(taps["stage2"][0]).sum((0, 1))
    assert found.feature == sums.argmax()
    np.testing.assert_allclose(found.whole, (jax.nn.softmax(logits[0])[2], sums.max()), rtol=1e-4)
    for i, j in ((0, 0), (2, 1), (4, 4)):
        image = np.array(images[0])
        top, left = found.tops[i], found.lefts[j]
        image[max(top, 0) : top + 4, max(left, 0) : left + 4] = (1, 0, -1)
        logits, taps = model.apply(variables, image[None])
        np.testing.assert_allclose(found.probability[i, j], jax.nn.softmax(logits[0])[2], rtol=1e-4)
        np.testing.assert_allclose(found.activation[i, j], taps["stage2"][0, ..., found.feature].sum(), rtol=1e-4)
        assert found.best[i, j] == logits[0].argmax()


def test_each_pixel_is_hidden_as_often(network):
    """Every square touches the image, and with a stride of one each pixel is under as many of them."""
    model, variables, images = network
    found = occlusion.occlude(model, variables, images[0], 0, "classifier", 3)
    hidden = np.zeros((12, 10), int)
    for top in found.tops:
        for left in found.lefts:
            hidden[max(top, 0) : top + 3, max(left, 0) : left + 3] += 1
    assert (hidden == 9).all()


def test_correspondence_by_hand(network):
    model, variables, images = network
    corners = [(0, 0), (4, 3), (9, 8)]
    found = occlusion.correspondence(model, variables, images, corners, "stage3", 4, 0.5)
    signs = []
    for image, (y, x) in zip(np.asarray(images), corners, strict=True):
        changed = image.copy()
        changed[y : y + 4, x : x + 4] = 0.5
        before, after = (model.apply(variables, each[None])[1]["stage3"] for each in (image, changed))
        signs.append(np.sign(np.asarray(before - after)).ravel())
    expected = np.mean([(signs[i] != signs[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))])
    assert found == pytest.approx(expected, abs=0.02)  # signs of what is zero up to rounding
    assert 0 < found < 1
    twice = jnp.stack([images[0], images[0]])
    assert occlusion.correspondence(model, variables, twice, [(2, 2), (2, 2)], "stage3", 4) == 0


def test_correspondence_of_parts_and_layers(network):
    """Hidden alike in equal images nothing differs; a row of the table is what is asked for alone."""
    model, variables, images = network
    parts = [("corner", [(0, 0)] * 3), ("random", [(4, 3), (1, 5), (8, 0)]), ("random", [(0, 1), (8, 6), (2, 2)])]
    found = occlusion.correspondences(model, variables, images, parts, ["stage1", "stage3"], 4, 0.5)
    assert found[["layer", "part"]].to_numpy().tolist() == [
        [layer, part] for layer in ("stage1", "stage3") for part in ("corner", "random", "random")
    ]
    alone = occlusion.correspondence(model, variables, images, parts[2][1], "stage3", 4, 0.5)
    assert found["difference"].iloc[5] == alone
    equal = jnp.repeat(images[:1], 3, 0)
    found = occlusion.correspondences(model, variables, equal, parts, ["stage1"], 4, 0.5)
    assert found["difference"].iloc[0] == 0
    assert (found["difference"].iloc[1:] > 0).all()


def test_what_cannot_be_hidden(network):
    model, variables, images = network
    for arguments, message in (
        ((9, "stage2", 4), "there is no class 9; they are numbered 0 to 3"),
        ((0, "stage9", 4), "unknown tap 'stage9'; did you mean stage"),
        ((0, "stage2", 0), "a square of 0 pixels every 1: it is at least 1 and smaller than the image of 12×10"),
        ((0, "stage2", 10), "smaller than the image"),
        ((0, "stage2", 4, 0), "every 0"),
    ):
        with pytest.raises(errors.UserError, match=message):
            occlusion.occlude(model, variables, images[0], *arguments)
    for arguments, message in (
        ((images[:1], [(0, 0)], "stage2", 4), "at least two images"),
        ((images, [(0, 0)], "stage2", 4), "3 images, 1 corners"),
        ((images, [(0, 0), (0, 0), (12, 0)], "stage2", 4), "does not lie in the images"),
    ):
        with pytest.raises(errors.UserError, match=message):
            occlusion.correspondence(model, variables, *arguments)
