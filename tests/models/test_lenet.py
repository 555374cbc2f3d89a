"""LeNet-5 of 1998 against loops in numpy, and its table of connections."""

import jax
import numpy as np

from cnnjax import models
from cnnjax.models.lenet import CONNECTIONS


def test_the_connections_are_table_1():
    """Six maps see 3 neighbours, six see 4, three see 4 that are not all neighbours, one sees all: 60 connections."""
    assert [len(each) for each in CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
    assert len({frozenset(each) for each in CONNECTIONS}) == 16
    seen = [sum(source in each for each in CONNECTIONS) for source in range(6)]
    assert seen == [10] * 6  # each map of S2 is seen by ten of C3


def squash(x):
    return 1.7159 * np.tanh(2 * x / 3)


def correlate(x, kernel):
    """``x [H, W]`` and ``kernel [5, 5]``, no padding."""
    size = (x.shape[0] - 4, x.shape[1] - 4)
    return sum(kernel[i, j] * x[i : i + size[0], j : j + size[1]] for i in range(5) for j in range(5))


def test_it_computes_what_the_paper_describes():
    model = models.create("lenet5")
    image = np.random.default_rng(0).standard_normal((1, 32, 32, 1)).astype(np.float32)
    variables = jax.tree.map(
        lambda leaf: np.random.default_rng(leaf.size).standard_normal(leaf.shape) * 0.2,
        jax.eval_shape(model.init, jax.random.key(0), image),
    )
    params = variables["params"]

    def sub_sampled(maps, name):
        blocks = np.stack([x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).sum((1, 3)) for x in maps])
        return squash(blocks * params[name]["scale"][:, None, None] + params[name]["bias"][:, None, None])

    c1, c3, c5 = params["conv1"], params["conv3"], params["conv5"]
    maps = squash(np.stack([correlate(image[0, :, :, 0], c1["kernel"][:, :, 0, k]) + c1["bias"][k] for k in range(6)]))
    maps = sub_sampled(maps, "pool2")
    place, sums = 0, []
    for sources, bias in zip(CONNECTIONS, c3["bias"], strict=True):
        total = bias
        for source in sources:
            total = total + correlate(maps[source], c3["kernel"][:, :, place])
            place += 1
        sums.append(total)
    maps = sub_sampled(squash(np.stack(sums)), "pool4")
    units = squash(np.einsum("chw,hwco->o", maps, c5["kernel"]) + c5["bias"])
    units = squash(units @ params["fc6"]["kernel"] + params["fc6"]["bias"])
    logits, taps = model.apply(jax.tree.map(lambda leaf: leaf.astype(np.float32), variables), image)
    np.testing.assert_allclose(taps["fc6"][0], units, rtol=1e-4, atol=1e-5)
    codes = np.random.default_rng(1998).choice([-1.0, 1.0], (10, 84))
    np.testing.assert_allclose(logits[0], -((units - codes) ** 2).sum(-1), rtol=1e-4)
