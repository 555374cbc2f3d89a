"""Where a run was made."""

import hashlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax

from cnnjax import config as configs

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml_collections", "cnnjax")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(config: configs.ConfigDict) -> dict[str, Any]:
    """Versions, machine, devices and mapping, as they are kept in ``run.json``."""
    execution = config.execution
    return {
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "commit": commit(),
        "machine": f"{platform.system()} {platform.machine()} {_processor()}".strip(),
        "device": jax.devices()[0].device_kind,
        "device_count": execution.devices or jax.device_count(),
        "cores": cores(),
        "parallel": execution.parallel,
        "steps_per_dispatch": execution.steps_per_dispatch,
    }


def commit() -> str:
    """The commit of the checkout that this code lies in, ``+changes`` if it was edited; empty outside of a checkout."""
    git = ["git", "-C", str(pathlib.Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return head.stdout.strip() + ("+changes" if changes.stdout.strip() else "") if head.returncode == 0 else ""


def _processor() -> str:
    file = pathlib.Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor()
    lines = file.read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line for line in lines if line.startswith("flags")), "")
    # Compiled code depends on the instructions that there are, which a model name alone does not tell.
    return f"{model} {hashlib.sha256(flags.encode()).hexdigest()[:6]}"
