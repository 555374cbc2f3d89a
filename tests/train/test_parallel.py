"""One step, mapped over eight devices in two ways, is the step of one device."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import config as configs
from cnnjax import errors, signals
from cnnjax.train import loop, parallel
from cnnjax.train.checkpoint import Checkpoints
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder

BATCH, DEVICES, STEPS = 32, 8, 3
SHARE = BATCH // DEVICES
GROUPS = {"the whole batch": 0, "a device's share": SHARE, "half a share": SHARE // 2, "two shares": 2 * SHARE}


@pytest.fixture(scope="module")
def made(recipe: configs.ConfigDict) -> Callable[..., Program]:
    """Programs, each made once."""

    @functools.cache
    def make(mapping: str, devices: int, group: int, **execution: Any) -> Program:
        return Program(
            configs.override(
                recipe,
                {
                    "batch_size": BATCH,
                    "model.bn_group": group,
                    "execution.parallel": mapping,
                    "execution.devices": devices,
                    **{f"execution.{key}": value for key, value in execution.items()},
                },
            )
        )

    return make


@pytest.fixture(scope="module")
def stepped(made: Callable[..., Program]) -> Callable[..., tuple[Any, dict[str, float]]]:
    """State and sums after some steps from seed 0, each computed once."""

    @functools.cache
    def run(*arguments: Any, **execution: Any) -> tuple[Any, dict[str, float]]:
        program = made(*arguments, **execution)
        state, sums = program.run(program.init(0), program.zero(), 0, STEPS)
        return state, {name: float(value) for name, value in sums.items() if np.ndim(value) == 0}

    return run


def arrays(state: Any) -> dict[str, np.ndarray]:
    tree = {"params": state.params, "batch_stats": state.batch_stats, "opt_state": state.opt_state, "step": state.step}
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.array(leaf) for path, leaf in flat}


def farthest(one: Any, other: Any) -> float:
    one, other = arrays(one), arrays(other)
    assert one.keys() == other.keys()
    return max(float(np.abs(one[name].astype(float) - other[name].astype(float)).max()) for name in one)


@pytest.mark.parametrize("mapping", parallel.MAPPINGS)
@pytest.mark.parametrize(
    "group",
    [
        pytest.param(GROUPS["the whole batch"], id="the whole batch"),
        pytest.param(GROUPS["a device's share"], id="a device's share"),
        pytest.param(GROUPS["half a share"], id="half a share", marks=pytest.mark.slow),
        pytest.param(GROUPS["two shares"], id="two shares", marks=pytest.mark.slow),
    ],
)
def test_eight_devices_do_what_one_does(group: int, mapping: str, stepped) -> None:
    (one, sums_one), (eight, sums_eight) = stepped("jit", 1, group), stepped(mapping, DEVICES, group)
    assert sums_eight["count"] == sums_one["count"] == STEPS * BATCH
    assert sums_eight["errors"] == sums_one["errors"]
    np.testing.assert_allclose(sums_eight["loss"], sums_one["loss"], rtol=2e-5)
    assert arrays(one)["['step']"] == STEPS
    assert farthest(one, eight) < 1e-4


def test_groups_are_not_all_the_same(stepped) -> None:
    """What the comparison above would miss if groups were ignored."""
    whole, _ = stepped("jit", 1, 0)
    assert farthest(whole, stepped("jit", 1, SHARE)[0]) > 1e-2


@pytest.mark.parametrize("mapping", parallel.MAPPINGS)
def test_evaluation_is_that_of_one_device(mapping: str, made, stepped) -> None:
    state, _ = stepped("jit", 1, 0)
    host = state.replace(params=jax.device_get(state.params), batch_stats=jax.device_get(state.batch_stats))
    for name in ("train", "test"):
        expected = made("jit", 1, 0).evaluate(host, name)
        found = made(mapping, DEVICES, 0).evaluate(host, name)
        assert found["error"] == expected["error"]
        np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)


@pytest.mark.parametrize("mapping", parallel.MAPPINGS)
def test_all_devices_hold_the_same_state(mapping: str, stepped) -> None:
    state, _ = stepped(mapping, DEVICES, 0)
    for leaf in jax.tree.leaves(state.replace(rng=jax.random.key_data(state.rng))):
        copies = [np.array(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == DEVICES
        assert all(copy.tobytes() == copies[0].tobytes() for copy in copies)


def test_work_is_split(made) -> None:
    """Under jit every device is given its share of a batch, and no more."""
    layout = made("jit", DEVICES, 0).layout
    x = jax.jit(layout.split)(layout.put(jnp.arange(BATCH)))
    assert [np.array(shard.data).tolist() for shard in x.addressable_shards] == np.arange(BATCH).reshape(8, 4).tolist()


def test_share_of_each_device_under_pmap() -> None:
    layout = parallel.layout("pmap", 4)
    shares = layout.compile(lambda x: jax.lax.all_gather(layout.split(x), parallel.AXIS))(layout.put(jnp.arange(12)))
    assert np.array(shares).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_dtype_of_the_reduction_is_used(stepped) -> None:
    exact, _ = stepped("pmap", DEVICES, 0)
    coarse, _ = stepped("pmap", DEVICES, 0, grad_reduce_dtype="bfloat16")
    assert 1e-5 < farthest(exact, coarse) < 0.3
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(coarse.params))


def test_shards_of_what_the_optimiser_keeps(made, stepped) -> None:
    """Each device has an eighth of it, where eight divides an axis; what is computed is the same."""
    whole, _ = stepped("jit", DEVICES, 0)
    state, _ = stepped("jit", DEVICES, 0, shard_optimizer=True)
    assert farthest(whole, state) < 1e-6
    kept = jax.tree.leaves(state.opt_state)
    parts = [leaf.size // leaf.addressable_shards[0].data.size for leaf in kept]
    assert parts == [DEVICES if any(length % DEVICES == 0 for length in leaf.shape) else 1 for leaf in kept]
    assert 1 < sum(each == DEVICES for each in parts) < len(parts)
    for leaf in jax.tree.leaves((state.params, state.batch_stats)):
        assert leaf.addressable_shards[0].data.shape == leaf.shape
    begun = made("jit", DEVICES, 0, shard_optimizer=True).init(0)
    assert jax.tree.map(lambda leaf: leaf.sharding.shard_shape(leaf.shape), begun.opt_state) == jax.tree.map(
        lambda leaf: leaf.sharding.shard_shape(leaf.shape), state.opt_state
    )


def test_shards_are_saved_and_restored(made, stepped, tmp_path: pathlib.Path) -> None:
    """By each device its own, and by another number of devices, or as a whole, what they want."""
    state, _ = stepped("jit", DEVICES, 0, shard_optimizer=True)
    with Checkpoints(tmp_path, 1, (), lambda steps: None, pytest.fail) as checkpoints:
        checkpoints.save(STEPS, state)
        checkpoints.wait()
        for program in (made("jit", DEVICES, 0, shard_optimizer=True), made("jit", 1, 0)):
            step, found = checkpoints.restore(program.layout.abstract(program.abstract))
            assert step == STEPS
            assert farthest(found, state) == 0
            expected = program.layout.abstract(program.abstract.opt_state)
            assert jax.tree.map(lambda leaf: leaf.sharding, found.opt_state) == jax.tree.map(
                lambda leaf: leaf.sharding, expected
            )


def test_shards_are_of_jit(recipe) -> None:
    config = configs.override(recipe, {"execution.parallel": "pmap", "execution.shard_optimizer": True})
    with pytest.raises(errors.UserError, match=r"execution\.shard_optimizer wants execution\.parallel = jit"):
        Program(config)


@pytest.mark.parametrize("mapping", ["pmap", "xmap", ""])
def test_layout(mapping: str) -> None:
    if mapping in parallel.MAPPINGS:
        assert parallel.layout(mapping, 0).devices == tuple(jax.devices())
        assert parallel.layout(mapping, 3).devices == tuple(jax.devices()[:3])
    else:
        with pytest.raises(errors.UserError, match=f"unknown execution.parallel '{mapping}'"):
            parallel.layout(mapping, 0)


@pytest.mark.parametrize("count", [-1, 9])
def test_devices_that_are_not_there(count: int) -> None:
    with pytest.raises(errors.UserError, match=f"execution.devices = {count}, but there are 8"):
        parallel.layout("jit", count)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"batch_size": 100}, "8 devices do not divide batch_size = 100"),
        ({"evaluation.batch_size": 100}, "8 devices do not divide evaluation.batch_size = 100"),
        ({"model.bn_group": 5}, "BN groups of 5 do not divide a batch of 32"),
        ({"model.bn_group": 64}, "BN groups of 64 do not divide a batch of 32"),
    ],
)
@pytest.mark.parametrize("mapping", parallel.MAPPINGS)
def test_what_does_not_divide(overrides: dict[str, Any], words: str, mapping: str, recipe) -> None:
    base = {"batch_size": BATCH, "execution.devices": DEVICES, "execution.parallel": mapping}
    with pytest.raises(errors.UserError, match=words):
        Program(configs.override(recipe, base | overrides))


def test_groups_that_straddle_devices(recipe) -> None:
    """96 examples on 8 devices are 12 each; groups of 8 begin within a device and end in the next one."""
    config = configs.override(recipe, {"batch_size": 96, "model.bn_group": 8, "execution.devices": DEVICES})
    assert Program(config).steps_per_epoch == 14
    with pytest.raises(errors.UserError, match=r"a divisor or a multiple of a device's share .*\(12\), not 8; use jit"):
        Program(configs.override(config, {"execution.parallel": "pmap"}))


def test_checkpoint_goes_on_under_another_mapping(made, tmp_path: pathlib.Path) -> None:
    """pmap on eight devices, then jit on eight, then jit on one: as jit on one throughout."""
    short = {"duration": "9 steps", "evaluation.every": "9 steps", "execution.checkpoint.every": "3 steps"}
    folder, plain = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "plain")
    said: list[str] = []

    def train(mapping: str, devices: int, folder: RunFolder, stop: int) -> None:
        program = made(mapping, devices, 0)
        config = configs.override(program.config, short)

        class Short:
            """The program for fewer steps, interrupted at one."""

            steps = 9

            def __getattr__(self, name: str) -> Any:
                return getattr(program, name)

            def run(self, state: Any, sums: Any, done: int, count: int, *rest: Any) -> Any:
                if done + count == stop:
                    os.kill(os.getpid(), signal.SIGTERM)
                return program.run(state, sums, done, count, *rest)

        with signals.noted() as stopped:
            loop.train(Short(), config, folder, said.append, stopped)  # type: ignore[arg-type]

    with pytest.raises(loop.Interrupted):
        train("pmap", DEVICES, folder, 3)
    with pytest.raises(loop.Interrupted):
        train("jit", DEVICES, folder, 6)
    train("jit", 1, folder, 0)
    exact = [line for line in said if "not bit-exact" in line]
    first, second = (line.split("(")[1] for line in exact)
    # Under pmap the compiler's options cannot be given.
    assert first.startswith("parallel: pmap -> jit; convolution: onednn -> canonical; ")
    assert "xla_disable_hlo_passes" in first
    assert second == "device_count: 8 -> 1; convolution: canonical -> onednn)"

    train("jit", 1, plain, 0)
    (row,), (expected,) = folder.metrics(), plain.metrics()
    assert row["step"] == expected["step"] == 9
    assert row.keys() == expected.keys()
    for name in ("batch/loss", "train/loss", "test/loss"):
        np.testing.assert_allclose(row[name], expected[name], rtol=1e-3)


@pytest.mark.slow
def test_command_under_pmap(tmp_path: pathlib.Path, tiny_settings: list[str]) -> None:
    recipe = pathlib.Path(__file__).parents[2] / "configs" / "resnet_cifar_digits.py"
    more = ["--config.execution.parallel=pmap", "--config.execution.devices=0", "--config.duration=1 epochs"]
    command = [sys.executable, "-m", "cnnjax", "train", str(recipe), "--run", str(tmp_path / "run")]
    done = subprocess.run([*command, *tiny_settings, *more], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "completed at step 11" in done.stdout
    environment = parallel_environment(tmp_path / "run")
    assert (environment["parallel"], environment["device_count"]) == ("pmap", 8)


def parallel_environment(folder: pathlib.Path) -> dict[str, Any]:
    import json

    return json.loads((folder / "run.json").read_text())["environment"]
