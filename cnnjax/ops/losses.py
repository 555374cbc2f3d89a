"""Losses of one example each; sums and means are taken by whoever knows the mask."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Softmax cross-entropy in nats, ``[N]``, of ``logits [N, classes]`` against integer ``labels [N]``.

    Computed in at least float32.

    Args:
      logits, labels: of the examples.
      smoothing: ε of label smoothing: the target is 1 − ε on the label and ε spread evenly over all classes, the label
        included. Szegedy et al. 2015 (Rethinking), §7.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    log_probabilities = jax.nn.log_softmax(logits)
    found = -jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1)[:, 0]
    return (1 - smoothing) * found - smoothing * log_probabilities.mean(-1) if smoothing else found
