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


def crop(keys: jax.Array, images: jax.Array, side: int) -> jax.Array:
    """A square of ``side`` pixels at a random place: Krizhevsky et al. 2012, §4.1, 224 of 256.

    Args:
      keys: ``[N]`` keys.
      images: ``[N, H, W, C]``, at least as large.
      side: pixels.
    """
    height, width, channels = images.shape[1:]

    def one(key: jax.Array, image: jax.Array) -> jax.Array:
        limits = jnp.array([height - side + 1, width - side + 1])
        top, left = jax.random.randint(key, (2,), 0, limits)
        return lax.dynamic_slice(image, (top, left, 0), (side, side, channels))

    return jax.vmap(one)(keys, images)


def central(images: jax.Array, side: int) -> jax.Array:
    """The square of ``side`` pixels in the middle of ``images [N, H, W, C]``; half a pixel further up and left at most."""
    top, left = ((size - side) // 2 for size in images.shape[1:3])
    return images[:, top : top + side, left : left + side]


def jittered(keys: jax.Array, images: jax.Array, sides: tuple[int, int], side: int) -> jax.Array:
    """Images resized so that their shorter side is S, then a square of ``side`` pixels at a random place.

    S is drawn from ``sides``, both ends included. Simonyan & Zisserman 2014, §3.1: [256, 512]; He et al. 2015, §3.4: [256,
    480].

    Args:
      keys: ``[N]`` keys.
      images: ``[N, H, W, C]``.
      sides: least and largest S, at least ``side``.
      side: pixels.
    """
    extent = jnp.array(images.shape[1:3], jnp.float32)

    def one(key: jax.Array, image: jax.Array) -> jax.Array:
        chosen, place = jax.random.split(key)
        zoom = jax.random.randint(chosen, (), sides[0], sides[1] + 1) / extent.min()
        start = jax.random.uniform(place, (2,)) * (extent * zoom - side)
        return window(image, jnp.broadcast_to(zoom, 2), start, (side, side))

    return jax.vmap(one)(keys, images)


def resized(images: jax.Array, shorter: int, side: int) -> jax.Array:
    """Images with a shorter side of so many pixels, and the square of ``side`` pixels in the middle of each."""
    extent = jnp.array(images.shape[1:3], jnp.float32)
    zoom = jnp.broadcast_to(shorter / extent.min(), 2)
    return jax.vmap(lambda image: window(image, zoom, (extent * zoom - side) / 2, (side, side)))(images)


def by_area(
    keys: jax.Array, images: jax.Array, area: tuple[float, float], aspect: tuple[float, float], side: int
) -> jax.Array:
    """A part of each image, of a random size, shape and place, resized to a square of ``side`` pixels.

    Szegedy et al. 2014, §6: 8 % to 100 % of the area, width to height between 3/4 and 4/3. The area is drawn uniformly, the
    ratio's logarithm too; a part that would reach beyond the image is cut to it.

    Args:
      keys: ``[N]`` keys.
      images: ``[N, H, W, C]``.
      area: least and largest share.
      aspect: least and largest width to height.
      side: pixels.
    """
    extent = jnp.array(images.shape[1:3], jnp.float32)

    def one(key: jax.Array, image: jax.Array) -> jax.Array:
        share, shape, place = jax.random.split(key, 3)
        pixels = extent.prod() * jax.random.uniform(share, minval=area[0], maxval=area[1])
        ratio = jnp.exp(jax.random.uniform(shape, minval=jnp.log(aspect[0]), maxval=jnp.log(aspect[1])))
        size = jnp.minimum(jnp.sqrt(jnp.stack([pixels / ratio, pixels * ratio])), extent)
        start = jax.random.uniform(place, (2,)) * (extent - size)
        zoom = side / size
        return window(image, zoom, start * zoom, (side, side))

    return jax.vmap(one)(keys, images)


def window(image: jax.Array, zoom: jax.Array, start: jax.Array, size: tuple[int, int]) -> jax.Array:
    """What lies at ``start`` in an image that has been enlarged.

    Between pixels by bilinear interpolation; where the image is made smaller, over all pixels that a new one covers.

    Args:
      image: ``[H, W, C]``.
      zoom: vertical and horizontal.
      start: top and left, in pixels of the enlarged image.
      size: height and width of the result.
    """
    shape = (*size, image.shape[-1])
    return jax.image.scale_and_translate(image, shape, (0, 1), zoom, -start, method="linear")


def shifted(keys: jax.Array, images: jax.Array, components: jax.Array) -> jax.Array:
    """Adds one colour to all pixels of an image: ``components @ z``, z a standard normal for each component.

    Krizhevsky et al. 2012, §4.1: the components are the principal ones of all pixels' colours, each times its eigenvalue and a
    tenth.

    Args:
      keys: ``[N]`` keys.
      images: ``[N, H, W, C]``.
      components: ``[C, K]``, in the unit of the images.
    """
    draws = jax.vmap(lambda key: jax.random.normal(key, components.shape[1:]))(keys)
    return images + (draws @ components.T)[:, None, None]


def photometric(keys: jax.Array, images: jax.Array, strength: float) -> jax.Array:
    """Brightness, contrast and saturation, each times a factor in 1 ± ``strength``, in a random order.

    Howard 2013, §2, whose distortions GoogLeNet took (Szegedy et al. 2014, §6).

    Args:
      keys: ``[N]`` keys.
      images: ``[N, H, W, C]``, zero is black.
      strength: 0 to 1.
    """

    def towards(image: jax.Array, other: jax.Array, factor: jax.Array) -> jax.Array:
        return other + factor * (image - other)

    changes = (
        lambda image, factor: image * factor,
        lambda image, factor: towards(image, image.mean(), factor),
        lambda image, factor: towards(image, image.mean(-1, keepdims=True), factor),
    )

    def one(key: jax.Array, image: jax.Array) -> jax.Array:
        order, amount = jax.random.split(key)
        factors = jax.random.uniform(amount, (3,), minval=1 - strength, maxval=1 + strength)
        for which in jax.random.permutation(order, 3):
            image = lax.switch(which, changes, image, factors[which])
        return image

    return jax.vmap(one)(keys, images)
