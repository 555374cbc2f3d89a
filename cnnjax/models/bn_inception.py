"""Batch Normalization (Ioffe, Szegedy 2015): the Inception network of its §4.2 (appendix, Fig. 5).

GoogLeNet with 5×5 convolutions as two 3×3, a third module on 28×28 maps, average as well as max pooling in the modules, and
modules at stride 2 (3c, 4e) in place of the pools between the groups; the first convolution is separable, with eight maps a
channel. Batch normalisation everywhere, no local response normalisation, no dropout in the paper's runs (§4.2.1).

Departures: widths are those of the published Caffe definition, which pytorchcv has (``bn_inception_port``; its first
convolution is an ordinary one). The paper speaks of 13.6 M parameters; these widths have 11.3 M, and what makes the
difference is not known. ``bn_inception_slim`` has slim's widths (4c, 4d, 4e are narrower). The network that *Rethinking the
Inception Architecture* calls Inception-v2 is another one.
"""

from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Branches, Conv, Dense, Drop, GlobalPool, Pool, Row, Rows, Separable, SqueezeExcite

# Maps of: 1×1; 3×3 reduce, 3×3; double 3×3 reduce, its two 3×3; the pool's kind and projection (0: at stride 2, without).
Module = tuple[int, int, int, int, int, str, int]

PAPER: dict[str, Module] = {
    "3a": (64, 64, 64, 64, 96, "average", 32),
    "3b": (64, 64, 96, 64, 96, "average", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "average", 128),
    "4b": (192, 96, 128, 96, 128, "average", 128),
    "4c": (160, 128, 160, 128, 160, "average", 128),
    "4d": (96, 128, 192, 160, 192, "average", 128),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "average", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}
SLIM: dict[str, Module] = {
    **PAPER,
    "4c": (160, 128, 160, 128, 160, "average", 96),
    "4d": (96, 128, 192, 160, 192, "average", 96),
}
"""Module → maps."""


class BnInception(Network):
    """The network of the batch normalisation paper.

    Attributes:
      slim: whether it has slim's widths.
      separable: whether the first convolution is separable.
      se_ratio: of squeeze-and-excitation after each module, see `cnnjax.models.senet`; 0: none.
    """

    slim: bool = False
    separable: bool = True
    se_ratio: int = 0
    batch_norm: bool = True

    def table(self) -> Rows:
        first = Separable("conv1", 64, 7, 2, multiplier=8) if self.separable else Conv("conv1", 64, 7, 2)
        table: list[Row] = [
            first,
            Pool("pool1", ceil=True),
            Conv("conv2_reduce", 64, 1),
            Conv("conv2", 192, 3),
            Pool("pool2", ceil=True),
        ]
        for name, maps in (SLIM if self.slim else PAPER).items():
            table.append(self._module(name, *maps))
        return [*table, GlobalPool(), Drop("drop"), Dense("classifier", self.num_classes, "identity")]

    def _module(
        self, name: str, one: int, reduce: int, three: int, reduce_double: int, double: int, kind: str, project: int
    ) -> Branches:
        strides = 1 if project else 2
        pool = Pool("pool", kind, 3, strides, padding=1 if project else 0, ceil=not project)
        branches: list[tuple[Row, ...]] = [(Conv("conv1", one, 1),)] if one else []
        branches += [
            (Conv("conv1", reduce, 1), Conv("conv2", three, 3, strides)),
            (Conv("conv1", reduce_double, 1), Conv("conv2", double, 3), Conv("conv3", double, 3, strides)),
            (pool, Conv("conv1", project, 1)) if project else (pool,),
        ]
        excite = (SqueezeExcite(ratio=self.se_ratio),) if self.se_ratio else ()
        return Branches(f"inception_{name}", tuple(branches), excite)


class BnInceptionPort(BnInception):
    """As the authors' Caffe definition and pytorchcv have it: convolutions keep their bias."""

    bn_bias: bool = True
    separable: bool = False


registry.register("bn_inception", BnInception, "separable stem; Ioffe & Szegedy 2015, §4.2, Fig. 5", slim=False)
registry.register(
    "bn_inception_port", BnInceptionPort, "ordinary stem, biases; after Ioffe & Szegedy 2015, §4.2, Fig. 5", slim=False
)
registry.register(
    "bn_inception_slim", BnInception, "slim's widths; after Ioffe & Szegedy 2015, §4.2, Fig. 5", slim=True
)
