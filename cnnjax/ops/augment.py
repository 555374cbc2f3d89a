"""Random transformations of images: jnp, one key an example, so that an example's draw does not depend on its batch."""

import jax
import jax.numpy as jnp
from jax import lax


def pad_and_crop(keys: jax.Array, images: jax.Array, pad: int) -> jax.Array:
    """Pads ``pad`` zeros on each side and crops the original size at a random place.

    He et al. 2015, §4.2 (4 pixels on 32×32 images).

    Args:
      keys: ``[N]`` keys.
      images: ``[N, H, W, C]``, centred, so that zero is the mean.
      pad: pixels.
    """
    size = images.shape[1:]
    padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))

    def crop(key: jax.Array, image: jax.Array) -> jax.Array:
        top, left = jax.random.randint(key, (2,), 0, 2 * pad + 1)
        return lax.dynamic_slice(image, (top, left, 0), size)

    return jax.vmap(crop)(keys, padded)


def flip(keys: jax.Array, images: jax.Array) -> jax.Array:
    """Mirrors each image left to right with probability one half."""
    mirrored = jax.vmap(jax.random.bernoulli)(keys)
    return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
