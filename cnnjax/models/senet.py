"""Squeeze-and-Excitation Networks (Hu, Shen, Albanie, Sun, Wu 2017).

§3: channels are weighted by a gate of all channels' means, two fully connected layers with a ratio of 16 between. §3.3: at
the end of each residual branch (SE-ResNet), after each Inception module (SE-Inception). §6 varies it, in residual networks:
another squeeze and gate (``se_squeeze``, ``se_gate``), some stages only (``se_stages``), other places (``se_place``). The
networks of other papers have a field ``se_ratio``; here are the names.

SENet-154 (appendix): ResNet-152's stages with 64 groups, twice and four times as many maps in a bottleneck; the stem is
three 3×3 convolutions, projections at stride 2 are 3×3, dropout of 0.2 before the classifier.

Departures: the first pool lets its last window reach over the end, as in the authors' Caffe definitions, instead of padding.
"""

from cnnjax.models import registry
from cnnjax.models.bn_inception import BnInception
from cnnjax.models.inception import InceptionV3
from cnnjax.models.inception_v4 import InceptionResNet
from cnnjax.models.resnet import BLOCKS, ResNet
from cnnjax.nn.rows import Conv, Dense, Drop, GlobalPool, Pool, Row, Rows
from cnnjax.nn.shortcut import Block


class SeResNet(ResNet):
    """A ResNet with squeeze-and-excitation."""

    se_ratio: int = 16
    padded_pool: bool = False


class SeNet154(SeResNet):
    """The network of the appendix."""

    shortcut: str = "B3"
    dropout: float = 0.2

    def block(self, features: int, strides: tuple[int, int]) -> Block:
        """A bottleneck with 64 groups."""
        body = (
            Conv("conv1", 2 * features, 1),
            Conv("conv2", 4 * features, 3, strides, groups=64),
            Conv("conv3", 4 * features, 1, activation="identity"),
        )
        # Its first stage projects by 1×1.
        kind = "B" if strides == (1, 1) and self.shortcut == "B3" else self.shortcut
        return Block(body, kind, 4 * features, strides)

    def table(self) -> Rows:
        stem: list[Row] = [
            Conv("conv1", 64, 3, 2),
            Conv("conv2", 64, 3),
            Conv("conv3", 128, 3),
            Pool("pool1", ceil=True),
        ]
        head: list[Row] = [GlobalPool(), Drop("drop"), Dense("classifier", self.num_classes, "identity")]
        return [*stem, *self.stages(BLOCKS[152]), *head]


class SeBnInception(BnInception):
    """BN-Inception with squeeze-and-excitation."""

    se_ratio: int = 16


class SeInceptionV3(InceptionV3):
    """Inception v3 with squeeze-and-excitation."""

    se_ratio: int = 16


class SeInceptionResNet(InceptionResNet):
    """Inception-ResNet with squeeze-and-excitation."""

    se_ratio: int = 16


for _depth in BLOCKS:
    registry.register(
        f"seresnet{_depth}",
        SeResNet,
        f"resnet{_depth} with squeeze-and-excitation; Hu et al. 2017, §4, Table 2",
        depth=_depth,
        bottleneck=_depth >= 50,
    )
registry.register("senet154", SeNet154, "Hu et al. 2017, §6.2 and appendix", depth=152, bottleneck=True)
registry.register("se_bn_inception", SeBnInception, "Hu et al. 2017, §4, Table 2", slim=False)
registry.register("se_inception_v3", SeInceptionV3, "inception_v3 with it; Hu et al. 2017, §3.3, Fig. 2")
registry.register("se_inception_resnet_v2", SeInceptionResNet, "Hu et al. 2017, §4, Table 2", version="v2 released")
