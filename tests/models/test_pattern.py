"""Networks from a line of text."""

import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax import errors, models
from cnnjax.analysis import cost
from cnnjax.models import pattern
from cnnjax.nn.rows import ChannelPool, Conv, Dense, Pool

VGG_A = (
    "conv3-64 pool2 conv3-128 pool2 conv3-256 conv3-256 pool2 " + "conv3-512 conv3-512 pool2 " * 2 + "fc-4096 fc-4096"
)


def test_a_known_network():
    """Configuration A of Simonyan & Zisserman: torchvision's count, and `vgg11`'s rows."""
    model = models.create("pattern", layers=VGG_A, num_classes=1000)
    assert cost.size(model, (1, 224, 224, 3)) == (132_863_336, 7_609_090_048)
    ours, theirs = (
        [row for row in each.table() if isinstance(row, Conv | Pool)] for each in (model, models.create("vgg11"))
    )
    assert [(type(a), a.name) for a in ours] == [(type(b), b.name) for b in theirs]


convs = st.builds("conv{}{}-{}".format, st.integers(1, 5), st.sampled_from(["", "/2"]), st.integers(1, 4)) | st.just(
    "conv3-6 depthpool2"
)
pools = st.builds("{}pool{}{}".format, st.sampled_from(["", "avg"]), st.integers(2, 3), st.sampled_from(["", "/2"]))
stages = st.tuples(st.lists(convs, min_size=1, max_size=3), st.lists(pools, max_size=1)).map(
    lambda each: each[0] + each[1]
)
lines = st.tuples(st.lists(stages, min_size=1, max_size=2), st.lists(st.integers(1, 5).map("fc-{}".format), max_size=2))


@settings(deadline=None, max_examples=40, derandomize=True)
@given(lines, st.sampled_from([" ", " -> ", "->"]))
def test_what_is_written_is_what_was_meant(line, between):
    words = [word for stage in line[0] for each in stage for word in each.split()] + line[1]
    text = between.join(words)
    assert (
        pattern.written(text)
        == models.create("pattern", layers=text).line()
        == " -> ".join(["input", *words, "output"])
    )
    assert pattern.written(pattern.written(text)) == pattern.written(text)
    table = models.create("pattern", layers=text).table()
    assert len([row for row in table if isinstance(row, Conv)]) == sum("conv" in word for word in words)
    assert len([row for row in table if isinstance(row, Pool)]) == sum(
        bool(re.match("(avg)?pool", word)) for word in words
    )
    assert [row.window for row in table if isinstance(row, ChannelPool)] == [2] * words.count("depthpool2")
    assert len([row for row in table if isinstance(row, Dense)]) == len(line[1]) + 1
    logits = jax.eval_shape(
        lambda x: models.create("pattern", layers=text).init_with_output(jax.random.key(0), x)[0][0],
        jax.ShapeDtypeStruct((2, 1024, 1024, 3), "float32"),  # ten halvings, and pools of three
    )
    assert logits.shape == (2, 10)


def test_the_maximum_over_channels():
    """Of the convolution before it, three maps at a time. (27 + 1) × 6, (18 + 1) × 4 and (2 + 1) × 10 parameters."""
    model = models.create("pattern", layers="conv3-6 depthpool3 pool2 conv3-4 depthpool2 pool2")
    assert cost.size(model, (1, 4, 4, 3))[0] == 168 + 76 + 30
    images = np.random.default_rng(2).standard_normal((2, 4, 4, 3)).astype(np.float32)
    (_, taps), _ = model.init_with_output(jax.random.key(0), images)
    maps, pooled = np.asarray(taps["conv1_1"]), np.asarray(taps["depthpool1_1"])
    assert pooled.shape == (2, 4, 4, 2)
    for place in np.ndindex(pooled.shape):
        *where, group = place
        assert pooled[place] == max(maps[(*where, 3 * group + each)] for each in range(3))


def test_channels_are_widened_to_what_is_pooled():
    """A factor of 0.3: 1.8 and 6 of 6 and 20 maps are 2 and 6, of which 2 at a time are 1 and 3."""
    model = models.create("pattern", layers="conv3-6 depthpool2 conv3-20 depthpool2", width_factor=0.3)
    assert [row.features for row in model.rows() if isinstance(row, Conv)] == [2, 6]
    odd = models.create("pattern", layers="conv3-15 depthpool2")
    with pytest.raises(errors.UserError, match="depthpool1_1: 15 channels are not divided by a pooling window of 2"):
        cost.size(odd, (1, 8, 8, 3))


def test_a_long_line_is_refused_at_once():
    """Not after all ways to group its convolutions, of which there are 2⁹⁹."""
    with pytest.raises(errors.UserError, match="'conv3-8' does not fit"):
        models.create("pattern", layers=" ".join(["conv3-8"] * 100 + ["fc-8", "conv3-8"]))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("", "the end does not fit"),
        *[
            (line, "between two words")
            for line in ("conv3-8 -> -> fc-8", "conv3-8->->fc-8", "-> conv3-8", "conv3-8 -> ")
        ],
        ("fc-10", "'fc-10' does not fit"),
        ("pool2 conv3-8", "'pool2' does not fit"),
        ("conv3-8 pool2 pool2", "'pool2' does not fit"),
        ("conv3-8 fc-10 conv3-8", "'conv3-8' does not fit"),
        ("conv3-8 fc-10 pool2", "'pool2' does not fit"),
        ("conv3 fc-10", "'conv3' is no layer"),
        ("conv3-16385 fc-10", "the numbers of a layer are at most 16,384, not those of 'conv3-16385'"),
        (f"conv3-8 fc-1{'0' * 5000}", "at most 16,384"),
        ("conv0-8", "'conv0-8' is no layer"),
        ("conv3-8 relu", "'relu' is no layer"),
        ("depthpool2 conv3-8", "'depthpool2' does not fit"),
        ("conv3-8 pool2 depthpool2", "'depthpool2' does not fit"),
        ("conv3-8 depthpool2 depthpool2", "'depthpool2' does not fit"),
        ("conv3-8 depthpool2/2", "'depthpool2/2' is no layer; they are written .*, depthpool2, fc-120"),
    ],
)
def test_what_is_no_network(layers, message):
    with pytest.raises(errors.UserError, match=message):
        models.create("pattern", layers=layers)
