"""How one program runs on many devices. Nothing else in training knows of them.

``jit``: one program sees the global batch; the compiler splits it over a mesh with one axis. ``pmap``: every device runs
the program on its share, and the program reduces explicitly over an axis of the same name.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
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
      devices: in order.
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

    def compile(self, program: Callable[..., Any], donate: Sequence[int] = ()) -> Callable[..., Any]:
        """Maps a program over the devices. All arguments and results are whole arrays, the same on every device.

        Args:
          program: calls :meth:`split` on what devices divide among them, and reduces over :attr:`axis`.
          donate: positions of the arguments whose memory the results may take.
        """
        if self.mapping == "jit":
            options = compiler.options(self.devices[0].platform)
            return jax.jit(
                program, donate_argnums=tuple(donate), out_shardings=self._sharding(), compiler_options=options
            )

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
            return mapped[len(arguments)](np.arange(len(self.devices)), *arguments)

        return call

    def compile_step(self, step: Callable[..., Any]) -> Any:
        """Maps ``step(state, batch, scale) → (state, sums)`` over the devices; it can be lowered for abstract arguments too.

        State and scale are whole on every device, and the state is donated; a batch is divided as :meth:`share` has it.
        """
        if self.mapping == "jit":
            return jax.jit(
                step,
                donate_argnums=0,
                in_shardings=(self._sharding(), self._sharding(AXIS), self._sharding()),
                out_shardings=self._sharding(),
                compiler_options=compiler.options(self.devices[0].platform),
            )
        return jax.pmap(step, AXIS, in_axes=(None, 0, None), out_axes=None, devices=self.devices, donate_argnums=0)

    def share(self, batch: Any) -> Any:
        """Shapes of the arrays of a global batch ``[N, ...]`` as :meth:`compile_step` wants them."""
        count = len(self.devices)

        def one(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            if self.mapping == "jit":
                return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._sharding(AXIS))
            return jax.ShapeDtypeStruct((count, leaf.shape[0] // count, *leaf.shape[1:]), leaf.dtype)

        return jax.tree.map(one, batch)

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
        """Copies a tree of arrays to the devices, whole on each."""
        return jax.device_put(tree, self._sharding())

    def abstract(self, tree: Any) -> Any:
        """Shapes with the placement that a checkpoint is restored to."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._sharding()), tree)

    def check_batch(self, name: str, size: int) -> None:
        """Raises a `UserError` where the devices do not divide a batch."""
        if size % len(self.devices):
            raise errors.UserError(f"{len(self.devices)} devices do not divide {name} = {size}")

    def _sharding(self, *axes: str | None) -> NamedSharding:
        mesh = Mesh(np.array(self.devices), (AXIS,), axis_types=(AxisType.Auto,))
        return NamedSharding(mesh, PartitionSpec(*axes))


def layout(mapping: str, count: int) -> Layout:
    """The first ``count`` devices (0: all of them) under a mapping.

    Raises:
      UserError: an unknown mapping, or more devices than there are.
    """
    if mapping not in MAPPINGS:
        raise errors.unknown("execution.parallel", mapping, MAPPINGS)
    devices = jax.devices()
    if count < 0 or count > len(devices):
        raise errors.UserError(
            f"execution.devices = {count}, but there are {len(devices)} ({devices[0].platform}); 0 takes all"
        )
    return Layout(mapping, tuple(devices[: count or len(devices)]))
