"""Activations by name."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

FUNCTIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "scaled_tanh": lambda x: 1.7159 * jnp.tanh(x * (2 / 3)),  # LeCun et al. 1998, equation 6 and appendix A
    "leaky_relu": lambda x: jnp.where(x > 0, x, 0.1 * x),  # Redmon et al. 2016, equation 2
    "elu": jax.nn.elu,  # Clevert et al. 2015, equation 15, with alpha = 1
    "identity": lambda x: x,
}
