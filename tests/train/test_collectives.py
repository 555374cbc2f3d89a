"""How often devices talk to each other in a step: counted in the program compiled for eight CPU devices.

The network is unrolled, 8 layers deep: 7 batch normalisations, and 23 leaves of parameters. The numbers are of this
platform: other compilers combine more. What they must show anywhere is that groups within a device need nothing.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import config as configs
from cnnjax.train import parallel
from cnnjax.train.program import Program

DEVICES, BATCH = 8, 128
SHARE = BATCH // DEVICES
NORMS = 7


def program(recipe: configs.ConfigDict, mapping: str, group: int) -> Program:
    settings = {"batch_size": BATCH, "model.bn_group": group, "model.scan": False}
    return Program(configs.override(recipe, {**settings, "execution.devices": DEVICES, "execution.parallel": mapping}))


def collectives(program: Program) -> dict[str, int]:
    """Kind → how many are in the compiled step."""
    rest = (program._data["train"], jnp.arange(1437), *(jnp.int32(0),) * 3, jnp.float32(1))
    if program.layout.mapping == "jit":
        state = program.layout.abstract(program.abstract)
        sums = program.layout.abstract(jax.eval_shape(program.task.init))
        text = program._run_compiled[False, 0].lower(state, sums, *rest).compile().as_text()
    else:
        mapped = jax.pmap(
            lambda _, *arguments: program._run(*arguments),
            parallel.AXIS,
            in_axes=(0, *(None,) * 8),
            out_axes=None,
            devices=program.layout.devices,
        )
        state, sums = program.init(0), program.zero()
        text = mapped.lower(np.arange(DEVICES), state, sums, *rest).compile().as_text()
    kinds = re.findall(r" (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(", text)
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


GOLDENS = {
    ("jit", 0): {"all-reduce": 30},
    ("jit", 2 * SHARE): {"all-reduce": 31},
    ("jit", SHARE): {"all-reduce": 1},
    ("jit", SHARE // 4): {"all-reduce": 1},
    ("pmap", 0): {"all-reduce": 17},
    ("pmap", 2 * SHARE): {"all-reduce": 16},
    ("pmap", SHARE): {"all-reduce": 2},
    ("pmap", SHARE // 4): {"all-reduce": 2},
}
"""Mapping and examples a group (0: the whole batch) → collectives of jaxlib 0.10.2 on CPU devices."""


@pytest.mark.parametrize(("mapping", "group"), GOLDENS)
def test_collectives_of_a_step(recipe, mapping: str, group: int) -> None:
    assert collectives(program(recipe, mapping, group)) == GOLDENS[mapping, group]


@pytest.mark.parametrize(("mapping", "of_each"), [("jit", 2 + 2), ("pmap", 1 + 1)])
def test_statistics_cost_what_the_maths_asks_for(recipe, mapping: str, of_each: int) -> None:
    """Of each normalisation over the whole batch. Where we reduce: one for both statistics, one for both sums backward.

    Where the compiler does: each by itself, because the variance is taken about the mean. One more is the loss's.
    """
    local, whole = (collectives(program(recipe, mapping, group))["all-reduce"] for group in (SHARE, 0))
    assert 0 < whole - local <= NORMS * of_each + 1
