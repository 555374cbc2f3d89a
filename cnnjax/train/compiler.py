"""What XLA is asked for when it compiles a training program for a CPU, and the programs that are kept for the next start."""

import functools
import hashlib
import os
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jaxlib

from cnnjax import machine

_CPU = {
    # YNNPACK's kernel gradient of a 32×32 map takes 200 ms where Eigen's takes 14, and its sums of products are slower too.
    "xla_cpu_experimental_ynn_fusion_type": "",
    # This pass removes optimisation barriers before fusion; `cnnjax.nn.conv` and rematerialisation need them.
    "xla_disable_hlo_passes": "cse_barrier_expander",
}


def options(platform: str) -> dict[str, str]:
    """The compiler's options for a platform, empty where it has no such options."""
    return _CPU if platform == "cpu" and not failure() else {}


@functools.cache
def failure() -> str:
    """Why this jaxlib does not take the options for CPUs; empty if it does."""
    try:
        jax.jit(lambda: 0, compiler_options=_CPU).lower().compile()
    except jax.errors.JaxRuntimeError as error:
        return str(error).splitlines()[0]
    return ""


def keep_programs(say: Callable[[str], None]) -> None:
    """Keeps compiled programs in a folder of this user alone, for this jaxlib and this machine; call it before the first.

    JAX does the work (its persistent compilation cache). What it cannot write or read is compiled again; ``say`` is told in
    one line, once. A program that holds oneDNN's call cannot be written by jaxlib 0.10.2.
    """
    identity = f"{jaxlib.__version__} {machine.processor()}"
    folder = machine.cache_folder() / f"programs-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        return say(f"compiled programs are not kept: {error.strerror}: {folder}")
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077):
        return say(f"compiled programs are not kept: {folder} is not this user's alone")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    show = warnings.showwarning
    said: list[Warning | str] = []

    def once(message: Warning | str, *where: Any, **more: Any) -> None:
        if "persistent compilation cache" not in str(message):
            show(message, *where, **more)
        elif not said:
            said.append(message)
            say(f"compiled programs are not all kept: {str(message).splitlines()[0]}")

    warnings.showwarning = once
    return None
