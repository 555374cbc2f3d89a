"""What XLA is asked for when it compiles a training program for a CPU."""

import functools

import jax

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
