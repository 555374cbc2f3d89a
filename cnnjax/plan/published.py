"""How fast networks of this house were trained by others, on chips that a plan is made for."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A published rate.

    Attributes:
      network: its name here.
      chip: of `cnnjax.plan.topology.TPUS`.
      rate: images/s a chip.
      conditions: how it was measured.
      source: where it is published.
    """

    network: str
    chip: str
    rate: float
    conditions: str
    source: str


MEASUREMENTS = (
    Measurement(
        "resnet50",
        "v3",
        2036,
        "16 chips, batch 4096, bfloat16, 4 epochs in 157.3 s with evaluation, TensorFlow",
        "mlcommons/training_results_v0.7, Google, tpu-v3-32-TF",
    ),
    Measurement(
        "resnet50",
        "v3",
        2022,
        "4 chips, batch 1024, bfloat16, 125,100 steps in 4.4 h with evaluation, JAX",
        "google/flax, examples/imagenet",
    ),
    Measurement(
        "resnet50",
        "v4",
        3478,
        "8 chips, batch 2048, bfloat16, 4 epochs in 184.2 s with evaluation, TensorFlow",
        "mlcommons/training_results_v0.7, Google, tpu-v4-16-TF",
    ),
)
"""The rates are computed from the times that the sources give. They are of v1.5, whose strides are on the 3×3 convolutions, and
with images that were cropped on the host."""


def of(network: str, chip: str) -> list[Measurement]:
    """The measurements of a network on a chip; there may be none."""
    return [each for each in MEASUREMENTS if (each.network, each.chip) == (network, chip)]
