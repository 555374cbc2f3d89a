"""How one program runs on many devices. Nothing else in training knows of them.

``jit``: one program sees the global batch; the compiler splits it over a mesh with one axis. ``pmap``: every device runs
the program on its share, and the program reduces explicitly over an axis of the same name.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cnnjax import errors
from cnnjax.train import compiler

AXIS = "data"
MAPPINGS = ("jit", "pmap")


@dataclasses.dataclass(frozen=True)
class Layout:
    """The devices of a run and how a program is mapped over them.

    Attributes:
      mapping: ``"jit"`` or ``"pmap"``.
      devices: in order; those of all processes.
    """

    mapping: str
    devices: tuple[jax.Device, ...]

    @property
    def axis(self) -> str | None:
        """The axis that a program reduces over itself: ``None`` under ``jit``."""
        return AXIS if self.mapping == "pmap" else None

    @property
    def runs_on_one_cpu(self) -> bool:
        """Whether each compiled program runs on one CPU device, and is not split over several by the compiler."""
        return self.devices[0].platform == "cpu" and (self.mapping == "pmap" or len(self.devices) == 1)

    def compile(
        self, program: Callable[..., Any], donate: Sequence[int] = (), results: Any = None
    ) -> Callable[..., Any]:
        """Maps a program over the devices. All arguments and results are whole arrays, the same on every device.

        Args:
          program: calls :meth:`split` on what devices divide among them, and reduces over :attr:`axis`.
          donate: positions of the arguments whose memory the results may take.
          results: of ``jit``: their shapes, where some are not whole on every device, see :meth:`divided`.
        """
        if self.mapping == "jit":
            options = compiler.options(self.devices[0].platform)
            placed = self._sharding() if results is None else self._shardings(results)
            return jax.jit(program, donate_argnums=tuple(donate), out_shardings=placed, compiler_options=options)

        mapped: dict[int, Callable[..., Any]] = {}

        def call(*arguments: Any) -> Any:
            # The mapped argument is the device's number: pmap wants one, and all of ours are whole.
            if len(arguments) not in mapped:
                mapped[len(arguments)] = jax.pmap(
                    lambda _, *rest: program(*rest),
                    AXIS,
                    in_axes=(0, *(None,) * len(arguments)),
                    out_axes=None,
                    devices=self.devices,
                    donate_argnums=tuple(position + 1 for position in donate),
                )
            return self.joined(mapped[len(arguments)](np.arange(len(self._sharding().addressable_devices)), *arguments))

        return call

    def compile_step(self, step: Callable[..., Any], state: Any = None) -> Any:
        """Maps ``step(whole, batch, whole) → results`` over the devices; it can be lowered for abstract arguments too.

        A batch is divided as :meth:`share` has it.

        Args:
          step: see `cnnjax.train.program.Program.step`, or the like for evaluation.
          state: shapes of what training changes: the first argument, which is donated, and the first of two results.
        """
        if self.mapping == "pmap":
            donated = () if state is None else (0,)
            return jax.pmap(
                step, AXIS, in_axes=(None, 0, None), out_axes=None, devices=self.devices, donate_argnums=donated
            )
        whole, options = self._sharding(), compiler.options(self.devices[0].platform)
        if state is None:
            return jax.jit(
                step, in_shardings=(whole, self._sharding(AXIS), whole), out_shardings=whole, compiler_options=options
            )
        placed = self._shardings(state)
        return jax.jit(
            step,
            donate_argnums=0,
            in_shardings=(placed, self._sharding(AXIS), whole),
            out_shardings=(placed, whole),
            compiler_options=options,
        )

    def share(self, batch: Any) -> Any:
        """Shapes of the arrays of a global batch ``[N, ...]`` as :meth:`compile_step` wants them."""
        count = len(self.devices)

        def one(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            if self.mapping == "jit":
                return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._sharding(AXIS))
            return jax.ShapeDtypeStruct((count, leaf.shape[0] // count, *leaf.shape[1:]), leaf.dtype)

        return jax.tree.map(one, batch)

    def place(self, batch: Any) -> Any:
        """This process's part ``[n, ...]`` of the arrays of a batch, on its devices, as :meth:`compile_step` wants it.

        The parts of all processes, in order, are the batch.
        """
        here = [device for device in self.devices if device.process_index == jax.process_index()]
        if self.mapping == "jit":
            return jax.tree.map(lambda x: jax.make_array_from_process_local_data(self._sharding(AXIS), x), batch)
        return jax.tree.map(lambda x: x.reshape(len(here), -1, *x.shape[1:]), batch)

    def joined(self, results: Any) -> Any:
        """What a mapped program gave, as arrays of all processes: pmap gives a process the copies on its own devices."""
        if self.mapping == "jit":
            return results
        return multihost_utils.host_local_array_to_global_array(results, self._mesh(), PartitionSpec())

    def split(self, x: jax.Array) -> jax.Array:
        """A device's share of ``x [N, ...]`` along the first axis (in ``jit``: all of it, split by the compiler)."""
        if self.mapping == "jit":
            return lax.with_sharding_constraint(x, self._sharding(AXIS))
        share = x.shape[0] // len(self.devices)
        return lax.dynamic_slice_in_dim(x, lax.axis_index(AXIS) * share, share)

    def pieces(self, tree: Any, count: int) -> Any:
        """Divides what :meth:`split` gave along its first axis: ``[n, ...]`` becomes ``[count, n / count, ...]``.

        Every device keeps its examples: a piece holds as many of each.
        """
        devices = len(self.devices) if self.mapping == "jit" else 1

        def divide(x: jax.Array) -> jax.Array:
            x = x.reshape(devices, count, -1, *x.shape[1:]).swapaxes(0, 1)
            x = x.reshape(count, -1, *x.shape[3:])
            return lax.with_sharding_constraint(x, self._sharding(None, AXIS)) if self.mapping == "jit" else x

        return jax.tree.map(divide, tree)

    def put(self, tree: Any) -> Any:
        """Copies a tree of arrays, which every process has, to the devices, whole on each."""
        return _copy(self._sharding())(tree)

    def abstract(self, tree: Any) -> Any:
        """Shapes with the placement that a checkpoint is restored to: whole on each device, if they have none yet."""

        def one(leaf: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding or self._sharding())

        return jax.tree.map(one, tree)

    def divided(self, tree: Any) -> Any:
        """Shapes of arrays of which each device has a part: along the longest axis that the devices divide, else the whole."""
        count = len(self.devices)

        def one(leaf: Any) -> jax.ShapeDtypeStruct:
            lengths = [length if length % count == 0 else 0 for length in leaf.shape]
            axis = lengths.index(max(lengths)) if any(lengths) else -1
            axes = [AXIS if number == axis else None for number in range(axis + 1)]
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._sharding(*axes))

        return jax.tree.map(one, tree)

    def divide(self, tree: Any, shapes: Any) -> Any:
        """Leaves each device the part of whole arrays that :meth:`divided` gives it."""
        return jax.jit(lambda tree: tree, out_shardings=self._shardings(shapes))(tree)

    def check_batch(self, name: str, size: int) -> None:
        """Raises a `UserError` where the devices do not divide a batch."""
        if size % len(self.devices):
            processes = len({device.process_index for device in self.devices})
            of = f" of {processes} processes" if processes > 1 else ""
            raise errors.UserError(f"{len(self.devices)} devices{of} do not divide {name} = {size}")

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self._mesh(), PartitionSpec(*axes))

    def _shardings(self, shapes: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.sharding, self.abstract(shapes))

    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (AXIS,), axis_types=(AxisType.Auto,))


@functools.cache
def _copy(sharding: NamedSharding) -> Callable[[Any], Any]:
    if sharding.is_fully_addressable:
        return lambda tree: jax.device_put(tree, sharding)
    # Of several processes device_put takes no keys, and sends everything around to compare it.
    return jax.jit(lambda tree: tree, out_shardings=sharding)


def layout(mapping: str, count: int) -> Layout:
    """The first ``count`` devices (0: all of them) under a mapping.

    Raises:
      UserError: an unknown mapping, or more devices than there are.
    """
    # Process by process: each reads a part of a batch that its own devices take.
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    if count < 0 or count > len(devices):
        raise errors.UserError(
            f"execution.devices = {count}, but there are {len(devices)} ({devices[0].platform}); 0 takes all"
        )
    return of(mapping, tuple(devices[: count or len(devices)]))


def of(mapping: str, devices: tuple[jax.Device, ...]) -> Layout:
    """Some devices under a mapping.

    Raises:
      UserError: an unknown mapping.
    """
    if mapping not in MAPPINGS:
        raise errors.unknown("execution.parallel", mapping, MAPPINGS)
    return Layout(mapping, devices)
