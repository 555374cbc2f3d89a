"""Initial distributions of the papers."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
"""N(0, 2 / fan_in), fan_in = kh · kw · Cin. He et al. 2015, *Delving Deep into Rectifiers*, equation 10."""

glorot_uniform = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
"""U(±√(6 / (fan_in + fan_out))). Glorot & Bengio 2010, equation 16."""

gaussian = nn.initializers.normal
"""N(0, std²): ``gaussian(0.01)`` is Krizhevsky et al. 2012, §5."""


def lecun_uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """U(±2.4 / fan_in). LeCun et al. 1998, appendix A."""
    bound = 2.4 / np.prod(shape[:-1])
    return jax.random.uniform(key, shape, dtype, -bound, bound)


NAMED = {"he": he_normal, "glorot": glorot_uniform, "gaussian": gaussian(0.01), "lecun": lecun_uniform}
"""Those that a network's field ``kernel_init`` can name."""
