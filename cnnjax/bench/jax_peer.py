"""The training step of cnnjax, as a peer: ``python -m cnnjax.bench.jax_peer REQUEST``.

The step is the trainer's own (`cnnjax.train.step`, with the optimiser of the recipe and donated state), on one batch that
lies on the device.
"""

import functools
import json
import sys
import time
from typing import Any

from ml_collections import ConfigDict

from cnnjax import machine


def main() -> None:
    """See `cnnjax.bench.peer`."""
    asked = json.loads(sys.argv[1])
    machine.pin(asked["cores"])
    machine.keep_memory()
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cnnjax import models
    from cnnjax.tasks.classification import Classification
    from cnnjax.train import compiler, optimizer, state, step

    model = models.create(**asked["network"]).clone(conv_form=asked["form"])
    shape = (asked["batch"], asked["size"], asked["size"], 3)
    rng = np.random.default_rng(0)
    batch = {
        "image": jnp.asarray(rng.standard_normal(shape), jnp.float32),
        "label": jnp.arange(shape[0]) % 10,
    }
    settings = {"kind": "sgd", "momentum": 0.9, "nesterov": False, "second_moment": 0.0, "epsilon": 0.0, "clip": 0.0}
    settings |= {"weight_decay": 1e-4, "decay": "coupled"}
    sgd = optimizer.make(ConfigDict({**settings, "decay_multipliers": ((".", 1.0),)}), lambda step: 0.01)
    train_step = jax.jit(
        functools.partial(step.train_step, model=model, task=Classification(np.zeros(shape[1:]), 1.0), optimizer=sgd),
        donate_argnums=0,
        compiler_options=compiler.options(jax.devices()[0].platform),
    )
    initial = jax.jit(lambda: state.create(model, sgd, batch["image"][:1], 0))()

    def compile_step() -> tuple[Any, float]:
        jax.clear_caches()
        start = time.perf_counter()
        compiled = train_step.lower(initial, batch).compile()
        return compiled, time.perf_counter() - start

    compiled, compile_s = compile_step()

    def run(current: Any, steps: int) -> tuple[Any, float]:
        start = time.perf_counter()
        for _ in range(steps):
            current, sums = compiled(current, batch)
        jax.block_until_ready(sums)
        return current, time.perf_counter() - start

    parameters = sum(leaf.size for leaf in jax.tree.leaves(initial.params))
    current, _ = run(initial, 3)
    needs = compiled.memory_analysis()
    info = {
        "version": f"jax {jax.__version__}",
        "parameters": parameters,
        "compile_s": compile_s,
        "program_bytes": needs.temp_size_in_bytes + needs.argument_size_in_bytes if needs else 0,
    }
    print(json.dumps(info), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "steps" in asked:
            current, seconds = run(current, asked["steps"])
        else:
            seconds = compile_step()[1]
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
