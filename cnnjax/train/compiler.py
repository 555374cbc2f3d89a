"""What XLA is asked for when it compiles a training program for a CPU, and the programs that are kept for the next start."""

import contextlib
import functools
import hashlib
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jaxlib
from jax.experimental.compilation_cache import compilation_cache

from cnnjax import config as configs
from cnnjax import machine

_CPU = {
    # YNNPACK's kernel gradient of a 32×32 map takes 200 ms where Eigen's takes 14, and its sums of products are slower too.
    "xla_cpu_experimental_ynn_fusion_type": "",
    # This pass removes optimisation barriers before fusion; `cnnjax.nn.conv` and rematerialisation need them.
    "xla_disable_hlo_passes": "cse_barrier_expander",
}


_SETTINGS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
_TROUBLE = "persistent compilation cache"


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


@contextlib.contextmanager
def keeping_programs(config: configs.ConfigDict, say: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile compiled programs are kept, and read again by later starts, unless ``execution.keep_programs`` is off.

    They lie in a folder of this user alone, for this jaxlib and this machine. JAX does the work (its persistent compilation
    cache). What it cannot write or read is compiled again; ``say`` is told in one line, once. A program that holds oneDNN's
    call cannot be written by jaxlib 0.10.2.
    """
    if not config.execution.keep_programs or not (folder := _private_folder(say)):
        yield
        return
    said: list[Warning | str] = []

    def once(message: Warning | str, *where: Any, **more: Any) -> None:
        if _TROUBLE not in str(message):
            show(message, *where, **more)
        elif not said:
            said.append(message)
            say(f"compiled programs are not all kept: {str(message).splitlines()[0]}")

    with warnings.catch_warnings():
        warnings.filterwarnings("always", f".*{_TROUBLE}")
        show, warnings.showwarning = warnings.showwarning, once
        before = {name: jax.config.values[name] for name in _SETTINGS}
        try:
            _set({"jax_compilation_cache_dir": str(folder), "jax_persistent_cache_min_compile_time_secs": 0.0})
            yield
        finally:
            _set(before)


def _set(values: Mapping[str, Any]) -> None:
    compilation_cache.reset_cache()  # it remembers its folder
    for name, value in values.items():
        jax.config.update(name, value)


def _private_folder(say: Callable[[str], None]) -> pathlib.Path | None:
    identity = f"{jaxlib.__version__} {machine.processor()}"
    folder = machine.cache_folder() / f"programs-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        say(f"compiled programs are not kept: {error.strerror}: {folder}")
        return None
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077):
        say(f"compiled programs are not kept: {folder} is not this user's alone")
        return None
    return folder
