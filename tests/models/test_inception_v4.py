"""What residual branches of Inception-ResNets are scaled by."""

import itertools

import pytest

from cnnjax import models
from cnnjax.nn.rows import Residual


def scales(name, **fields):
    """Of all residual branches, in order: how many, and their factor."""
    rows = [row for row in models.create(name, **fields).table() if isinstance(row, Residual)]
    return [(len(list(same)), scale) for scale, same in itertools.groupby(row.scale for row in rows)]


def test_those_of_the_paper_and_of_the_released_network():
    """Szegedy et al. 2016, §3.3, and slim: 0.17, 0.1 and 0.2; the last branch of the released network is not scaled."""
    assert scales("inception_resnet_v2_paper") == [(5, 0.17), (10, 0.1), (5, 0.2)]
    assert scales("inception_resnet_v2") == [(10, 0.17), (20, 0.1), (9, 0.2), (1, 1.0)]


@pytest.mark.parametrize("scale", [0.1, 0.5, 1.0])
def test_one_for_all(scale):
    assert scales("inception_resnet_v1", scales=(scale,) * 3) == [(20, scale)]


def test_one_for_each_kind_of_module():
    assert scales("inception_resnet_v1", scales=(0.3, 0.2, 0.5)) == [(5, 0.3), (10, 0.2), (5, 0.5)]
