"""Where a run was made."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax

from cnnjax import config as configs
from cnnjax import machine

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml_collections", "cnnjax")


def describe(config: configs.ConfigDict) -> dict[str, Any]:
    """Versions, machine, devices and mapping, as they are kept in ``run.json``."""
    execution = config.execution
    return {
        "python": platform.python_version(),
        "packages": packages(),
        "commit": commit(),
        "machine": f"{platform.system()} {platform.machine()} {machine.processor()}".strip(),
        "device": jax.devices()[0].device_kind,
        "device_count": execution.devices or jax.device_count(),
        "processes": jax.process_count(),
        "shard_optimizer": execution.shard_optimizer,
        "stream": execution.stream,
        "cores": len(machine.cores()),
        "parallel": execution.parallel,
        "steps_per_dispatch": execution.steps_per_dispatch,
        "arithmetic": {
            "accumulate": execution.accumulate,
            "keep": execution.keep,
            "grad_reduce_dtype": execution.grad_reduce_dtype,
            "matmul_precision": str(jax.config.values["jax_default_matmul_precision"]),
            "x64": bool(jax.config.values["jax_enable_x64"]),
            "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        },
    }


def packages() -> dict[str, str]:
    """Versions of what a result depends on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def commit() -> str:
    """The commit of the checkout that this code lies in, ``+changes`` if it was edited; empty outside of a checkout."""
    git = ["git", "-C", str(pathlib.Path(__file__).parent)]
    try:
        ours = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, timeout=10)
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (
        head.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
        if ours.returncode == head.returncode == 0
        else ""
    )
