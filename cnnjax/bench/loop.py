"""What surrounds the training step costs: its input, loops over steps and pieces, evaluation, prediction."""

import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from rich import box
from rich.table import Table

from cnnjax import config as configs
from cnnjax.bench.bound import Bound
from cnnjax.data import pipeline
from cnnjax.data.arrays import Arrays
from cnnjax.evaluate import predict
from cnnjax.train.program import Program

EXAMPLES, STEPS, PIECES, PREDICTED = 2048, 8, 4, 32
"""Of the set; steps a turn; pieces of an accumulated batch; pictures that are predicted at once."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that was timed.

    Attributes:
      name: what it is.
      images: how many a turn.
      seconds: of each turn.
    """

    name: str
    images: int
    seconds: list[float]

    @property
    def each(self) -> float:
        """Seconds an image: the median turn."""
        return statistics.median(self.seconds) / self.images


BOUNDS = (
    ("input: shuffled, cropped, mirrored", "one step a dispatch", 0.05),
    (f"{STEPS} steps a dispatch", "one step a dispatch", 1.1),
    (f"accumulated over {PIECES} pieces", "one step, BN groups of a piece", 1.1),
)


def measure(recipe: pathlib.Path, settings: list[str], turns: int, say: Callable[[str], None]) -> list[Row]:
    """Times the recipe's program on random 32×32 images, a turn of each after the other.

    Args:
      recipe: its batch divides into pieces.
      settings: changes to it, ``--config.key=value``.
      turns: of each.
      say: takes one line for the user.
    """
    config = configs.load(recipe)
    config = configs.override(config, configs.parse(config, settings))
    batch = config.batch_size
    grouped = configs.override(config, {"model.bn_group": batch // PIECES})
    accumulated = configs.override(grouped, {"execution.accumulate": PIECES})
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (max(EXAMPLES, STEPS * batch), 32, 32, 3), np.uint8)
    labels = np.arange(len(images), dtype=np.int32) % 10
    noise = Arrays(images, labels, 10, tuple(map(str, range(10))), "noise", "train", "")
    programs = [Program(each, say, {"train": noise, "test": noise}) for each in (config, grouped, accumulated)]
    plain, groups, pieces = programs
    states: dict[Program, Any] = {program: (program.init(0), program.zero()) for program in programs}

    def train(program: Program, count: int) -> Any:
        for first in range(0, STEPS, count):
            state, sums = states[program]
            states[program] = program.run(state, sums, first, count)
        return states[program]

    arrays = {"image": jnp.asarray(images), "label": jnp.asarray(labels)}

    @jax.jit
    def read(rng: jax.Array, permutation: jax.Array) -> jax.Array:
        def one(number: jax.Array, total: jax.Array) -> jax.Array:
            return total + plain.batch(rng, arrays, permutation, jnp.int32(0), number)["image"]

        return lax.fori_loop(0, STEPS, one, jnp.zeros((batch, 32, 32, 3)))

    def inputs() -> Any:
        key = states[plain][0].rng
        return read(key, pipeline.permutation(key, 0, len(images)))

    record = plain.record()
    probabilities, prepared = predict.probabilities(record, say), np.zeros((PREDICTED, *record.input_shape), np.float32)

    def prediction() -> None:
        for _ in range(len(images) // PREDICTED):
            np.asarray(probabilities(states[plain][0].variables, prepared))

    seen = STEPS * batch
    timed: dict[str, tuple[int, Callable[[], Any]]] = {
        "one step a dispatch": (seen, lambda: train(plain, 1)),
        f"{STEPS} steps a dispatch": (seen, lambda: train(plain, STEPS)),
        "one step, BN groups of a piece": (seen, lambda: train(groups, 1)),
        f"accumulated over {PIECES} pieces": (seen, lambda: train(pieces, 1)),
        "input: shuffled, cropped, mirrored": (seen, inputs),
        "evaluation": (len(images), lambda: plain.evaluate(states[plain][0], "test")),
        f"prediction, {PREDICTED} pictures at once": (len(images) // PREDICTED * PREDICTED, prediction),
    }
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(turns + 1):
        for name, (_, run) in timed.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            if turn:  # the first one compiles
                seconds[name].append(time.perf_counter() - start)
    return [Row(name, count, seconds[name]) for name, (count, _) in timed.items()]


def bounds(rows: list[Row]) -> list[Bound]:
    """What must hold of them."""
    each = {row.name: row.each for row in rows}
    return [Bound(f"{name}, to {over}", each[name] / each[over], most) for name, over, most in BOUNDS]


def table(rows: list[Row], caption: str) -> Table:
    """Images a second, and the time of one relative to the first row's."""
    view = Table(
        title="around the training step", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, caption=caption
    )
    for name in ("", "images/s", "low–high", "relative time"):
        view.add_column(name, justify="right" if name else "left", no_wrap=not name)
    for row in rows:
        rates = [row.images / each for each in row.seconds]
        spread = f"{min(rates):,.0f}–{max(rates):,.0f}"
        view.add_row(row.name, f"{1 / row.each:,.0f}", spread, f"{row.each / rows[0].each:.3f}")
    return view
