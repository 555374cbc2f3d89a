"""Visualizing and Understanding Convolutional Networks (Zeiler, Fergus 2013).

Fig. 3: AlexNet with 7×7 kernels at stride 2 first, and 5×5 at stride 2 second; no groups. Maps of 110, 55, 26, 13, 13 and 6:
its 3×3 pools at stride 2 let the last window reach over the end (``ceil``). §3: kernels from N(0, 0.01²), biases of 0, dropout
of one half in the sixth and seventh layer. Table 3's last model has 512, 1024 and 512 maps in its third to fifth layer.

Departures: contrast normalisation across maps is AlexNet's (the paper gives no constants). Popular ports leave it out
(``lrn="none"``), or have it before the pools.
"""

from cnnjax import errors
from cnnjax.models import registry
from cnnjax.models.alexnet import LRN_PLACES, reduced
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, Drop, Flatten, Lrn, Pool, Rows


class ZfNet(Network):
    """The network of Fig. 3.

    Attributes:
      features: maps of the third to fifth convolution.
      lrn: place of contrast normalisation in regard to the first two pools, of :data:`cnnjax.models.alexnet.LRN_PLACES`.
      lrn_mean: whether its alpha is of the mean of squares, as in PyTorch, or of their sum.
      hidden: units of the sixth and seventh layer.
    """

    features: tuple[int, int, int] = (384, 384, 256)
    lrn: str = "after"
    lrn_mean: bool = False
    hidden: int = 4096
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.lrn not in LRN_PLACES:
            raise errors.unknown("lrn", self.lrn, LRN_PLACES)
        super().__post_init__()

    def table(self) -> Rows:
        third, fourth, fifth = self.features
        return [
            Conv("conv1", 96, 7, 2, padding=1, std=0.01),
            *reduced(Pool("pool1", ceil=True), Lrn("lrn1", mean=self.lrn_mean), self.lrn),
            Conv("conv2", 256, 5, 2, padding=0, std=0.01),
            *reduced(Pool("pool2", ceil=True), Lrn("lrn2", mean=self.lrn_mean), self.lrn),
            Conv("conv3", third, std=0.01),
            Conv("conv4", fourth, std=0.01),
            Conv("conv5", fifth, std=0.01),
            Pool("pool5", ceil=True),
            Flatten(),
            Dense("fc6", self.hidden, std=0.01),
            Drop("drop6"),
            Dense("fc7", self.hidden, std=0.01),
            Drop("drop7"),
            Dense("fc8", self.num_classes, "identity", std=0.01),
        ]


registry.register("zfnet", ZfNet, "Zeiler & Fergus 2013, §4, Fig. 3", features=(384, 384, 256))
registry.register(
    "zfnet_wide", ZfNet, "with 512, 1024 and 512 maps; Zeiler & Fergus 2013, Table 3", features=(512, 1024, 512)
)
