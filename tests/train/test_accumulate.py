"""A batch in pieces is the batch, where batch normalisation takes its statistics over no more than a piece."""

from typing import Any

import jax
import numpy as np
import pytest

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.train.program import Program

BATCH, GROUP = 64, 2


def after(recipe: configs.ConfigDict, steps: int = 3, **execution: Any) -> tuple[Any, dict[str, float]]:
    """Parameters and statistics after some steps from seed 0, and the sums."""
    settings = {f"execution.{key}": value for key, value in execution.items()}
    program = Program(configs.override(recipe, {"batch_size": BATCH, "model.bn_group": GROUP, **settings}))
    state, sums = program.run(program.init(0), program.zero(), 0, steps)
    kept = {"params": state.params, "batch_stats": state.batch_stats, "opt_state": state.opt_state}
    return jax.device_get(kept), {name: float(value) for name, value in sums.items() if np.ndim(value) == 0}


@pytest.fixture(scope="module")
def whole(recipe: configs.ConfigDict) -> tuple[Any, dict[str, float]]:
    return after(recipe)


@pytest.mark.parametrize(
    "execution",
    [
        pytest.param({"accumulate": 2}, id="two pieces"),
        pytest.param({"accumulate": 32}, id="pieces of a group"),
        pytest.param({"accumulate": 4, "cpu_convolution": "xla"}, id="canonical"),
        pytest.param({"accumulate": 4, "devices": 8, "parallel": "jit"}, id="a mesh", marks=pytest.mark.slow),
        pytest.param({"accumulate": 4, "devices": 8, "parallel": "pmap"}, id="pmap", marks=pytest.mark.slow),
    ],
)
def test_pieces_do_what_the_whole_does(recipe, whole, execution: dict[str, Any]) -> None:
    (expected, sums), (found, sums_in_pieces) = whole, after(recipe, **execution)
    assert sums_in_pieces["count"] == sums["count"] == 3 * BATCH
    assert sums_in_pieces["errors"] == sums["errors"]
    np.testing.assert_allclose(sums_in_pieces["loss"], sums["loss"], rtol=2e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found, expected)
    # The tolerance is far below what three steps change.
    moved = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(expected["opt_state"]))
    assert moved > 1e-2


def test_pieces_of_a_mesh_leave_every_example_on_its_device(recipe) -> None:
    program = Program(configs.override(recipe, {"batch_size": BATCH, "execution.devices": 8}))
    pieces = jax.jit(lambda x: program.layout.pieces(program.layout.split(x), 4))(np.arange(BATCH))
    for number, shard in enumerate(pieces.addressable_shards):
        assert sorted(np.array(shard.data).ravel()) == list(range(8 * number, 8 * number + 8))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"execution.accumulate": 0}, "execution.accumulate is at least 1, not 0"),
        ({"execution.accumulate": 3}, "execution.accumulate = 3 does not divide a batch of 64"),
        (
            {"execution.accumulate": 16, "execution.devices": 8},
            "execution.accumulate = 16 does not divide a batch of 64 of 8 devices' shares",
        ),
        (
            {"execution.accumulate": 4, "model.bn_group": 0},
            "a device computes 16 examples at once, and model.bn_group divides them; it is the whole batch (0)",
        ),
        ({"execution.accumulate": 4, "model.bn_group": 32}, "model.bn_group divides them; it is 32"),
        (
            {"execution.accumulate": 4, "execution.devices": 8, "model.bn_group": 4},
            "a device computes 2 examples at once, and model.bn_group divides them; it is 4",
        ),
    ],
)
def test_what_cannot_be_accumulated(recipe, overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.UserError) as caught:
        Program(configs.override(recipe, {"batch_size": BATCH, "model.bn_group": GROUP, **overrides}))
    assert words in str(caught.value)
