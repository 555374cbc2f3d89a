"""The classifiers of YOLO (Redmon et al. 2015, 2016), and the backbones of its detectors.

``darknet19``: *YOLO9000*, §3, Table 6: 19 convolutions, 3×3 and 1×1 in turn, five 2×2 max pools; the last one is a map a
class, averaged. ``yolo_v1_classifier``: *You Only Look Once*, §2.2: the first 20 convolutions of Fig. 3, average pooling
and a fully connected layer, without normalisation; ``extraction`` is the released one, with batch normalisation and a 1×1
convolution at the end. All have leaky ReLUs of 0.1 (equation 2).

Departures: darknet adds its epsilon of 1e-6 to the standard deviation; here it is added to the variance.
"""

from typing import ClassVar

from cnnjax.models import registry
from cnnjax.nn.network import Network
from cnnjax.nn.rows import Conv, Dense, GlobalPool, Pool, Row, Rows

DARKNET_19 = (
    32,
    0,
    64,
    0,
    128,
    -64,
    128,
    0,
    256,
    -128,
    256,
    0,
    512,
    -256,
    512,
    -256,
    512,
    0,
    1024,
    -512,
    1024,
    -512,
    1024,
)
"""Maps of each 3×3 convolution, negative for a 1×1, and 0 for a pool. YOLO9000, Table 6."""

YOLO_V1 = (
    192, 0, -128, 256, -256, 512, 0,
    -256, 512, -256, 512, -256, 512, -256, 512, -512, 1024, 0,
    -512, 1024, -512, 1024,
)  # fmt: skip
"""The same after the first convolution of 7×7 at stride 2 with 64 maps, and a pool. YOLO, Fig. 3."""


def body(maps: tuple[int, ...], first: int) -> list[Row]:
    """Rows of such a list; convolutions are numbered from ``first``."""
    rows: list[Row] = []
    number, pools = first, first - 1
    for count in maps:
        if count:
            rows.append(Conv(f"conv{number}", abs(count), 3 if count > 0 else 1))
            number += 1
        else:
            pools += 1
            rows.append(Pool(f"pool{pools}", window=2))
    return rows


class Darknet19(Network):
    """The network of Table 6."""

    batch_norm: bool = True
    activation: str = "leaky_relu"

    def table(self) -> Rows:
        last = Conv("conv19", self.num_classes, 1, norm=False, activation="identity")
        return [*body(DARKNET_19, first=1), last, GlobalPool()]


class YoloClassifier(Network):
    """The first 20 convolutions of YOLO.

    Attributes:
      connected: whether the classifier is a fully connected layer after the average, or a 1×1 convolution before it.
    """

    connected: bool = True
    activation: str = "leaky_relu"
    input_shape: ClassVar[tuple[int, int, int]] = (224, 224, 3)

    def table(self) -> Rows:
        rows: list[Row] = [Conv("conv1", 64, 7, 2), Pool("pool1", window=2), *body(YOLO_V1, first=2)]
        if self.connected:
            return [*rows, GlobalPool(), Dense("classifier", self.num_classes, "identity")]
        return [*rows, Conv("conv21", self.num_classes, 1, norm=False, activation="identity"), GlobalPool()]


class Extraction(YoloClassifier):
    """As released with darknet."""

    connected: bool = False
    batch_norm: bool = True


registry.register("darknet19", Darknet19, "Redmon & Farhadi 2016 (YOLO9000), §3, Table 6")
registry.register("yolo_v1_classifier", YoloClassifier, "Redmon et al. 2015, §2.2, Fig. 3")
registry.register("extraction", Extraction, "yolo_v1_classifier as released; after Redmon et al. 2015, §2.2")
