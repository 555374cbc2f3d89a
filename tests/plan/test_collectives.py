"""What devices send, read from small programs in the three forms that XLA's compilers write, and from a compiled one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnnjax.plan.collectives import Collective, read


def program(*lines: str) -> str:
    return "\n".join(
        ["HloModule step", "", "ENTRY %main (p: f32[4]) -> f32[4] {", *(f"  {each}" for each in lines), "}", ""]
    )


LINES = {
    "arrays that go together, groups of a mesh": (
        "%all-reduce.68 = (f32[16]{0:T(128)}, f32[3,3,16,32]{3,2,1,0:T(8,128)}) all-reduce(%a, %b), channel_id=2, "
        "replica_groups=mesh['x'=8,'y'=2] {'x'}, use_global_device_ids=true, to_apply=%add",
        Collective("all-reduce", "f32", 8, 1, 4 * (16 + 4608)),
    ),
    "a part of an axis": (
        "%r = bf16[10]{0} all-reduce(%a), replica_groups=mesh['x'=8] {'x':(2)4}, to_apply=%add",
        Collective("all-reduce", "bf16", 4, 1, 20),
    ),
    "groups one by one": (
        "%r = f32[] all-reduce(%a), replica_groups={{0,1},{2,3},{4,5},{6,7}}, to_apply=%add",
        Collective("all-reduce", "f32", 2, 1, 4),
    ),
    "groups by their shape": (
        "%r = f64[2,2]{1,0} all-reduce(%a), replica_groups=[2,4]<=[8], to_apply=%add",
        Collective("all-reduce", "f64", 4, 1, 32),
    ),
    "all devices": (
        "%r = s32[3]{0} all-reduce(%a), replica_groups={}, to_apply=%add",
        Collective("all-reduce", "s32", 8, 1, 12),
    ),
    "scattered": (
        "%r = f32[2,8]{1,0} reduce-scatter(%a), replica_groups={{0,1,2,3}}, dimensions={0}, to_apply=%add",
        Collective("reduce-scatter", "f32", 4, 1, 4 * 64),
    ),
    "gathered": (
        "%r = pred[8,8]{1,0} all-gather(%a), replica_groups=[1,8]<=[8], dimensions={0}",
        Collective("all-gather", "pred", 8, 1, 64),
    ),
    "gathered, asynchronously": (
        "%r = (f32[1,8]{1,0}, f32[8,8]{1,0}) all-gather-start(%a), replica_groups=[1,8]<=[8], dimensions={0}",
        Collective("all-gather", "f32", 8, 1, 256),
    ),
    "passed on, asynchronously": (
        "%r = (f32[5]{0}, f32[5]{0}, u32[], u32[]) collective-permute-start(%a), source_target_pairs={{0,1},{1,0}}",
        Collective("collective-permute", "f32", 8, 1, 20),
    ),
    "small floats": (
        "%r = f8e4m3fn[100]{0} all-to-all(%a), replica_groups={{0,1}}, dimensions={0}",
        Collective("all-to-all", "f8e4m3fn", 2, 1, 100),
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_collective(name: str) -> None:
    line, found = LINES[name]
    assert read(program(line), 8) == [found]


def test_the_end_of_an_asynchronous_one_is_not_counted_and_those_of_a_kind_are_added() -> None:
    text = program(
        "%s = f32[10]{0} all-reduce-start(%a), replica_groups={{0,1}}, to_apply=%add",
        "%d = f32[10]{0} all-reduce-done(%s)",
        "%t = f32[30]{0} all-reduce(%d), replica_groups={{0,1}}, to_apply=%add",
        "%u = bf16[100]{0} all-reduce(%d), replica_groups={{0,1}}, to_apply=%add",
        "%v = f32[30]{0} add(%all-reduce.1, %t)",
    )
    assert read(text, 2) == [Collective("all-reduce", "bf16", 2, 1, 200), Collective("all-reduce", "f32", 2, 2, 160)]


def test_loops_in_loops() -> None:
    text = """HloModule step

%inner (p: f32[4]) -> f32[4] {
  %r = f32[4]{0} all-reduce(%p), replica_groups={}, to_apply=%add
}

%outer.1 (p: f32[4]) -> f32[4] {
  %w = f32[4]{0} while(%p), condition=%c, body=%inner, backend_config={"known_trip_count":{"n":"3"}}
  %r = bf16[4]{0} all-reduce(%p), replica_groups={}, to_apply=%add
}

%unknown (p: f32[4]) -> f32[4] {
  %r = s8[4]{0} all-reduce(%p), replica_groups={}, to_apply=%add
}

ENTRY %main (p: f32[4]) -> f32[4] {
  %w = f32[4]{0} while(%p), condition=%c, body=%outer.1, backend_config={"known_trip_count":{"n":"5"}}
  %v = f32[4]{0} while(%p), condition=%c, body=%unknown
}
"""
    found = {each.dtype: (each.count, each.bytes) for each in read(text, 4)}
    assert found == {"f32": (15, 240), "bf16": (5, 40), "s8": (1, 4)}


def test_of_a_compiled_loop() -> None:
    """Five gradients of 64 × 64 numbers over four devices, and five sums."""
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    whole, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(None, "data"))

    def descend(weights: jax.Array, batches: jax.Array) -> jax.Array:
        def one(weights: jax.Array, batch: jax.Array) -> tuple[jax.Array, None]:
            return weights - jax.grad(lambda weights: (jnp.tanh(batch @ weights) ** 2).sum())(weights), None

        return jax.lax.scan(one, weights, batches)[0]

    shapes = (
        jax.ShapeDtypeStruct((64, 64), jnp.float32, sharding=whole),
        jax.ShapeDtypeStruct((5, 128, 64), jnp.float32, sharding=split),
    )
    text = jax.jit(descend, out_shardings=whole).lower(*shapes).compile().as_text()
    assert read(text, 4) == [Collective("all-reduce", "f32", 4, 5, 5 * 64 * 64 * 4)]


@given(st.integers(2, 9), st.integers(1, 50))
def test_what_is_sent_around_a_ring(devices: int, share: int) -> None:
    """Played: what each device has of each share, until all have all of it."""
    size = devices * share
    sums = [[{device} for _ in range(devices)] for device in range(devices)]
    sent = 0
    for turn in range(devices - 1):  # each passes a share on, which the next one adds to its own
        moved = [(device, (device - turn) % devices) for device in range(devices)]
        passed = [set(sums[device][place]) for device, place in moved]
        for (device, place), part in zip(moved, passed, strict=True):
            sums[(device + 1) % devices][place] |= part
        sent += share
    scattered = sent
    for turn in range(devices - 1):  # and then the sums
        moved = [(device, (device + 1 - turn) % devices) for device in range(devices)]
        passed = [set(sums[device][place]) for device, place in moved]
        for (device, place), part in zip(moved, passed, strict=True):
            sums[(device + 1) % devices][place] = part
        sent += share
    assert all(part == set(range(devices)) for device in sums for part in device)
    assert Collective("all-reduce", "f32", devices, 1, size).sent == pytest.approx(sent)
    for kind in ("reduce-scatter", "all-gather"):
        assert Collective(kind, "f32", devices, 1, size).sent == pytest.approx(scattered)
