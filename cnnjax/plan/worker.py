"""The process that compiles: ``python -m cnnjax.plan.worker`` reads a request from its input, and prints an answer.

See `cnnjax.plan.compiled`, which starts it. The step is the trainer's, `cnnjax.train.program.Program.step`, but for two
things that change what a compiler can count, and not what is computed: stages are not scanned, since it counts the body of a
loop once, and convolutions on a CPU are XLA's, since it does not see into a library's.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import math
import os
import re
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.data import Arrays
from cnnjax.plan import collectives, topology
from cnnjax.plan.compiled import Answer, Compiled
from cnnjax.plan.outline import outline
from cnnjax.train import loop, parallel, streamed
from cnnjax.train.program import Program

QUICK: dict[str, dict[str, Any]] = {
    "tpu": {"exec_time_optimization_effort": -1.0},
    "cpu": {"xla_backend_optimization_level": 0},
    "gpu": {},
}
"""Platform → what compiles in a fraction of the time; memory and collectives are nearly the same."""
_SIZE = re.compile(r"\(?([0-9.]+)([KMGT])\b")
_FULL = "RESOURCE_EXHAUSTED"


def main() -> None:
    """See the module."""
    asked = json.loads(sys.stdin.read())
    try:
        answer = dataclasses.asdict(_answer(asked))
    except errors.UserError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
    # A plugin's threads may not end by themselves.
    os._exit(0)


def _answer(asked: dict[str, Any]) -> Answer:
    place = topology.parse(asked["topology"])
    config = configs.stored(asked["config"])
    changes = {"execution.devices": 0, "execution.cpu_convolution": "xla", "dataset.classes": ()}
    sets, streams = {name: outline(config, name) for name in ("train", "test")}, config.execution.stream
    config = streamed.left(config) if streams else config
    config = configs.override(config, changes | ({"model.scan": False} if "scan" in config.model else {}))
    layout = parallel.of(config.execution.parallel, tuple(place.devices()))
    if (count := config.execution.devices) not in (0, len(layout.devices)):
        raise errors.UserError(f"execution.devices = {count}, but {place.text} has {len(layout.devices)}; 0 takes all")
    options = {} if asked["thorough"] else QUICK[place.platform]
    limit = _limit(place, layout)
    notes: list[str] = []
    program = _program(config, config.batch_size, sets, layout, notes)
    steps = [_compiled(program, config.batch_size, sets["train"], options)]
    unit = _unit(config, len(layout.devices))
    if asked["largest"] and (other := other_batch(steps[0], unit, limit)):
        with contextlib.suppress(errors.UserError):  # a batch that the recipe does not take tells nothing of others
            steps.append(_compiled(_program(config, other, sets, layout, []), other, sets["train"], options))
    train = sets["train"]
    return Answer(
        devices=len(layout.devices),
        limit=limit,
        steps=tuple(steps),
        unit=unit,
        training_steps=program.steps,
        parameters=program.parameters,
        network=program.network[0],
        examples=len(train.labels),
        resident=0 if streams else len(train) * math.prod(_shape(program, train)),
        sent=config.batch_size * math.prod(_shape(program, train)),
        compiler=_versions(place.platform),
        notes=tuple(notes),
    )


def other_batch(first: Compiled, unit: int, limit: int) -> int:
    """A second batch, for the line of memory over images: half of the first, or of what fits; 0 if there is none."""
    most = first.batch if first.fits else int(first.batch * limit / first.total)
    half = max(most // 2 // unit * unit, unit)
    return half if half < first.batch else (2 * unit if first.fits else 0)


def _program(
    config: configs.ConfigDict, batch: int, sets: dict[str, Arrays], layout: parallel.Layout, notes: list[str]
) -> Program:
    config = configs.override(config, {"batch_size": batch})
    program = Program(config, notes.append, sets, layout=layout)
    loop.check(program, config)
    return program


def _unit(config: configs.ConfigDict, devices: int) -> int:
    """What batches are multiples of: every device has as many examples in each piece, and BN groups are whole."""
    group = config.model.get("bn_group", 0) or 1
    pieces = config.execution.accumulate
    return devices * pieces * group if pieces > 1 else math.lcm(devices, group)


def _compiled(program: Program, batch: int, train: Arrays, options: dict[str, Any]) -> Compiled:
    """Compiles the step of a batch."""
    layout, pieces = program.layout, program.config.execution.accumulate
    arrays = {
        "image": jax.ShapeDtypeStruct((batch, *_shape(program, train)), jnp.uint8),
        "label": jax.ShapeDtypeStruct((batch,), jnp.int32),
        "index": jax.ShapeDtypeStruct((batch,), jnp.int32),
    }
    state, scale = layout.abstract((program.abstract, jax.ShapeDtypeStruct((), jnp.float32)))
    lowered = layout.compile_step(program.step, program.abstract).lower(state, layout.share(arrays), scale)
    start = time.monotonic()
    try:
        made = lowered.compile(options)
    except jax.errors.JaxRuntimeError as error:
        if _FULL not in str(error):
            raise errors.UserError(f"the compiler has failed: {str(error).splitlines()[0]}") from None
        arguments = _bytes(state) + _bytes(arrays) // len(layout.devices)
        return Compiled(batch, arguments, 0, _sizes(error)[0], 0, False, None, None, (), time.monotonic() - start)
    seconds = time.monotonic() - start
    memory, costs = made.memory_analysis(), made.cost_analysis() or {}
    counted = {name: pieces * costs[key] if key in costs else None for name, key in _COUNTED.items()}
    return Compiled(
        batch=batch,
        arguments=memory.argument_size_in_bytes,
        results=memory.output_size_in_bytes - memory.alias_size_in_bytes,
        temporary=memory.temp_size_in_bytes,
        code=memory.generated_code_size_in_bytes,
        fits=True,
        flops=counted["flops"],
        size=counted["size"],
        collectives=tuple(collectives.read(made.as_text(), len(layout.devices))),
        seconds=seconds,
    )


_COUNTED = {"flops": "flops", "size": "bytes accessed"}
"""What is read of the compiler's counts. It counts the loop over the pieces of an accumulated batch once: times the pieces they
are a little too high, by what the optimiser does once."""


def _shape(program: Program, train: Arrays) -> tuple[int, ...]:
    """Of an image as it lies in the set."""
    side = program.config.dataset.side
    shape = train.images.shape[1:]
    return (side, side, shape[-1]) if side else shape


def _versions(platform: str) -> str:
    plugin = {"tpu": "libtpu", "gpu": "jax-cuda13-plugin"}.get(platform, "jaxlib")
    return f"jax {jax.__version__}, {plugin} {importlib.metadata.version(plugin)}"


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _limit(place: topology.Topology, layout: parallel.Layout) -> int:
    """Bytes that a program may have on one device."""
    if place.platform == "cpu":
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // place.chips
    if place.platform == "gpu":
        return topology.H100_BYTES
    # The compiler does not say it unless asked for more.
    huge = layout.abstract(jax.ShapeDtypeStruct((2**20, 2**20), np.float32))
    try:
        jax.jit(lambda x: x + 1).lower(huge).compile(QUICK["tpu"])
    except jax.errors.JaxRuntimeError as error:
        return _sizes(error)[1]
    raise errors.UserError(f"the compiler for {place.text} does not say how much memory there is")


def _sizes(error: Exception) -> tuple[int, int]:
    """Bytes that a program needs, and that there are, of a message such as ``… (40.00G) exceeds available HBM (15.75G)``."""
    found = [int(float(number) * 2 ** (10 * (1 + "KMGT".index(unit)))) for number, unit in _SIZE.findall(str(error))]
    if len(found) < 2:
        raise errors.UserError(f"a step does not fit: {str(error).splitlines()[0]}")
    return found[0], found[1]


if __name__ == "__main__":
    main()
