"""Xception: Deep Learning with Depthwise Separable Convolutions (Chollet 2016).

Fig. 5: two ordinary convolutions; three blocks at stride 2, eight that keep 19×19 maps of 728, one at stride 2, all with
shortcuts (projected by 1×1 where the shape changes); two more separable convolutions, global average pooling, one fully
connected layer. 34 separable convolutions with nothing between their two steps (§4.7), batch normalisation after each.
Images of 299×299; dropout of one half before the classifier (§4.4).

The paper's baseline is Inception v3 without its auxiliary classifier (``xception_baseline``); its ablations are fields:
``residual`` off (§4.6) and an activation ``between`` the steps of a separable convolution (§4.7).
"""

from typing import ClassVar

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.models.inception import InceptionV3
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Activation, Conv, Dense, Drop, GlobalPool, Pool, Residual, Row, Rows, Scoped, Separable
from cnnjax.ops.activations import FUNCTIONS


class Xception(Network):
    """The network of Fig. 5.

    Attributes:
      residual: whether blocks have shortcuts.
      same_padding: whether pools are padded as TensorFlow does, with which the paper's network was trained, or on both sides.
      between: activation between the two steps of a separable convolution; ``"identity"`` is none.
    """

    residual: bool = True
    same_padding: bool = True
    between: str = "identity"
    batch_norm: bool = True
    dropout: float = 0.5
    input_shape: ClassVar[tuple[int, int, int]] = (299, 299, 3)

    def __post_init__(self) -> None:
        if self.between not in FUNCTIONS:
            raise errors.unknown("between", self.between, FUNCTIONS)
        super().__post_init__()

    def table(self) -> Rows:
        reducing = (((128, 128), False), ((256, 256), True), ((728, 728), True))
        return [
            Conv("conv1", 32, 3, 2, 0),
            Conv("conv2", 64, 3, 1, 0),
            *(self._block(number, maps, 2, begins) for number, (maps, begins) in enumerate(reducing, start=1)),
            *(self._block(number, (728, 728, 728), 1, True) for number in range(4, 12)),
            self._block(12, (728, 1024), 2, True),
            Separable("conv3", 1536, between=self.between),
            Separable("conv4", 2048, between=self.between),
            GlobalPool(),
            Drop("drop"),
            Dense("classifier", self.num_classes, "identity"),
        ]

    def _block(self, number: int, maps: tuple[int, ...], strides: int, begins_with_activation: bool) -> Row:
        body: list[Row] = []
        for place, features in enumerate(maps, start=1):
            if place > 1 or begins_with_activation:
                body.append(Activation())
            body.append(Separable(f"conv{place}", features, activation="identity", between=self.between))
        if strides > 1:
            body.append(Pool("pool", padding="same" if self.same_padding else 1))
        if not self.residual:
            return Scoped(f"block{number}", tuple(body))
        shortcut = (Conv("conv", maps[-1], 1, strides, activation="identity"),) if strides > 1 else ()
        return Residual(f"block{number}", tuple(body), shortcut, activation="identity")


registry.register("xception", Xception, "Chollet 2016, §4, Fig. 5")
registry.register(
    "xception_baseline", InceptionV3, "what it is compared with: v3 with one head; Chollet 2016, §4.1", auxiliary=False
)
