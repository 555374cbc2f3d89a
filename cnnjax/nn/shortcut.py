"""The shortcut connections of residual networks."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnjax.nn.rows import Conv, Row, Scope, Settings

KINDS = {
    "none": "no shortcut: the plain network",
    "A": "identity; where the shape changes, every stride-th position, and zeros for the new channels",
    "B": "identity; where the shape changes, a strided 1×1 projection",
    "C": "a 1×1 projection everywhere",
    "B3": "as B, projected by 3×3: a departure that popular ports for CIFAR have",
    "highway": "gated: h · T + x · (1 - T), T a sigmoid of x; where the shape changes, x is projected as in B",
}
"""Kind → what it is. He et al. 2015, §3.3 and §4.1 (B and C project), §4.2 (A on CIFAR); Srivastava et al. 2015 (highway)."""


@dataclasses.dataclass(frozen=True)
class Shortcut:
    """``W_s x`` of He et al. 2015, equation 2, for a block that puts out ``features`` channels at ``strides``.

    Parameters: those of a convolution and a normalisation where it projects, else none.

    Attributes:
      kind: ``"A"``, ``"B"``, ``"B3"`` or ``"C"``, see :data:`KINDS`.
      features: channels of the block's output.
      strides: of the block.
    """

    kind: str
    features: int
    strides: tuple[int, int]
    name: str = "shortcut"

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        new = self.features - x.shape[-1]
        changes = new != 0 or self.strides != (1, 1)
        if self.kind == "C" or (self.kind != "A" and changes):
            kernel = 3 if self.kind == "B3" else 1
            return Conv("conv", self.features, kernel, self.strides, activation="identity")(x, settings)
        x = x[:, :: self.strides[0], :: self.strides[1]]
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, new)))


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of a residual network: rows, and a shortcut of some kind around them.

    Attributes:
      body: the residual branch; its last row has no activation.
      kind: see :data:`KINDS`; ``"none"`` gives ``relu(body(x))``.
      features: channels that it puts out.
      strides: of the body.
      carry: rows on the shortcut, before the sum.
      after: rows on the block's result.
    """

    body: tuple[Row, ...]
    kind: str
    features: int
    strides: tuple[int, int]
    carry: tuple[Row, ...] = ()
    after: tuple[Row, ...] = ()

    def module(self, settings: Settings, name: str) -> nn.Module:
        """The block, to be applied to ``x [N, H, W, C]``."""
        return _Block(self, settings, name=name)


class _Block(nn.Module):
    block: Block
    settings: Settings

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        block, settings, y = self.block, self.settings, x
        for row in block.body:
            y = row(y, settings)
        y = self._joined(x, y)
        for row in block.after:
            y = row(y, settings)
        return y

    def _joined(self, x: jax.Array, y: jax.Array) -> jax.Array:
        block, settings = self.block, self.settings
        if block.kind == "none":
            return settings.activate(y, None)
        rows = (Shortcut(block.kind, block.features, block.strides), *block.carry)
        carried = Scope(rows, settings, name="shortcut")(x)
        if block.kind != "highway":
            return settings.activate(y + carried, None)
        # Its bias starts at -2, as Srivastava et al. 2015, §2.2, advise: blocks carry their input at first.
        gate = Conv("conv_gate", block.features, 1, block.strides, activation="sigmoid", norm=False, start=-2.0)(
            x, settings
        )
        return settings.activate(y, None) * gate + carried * (1 - gate)
