"""The papers' views: where they lie, by hand, and what the device makes of them."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnjax import errors
from cnnjax.evaluate.protocols import PROTOCOLS, find
from cnnjax.evaluate.views import Sight, View, views
from cnnjax.ops import augment
from cnnjax.tasks.classification import Classification

PHOTOGRAPH = Sight((375, 500), (224, 224), 256)
"""Height and width of a picture of ImageNet, for a network of 224×224."""


def of(name, sight=PHOTOGRAPH, **more):
    return [view for group in find(name).groups for view in views(group, sight, **more)]


def starts(found, resized):
    return [view.start for view in found if view.resized == resized and not view.flip]


def test_ten_crops_are_of_the_middle_square():
    """Of 256×341 the square from 42 to 298; crops of 224 in it can be moved by 32."""
    found = of("10crop")
    plain = [(0, 42), (0, 74), (32, 42), (32, 74), (16, 58)]
    assert found == [View((256, 341), start, (224, 224), flip) for start in plain for flip in (False, True)]


def test_twelve_crops():
    """The ten, and of 144 crops the square itself: the one from 42 on, at seven eighths."""
    found = of("12crop")
    square = View((224, Fraction(341 * 7, 8)), (0, Fraction(42 * 7, 8)), (224, 224))
    assert found[::2] == [*of("10crop")[::2], square]
    assert found[1::2] == [View(each.resized, each.start, each.size, True) for each in found[::2]]
    assert set(found) < set(of("144crop"))


def test_144_crops():
    found = of("144crop")
    assert len(found) == 144
    assert sum(view.flip for view in found) == 72
    # Squares at 0, 42 and 85 of 341.
    corners = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    assert starts(found, (256, 341)) == [(top, square + left) for square in (0, 42, 85) for top, left in corners]
    # The squares themselves, at 224 of 256: seven eighths.
    small = (224, Fraction(341 * 7, 8))
    assert starts(found, small) == [(0, 0), (0, Fraction(42 * 7, 8)), (0, Fraction(85 * 7, 8))]
    assert [view.resized for view in found[::36]] == [(256, 341), (288, 384), (320, 426), (352, 469)]


def test_150_crops():
    found = of("150crop")
    assert len(found) == 150
    rows, columns = (0, 8, 16, 24, 32), (0, 29, 58, 87, 117)
    assert starts(found, (256, 341)) == [(top, left) for top in rows for left in columns]
    assert [view.resized for view in found[::50]] == [(256, 341), (384, 512), (512, 682)]


def test_96_and_98_views():
    found = of("spp96")
    assert len(found) == 96
    assert starts(found, (224, 298)) == [(0, 0), (0, 37), (0, 74)]
    assert starts(found, (560, 746)) == [(top, left) for top in (0, 168, 336) for left in (0, 261, 522)]
    assert of("spp98") == [*found, *(View((256, 341), (0, 0), (256, 341), flip) for flip in (False, True))]


def test_views_of_the_whole_image_and_of_its_middle():
    assert of("full") == [View((256, 341), (0, 0), (256, 341))]
    assert of("full_180") == [View((180, 240), (0, 0), (180, 240))]
    assert of("centre") == [View((256, 341), (16, 58), (224, 224))]
    assert [view.start for view in of("multi_scale")] == [(16, 58), (80, 144), (144, 229)]
    assert of("dense") == [View((256, 341), (0, 0), (256, 341), flip) for flip in (False, True)]
    assert [view.size for view in of("dense_multi_scale")[::2]] == [(256, 341), (384, 512), (512, 682)]
    assert [view.size[0] for view in of("dense_five_scales")] == [224, 256, 384, 480, 640]
    assert of("crops_and_dense") == of("150crop") + of("dense_multi_scale")


def test_a_tall_image_is_a_wide_one_on_its_side():
    tall = Sight((500, 375), (224, 224), 256)
    for name in PROTOCOLS:
        turned = {(*view.resized[::-1], *view.start[::-1], *view.size[::-1], view.flip) for view in of(name, tall)}
        assert turned == {(*view.resized, *view.start, *view.size, view.flip) for view in of(name)}


def test_views_that_are_the_same_count_once():
    """In a square image the three squares are one, and at 224 nothing can be moved. The square counts at each of its sides."""
    square = Sight((300, 300), (224, 224))
    assert len(of("144crop", square)) == 48
    assert len(of("spp96", square)) == 92


def test_sides_in_proportion_to_the_network():
    """8/224 of 256, 384 and 512 are 9.1, 13.7 and 18.3; of the two sides that are given, none."""
    small = Sight((8, 8), (8, 8))
    assert [view.resized for view in of("multi_scale", small)] == [(9, 9), (14, 14), (18, 18)]
    assert [view.resized for view in of("multi_scale", small, sides=(10, 12))] == [(10, 10), (12, 12)]


def test_an_image_that_must_not_be_mirrored():
    assert of("10crop", mirror=False) == of("10crop")[::2]


def test_what_cannot_be():
    with pytest.raises(errors.UserError, match="a crop of 224×224 does not fit an image that was resized to 200×266"):
        of("centre", sides=(200,))
    with pytest.raises(errors.UserError, match="sides are of protocols that resize"):
        of("whole", sides=(200,))
    with pytest.raises(errors.UserError, match=r"unknown protocol '10crops'; available: whole, centre, 10crop, "):
        find("10crops")


@given(
    st.tuples(st.integers(1, 600), st.integers(1, 600)),
    st.integers(1, 300),
    st.sampled_from(sorted(PROTOCOLS)),
    st.booleans(),
)
def test_every_view_lies_in_its_image(image, size, name, mirror):
    sight = Sight(image, (size, size), size)
    found = [view for group in find(name).groups for view in views(group, sight, mirror=mirror)]
    assert found
    for view in found:
        for start, part, whole in zip(view.start, view.size, view.resized, strict=True):
            assert start >= 0
            assert start + part <= whole


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"crop": 7},
        {"crop": 6, "jitter": (9, 15)},
        {"crop": 12, "area": (0.5, 1.0), "aspect": (1.0, 1.0)},
    ],
)
def test_the_own_view_is_what_evaluation_during_training_sees(settings):
    from cnnjax.evaluate.subject import Subject

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 9, 12, 3), dtype=np.uint8)
    task = Classification(rng.uniform(0, 255, (9, 12, 3)).astype(np.float32), 50.0, **settings)
    subject = Subject("", None, {}, task, (), None, None)  # type: ignore[arg-type]
    (view,) = views(find("whole").groups[0], subject.sight)
    expected = task.preprocess({"image": images}, None, train=False)["image"]
    np.testing.assert_allclose(shown(subject.normalise(jnp.asarray(images)), view), expected, atol=2e-6)


def shown(images, view):
    zoom = np.array([float(new) / old for new, old in zip(view.resized, images.shape[1:3], strict=True)], np.float32)
    start = np.array([float(each) for each in view.start], np.float32)
    seen = jax.vmap(lambda image: augment.window(image, zoom, start, view.size))(images)
    return seen[:, :, ::-1] if view.flip else seen
