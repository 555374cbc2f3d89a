"""How often devices talk to each other in a step: counted in the program compiled for eight devices.

The network is unrolled, 8 layers deep: 7 batch normalisations, and 23 leaves of parameters. The numbers are of a platform:
compilers differ in what they combine. What they must show anywhere is that groups within a device need nothing.
"""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnnjax import config as configs
from cnnjax import models
from cnnjax.tasks.classification import Classification
from cnnjax.train import optimizer, parallel, state, step
from cnnjax.train.program import Program

RECIPE = pathlib.Path(__file__).parents[2] / "configs" / "resnet_cifar.py"
DEVICES, BATCH = 8, 128
SHARE = BATCH // DEVICES
NORMS = 7


def program(recipe: configs.ConfigDict, mapping: str, group: int) -> Program:
    settings = {"batch_size": BATCH, "model.bn_group": group, "model.scan": False}
    return Program(configs.override(recipe, {**settings, "execution.devices": DEVICES, "execution.parallel": mapping}))


def collectives(program: Program) -> dict[str, int]:
    """Kind → how many are in the compiled step."""
    rest = (program.feed.arrays["train"], jnp.arange(1437), *(jnp.int32(0),) * 3, jnp.float32(1))
    if program.layout.mapping == "jit":
        state = program.layout.abstract(program.abstract)
        sums = program.layout.abstract(jax.eval_shape(program.task.init))
        text = program.feed.compiled[False, 0].lower(state, sums, *rest).compile().as_text()
    else:
        mapped = jax.pmap(
            lambda _, *arguments: program.feed.steps(*arguments),
            parallel.AXIS,
            in_axes=(0, *(None,) * 8),
            out_axes=None,
            devices=program.layout.devices,
        )
        state, sums = program.init(0), program.zero()
        text = mapped.lower(np.arange(DEVICES), state, sums, *rest).compile().as_text()
    return counted(text)


def counted(text: str) -> dict[str, int]:
    """Kind → how many are in a compiled program."""
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


TPU_GOLDENS = {0: 15, 2 * SHARE: 16, SHARE: 1}
"""Examples a group → all-reduces in the step compiled for eight chips of a TPU v5e by libtpu 0.0.42.1: two of each of seven
normalisations over the whole batch, and one for loss and gradients together."""


@pytest.mark.slow
@pytest.mark.parametrize("group", [0, SHARE])
def test_collectives_of_a_step_on_tpu(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled ahead of time, for devices that are not here; wants the extra ``tpu``."""
    pytest.importorskip("libtpu")
    from jax.experimental import topologies

    host = {"TPU_ACCELERATOR_TYPE": "v5litepod-8", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_SKIP_MDS_QUERY": "1"}
    for name, value in {**host, "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}.items():
        monkeypatch.setenv(name, value)
    devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x4").devices
    mesh = Mesh(np.array(devices), (parallel.AXIS,))
    whole, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(parallel.AXIS))
    model = models.create("resnet_cifar", depth=8, bn_group=group, scan=False)
    sgd = optimizer.make(configs.load(RECIPE).optimizer, lambda step: 0.1)
    task = Classification(np.zeros((32, 32, 3), np.float32), 1.0)
    batch = {
        "image": jax.ShapeDtypeStruct((BATCH, 32, 32, 3), jnp.float32),
        "label": jax.ShapeDtypeStruct((BATCH,), jnp.int32),
    }
    begun = jax.eval_shape(lambda: state.create(model, sgd, jnp.zeros((1, 32, 32, 3)), 0))
    train_step = functools.partial(step.train_step, model=model, task=task, optimizer=sgd)
    compiled = jax.jit(train_step, in_shardings=(whole, split), out_shardings=whole).lower(begun, batch).compile()
    assert counted(compiled.as_text()) == {"all-reduce": TPU_GOLDENS[group]}
