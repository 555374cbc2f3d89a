"""The shortcut connections of residual networks."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

KINDS = {
    "none": "no shortcut: the plain network",
    "A": "identity; where the shape changes, every stride-th position, and zeros for the new channels",
    "B": "identity; where the shape changes, a strided 1×1 projection",
    "C": "a 1×1 projection everywhere",
}
"""Kind → what it is. He et al. 2015, §3.3 and §4.1 (B and C project), §4.2 (A on CIFAR)."""


class Shortcut(nn.Module):
    """``W_s x`` of He et al. 2015, equation 2, for a block that puts out ``features`` channels at ``strides``.

    Parameters: those of ``conv`` and ``norm`` where it projects, else none.

    Attributes:
      kind: ``"A"``, ``"B"`` or ``"C"``, see :data:`KINDS`.
      features: channels of the block's output.
      strides: of the block.
      conv: makes a convolution without bias.
      norm: makes a normalisation.
    """

    kind: str
    features: int
    strides: tuple[int, int]
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        new = self.features - x.shape[-1]
        changes = new != 0 or self.strides != (1, 1)
        if self.kind == "C" or (self.kind == "B" and changes):
            x = self.conv(self.features, (1, 1), self.strides, name="conv")(x)
            return self.norm(name="norm")(x, train)
        x = x[:, :: self.strides[0], :: self.strides[1]]
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, new)))
