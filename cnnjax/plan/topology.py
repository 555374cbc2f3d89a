"""Devices that a program can be compiled for without having them."""

import dataclasses
import importlib.util
import math
import os
import re
from collections.abc import Mapping
from typing import Any

from cnnjax import errors

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """What a chip can do at most.

    Attributes:
      name: as its maker calls it.
      flops: FLOP/s of products in bfloat16, which is what XLA makes of float32 on a TPU at its default precision.
      bandwidth: bytes/s between the chip and its memory.
      link: bytes/s of an all-reduce, a chip.
      axes: how many numbers its topologies have.
      options: for `jax.experimental.topologies.get_topology_desc`.
      stack: bytes of stack that its compiler wants; 0: as many as there are.
    """

    name: str
    flops: float
    bandwidth: float
    link: float
    axes: int
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stack: int = 0


TPUS = {
    "v3": Chip("TPU v3", 123e12, 900e9, 332e9, 2),
    "v4": Chip("TPU v4", 275e12, 1200e9, 268e9, 3, {"chip_config_name": "megacore"}),
    "v5e": Chip("TPU v5e", 197e12, 819e9, 200e9, 2),
    "v5p": Chip("TPU v5p", 459e12, 2765e9, 600e9, 3),
    "v6e": Chip("TPU v6e", 918e12, 1638e9, 400e9, 2, stack=GIB),
}
"""Chips of Cloud TPU. Peak of bfloat16, memory bandwidth, and all-reduce bandwidth of a pod divided by its chips (of v5p the
interconnect's 4,800 Gbit/s), from cloud.google.com/tpu/docs/v3, v4, v5e, v5p and v6e, read in 2026. How much memory a program
may have is not in the table: the compiler says. A v3 is two devices; a v4, whose cores work as one, is one. The compiler for
v6e (libtpu 0.0.42) overflows a stack of the usual size."""

H100_BYTES = 84_978_434_048
H100 = f"""
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info {{ major: 9 minor: 8 }}
gpu_device_info {{
  cuda_compute_capability {{ major: 9 }}
  device_memory_size: {H100_BYTES} memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98 threads_per_warp: 32
  threads_per_core_limit: 2048 threads_per_block_limit: 1024
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  shared_memory_per_core: 233472 shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
}}
"""
"""An H100 SXM with 80 GB, as XLA wants it described: NVIDIA's data sheet, and CUDA's limits for compute capability 9.0."""

FORMS = (
    "cpu, cpu:8 (devices), gpu, gpu:8 (devices of a host), gpu:4x8 (hosts, devices of each), "
    + ", ".join(f"{name}:{'x'.join('2' * chip.axes)}" for name, chip in TPUS.items())
    + " and larger ones"
)
EXTRAS = {"tpu": ("libtpu", "tpu"), "gpu": ("jax_plugins.xla_cuda13", "cuda")}
"""Platform → the module that compiles for it, and the extra that brings it."""


@dataclasses.dataclass(frozen=True)
class Topology:
    """Devices of one kind, and how they are joined.

    Attributes:
      text: as it was asked for.
      platform: ``"tpu"``, ``"gpu"`` or ``"cpu"``.
      shape: chips along each axis; of GPUs hosts and devices of each; of CPUs devices.
      chip: what it can do, where that is known.
    """

    text: str
    platform: str
    shape: tuple[int, ...]
    chip: Chip | None = None

    @property
    def chips(self) -> int:
        """How many there are."""
        return math.prod(self.shape)

    def environment(self) -> dict[str, str]:
        """Variables that a process which compiles for it is started with."""
        # Never the devices that may be here, and for TPUs no question to a host that has some.
        flags = f"--xla_force_host_platform_device_count={self.chips}" if self.platform == "cpu" else ""
        asked = " ".join(filter(None, (os.environ.get("XLA_FLAGS", ""), flags)))
        # A cache of programs would take those for other devices, and could not read them again.
        fixed = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": asked, "JAX_ENABLE_COMPILATION_CACHE": "false"}
        if self.platform != "tpu":
            return fixed
        host = {"TPU_ACCELERATOR_TYPE": "v5litepod-8", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_SKIP_MDS_QUERY": "1"}
        quiet = {"TPU_STDERR_LOG_LEVEL": "3", "TPU_LOG_DIR": "disabled"}
        return {**fixed, **host, **quiet, "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}

    def devices(self) -> list[Any]:
        """The devices, in a process with its :meth:`environment`.

        Raises:
          UserError: the compiler knows no such topology.
        """
        import jax
        from jax.experimental import topologies

        if self.platform == "cpu":
            return jax.devices()[: self.chips]
        if self.platform == "gpu":
            shape = "x".join(map(str, (1, *self.shape)))
            return list(topologies.get_topology_desc(platform="cuda", target_config=H100, topology=shape).devices)
        assert self.chip
        options = dict(self.chip.options)
        if self.chips < 4:
            options["chips_per_host_bounds"] = (*self.shape, *(1,) * (3 - len(self.shape)))
        try:
            return list(topologies.get_topology_desc(platform="tpu", topology_name=self.text, **options).devices)
        except jax.errors.JaxRuntimeError as error:
            reason = str(error).splitlines()[0]
            raise errors.UserError(f"libtpu knows no topology {self.text}: {reason}; there are {FORMS}") from None


def parse(text: str) -> Topology:
    """The topology that a text names.

    Raises:
      UserError: an unknown one, or the plugin that compiles for it is not installed.
    """
    name, _, sizes = text.partition(":")
    if not re.fullmatch(r"[1-9][0-9]{0,3}(x[1-9][0-9]{0,3}){0,2}", sizes or "1"):
        raise _unknown(text)
    shape = tuple(map(int, (sizes or "1").split("x")))
    if name in TPUS and sizes and len(shape) == TPUS[name].axes:
        found = Topology(text, "tpu", shape, TPUS[name])
    elif name == "gpu" and len(shape) <= 2:
        found = Topology(text, "gpu", shape if len(shape) == 2 else (1, *shape))
    elif name == "cpu" and len(shape) == 1:
        found = Topology(text, "cpu", shape)
    else:
        raise _unknown(text)
    if found.platform in EXTRAS:
        module, extra = EXTRAS[found.platform]
        if not _importable(module):
            raise errors.UserError(
                f"{text} is compiled by a plugin that is not installed: pip install 'cnnjax[{extra}]'"
            )
    return found


def _unknown(text: str) -> errors.UserError:
    return errors.UserError(f"unknown topology {text!r}; there are {FORMS}")


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False
