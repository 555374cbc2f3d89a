"""Training from sets that lie whole on every device: many steps in one dispatch, and the host has nothing to do."""

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax import data
from cnnjax.data import pipeline
from cnnjax.train.feed import Feed, Kind
from cnnjax.train.step import Sums

if TYPE_CHECKING:
    from cnnjax.train import state
    from cnnjax.train.program import Program


class Resident(Feed):
    """Feeds a program from the devices' own memory.

    Args:
      program: whose steps are run.
      sets: ``"train"`` and ``"test"``.

    Attributes:
      waited_s: seconds that devices had no batch: none.
    """

    waited_s = 0.0

    def __init__(self, program: "Program", sets: dict[str, data.Arrays]):
        self._program, self._sets = program, sets
        size = program.config.evaluation.batch_size
        self._evaluated = {
            name: pipeline.padded_batches(len(each), size, program.evaluated[name]) for name, each in sets.items()
        }
        results = (program.abstract, jax.eval_shape(program.task.init))
        self.compiled = {
            (frozen, size): program.layout.compile(functools.partial(self.steps, kind=(frozen, size)), (0,), results)
            for frozen in (False, True)
            for size in program.config.task.sizes or (0,)
        }
        self._evaluate_compiled = program.layout.compile(self._evaluate)

    @functools.cached_property
    def arrays(self) -> dict[str, dict[str, jax.Array]]:
        """Both sets, on the devices."""
        put = self._program.layout.put
        return {name: put({"image": each.images[:], "label": each.labels[:]}) for name, each in self._sets.items()}

    @functools.cached_property
    def _batches(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        """The batches of an evaluation, on the devices."""
        return {name: self._program.layout.put(each) for name, each in self._evaluated.items()}

    def run(
        self, kind: Kind, train_state: "state.TrainState", sums: Sums, done: int, count: int, scale: float
    ) -> tuple["state.TrainState", Sums]:
        """See `cnnjax.train.program.Program.run`: all steps in one dispatch."""
        epoch, first = divmod(done, self._program.steps_per_epoch)
        order = pipeline.permutation(train_state.rng, epoch, len(self.arrays["train"]["label"]))
        return self.compiled[kind](
            train_state,
            sums,
            self.arrays["train"],
            self._program.layout.put(order),
            jnp.int32(epoch),
            jnp.int32(first),
            jnp.int32(count),
            jnp.float32(scale),
        )

    def steps(
        self,
        train_state: "state.TrainState",
        sums: Sums,
        arrays: dict[str, jax.Array],
        permutation: jax.Array,
        epoch: jax.Array,
        first: jax.Array,
        count: jax.Array,
        scale: jax.Array,
        *,
        kind: Kind = (False, 0),
    ) -> tuple["state.TrainState", Sums]:
        """``count`` steps of an epoch from its step ``first`` on, to be mapped over the devices."""
        program = self._program

        def one(number: jax.Array, carry: tuple["state.TrainState", Sums]) -> tuple["state.TrainState", Sums]:
            train_state, sums = carry
            batch = program.batch(train_state.rng, arrays, permutation, epoch, first + number)
            train_state, new = program.learn(train_state, batch, scale, *kind)
            return train_state, program.task.merge(sums, new)

        return lax.fori_loop(0, count, one, (train_state, sums))

    def evaluate(self, variables: Any, name: str) -> Sums:
        """The metric's sums over a set."""
        return self._evaluate_compiled(variables, self.arrays[name], *self._batches[name])

    def _evaluate(self, variables: Any, arrays: dict[str, jax.Array], indices: jax.Array, masks: jax.Array) -> Sums:
        program, layout = self._program, self._program.layout

        def one(sums: Sums, these: tuple[jax.Array, jax.Array]) -> tuple[Sums, None]:
            index, mask = (layout.split(each) for each in these)
            new = program.score(variables, {**pipeline.take(arrays, index), "mask": mask})
            return program.task.merge(sums, new), None

        sums, _ = lax.scan(one, program.task.init(), (indices, masks))
        return lax.psum(sums, layout.axis) if layout.axis else sums

    def close(self) -> None:
        """Does nothing: nothing reads ahead."""
