"""Parameters and products of the registered networks, counted once and kept: tracing all of them takes minutes.

python -m cnnjax.analysis.sizes        # writes sizes.json again; a test compares it with what independent sources count
"""

import importlib.resources
import json
import pathlib
from typing import NamedTuple

from cnnjax import models
from cnnjax.analysis import cost


class Size(NamedTuple):
    """Of a network as its name stands for it, at the image size of its paper.

    Attributes:
      parameters: those of auxiliary classifiers included.
      macs: for the logits.
      input_shape: height, width, channels.
      used: parameters that the logits depend on.
    """

    parameters: int
    macs: int
    input_shape: tuple[int, int, int]
    used: int


def counted(name: str) -> Size:
    """The size of a network, counted now."""
    model = models.create(name)
    shape = model.input_shape
    # Scanned stages are traced once, and counted as often as they run.
    if hasattr(model, "scan"):
        model = model.clone(scan=True)
    return Size(*cost.size(model, (1, *shape)), shape, cost.used(model, (1, *shape)))


def known() -> dict[str, Size]:
    """The sizes that are kept."""
    text = (importlib.resources.files("cnnjax.analysis") / "sizes.json").read_text()
    return {
        name: Size(total, macs, tuple(shape), used) for name, (total, macs, shape, used) in json.loads(text).items()
    }


if __name__ == "__main__":
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(counted(name))}" for name in sorted(models.entries()))
    pathlib.Path(__file__).with_name("sizes.json").write_text(f"{{\n{lines}\n}}\n")
