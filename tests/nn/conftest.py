"""What the layers of a network share, for tests of single rows."""

from collections.abc import Callable
from typing import Any

import pytest

from cnnjax.nn.rows import Settings


@pytest.fixture(scope="session")
def settings() -> Callable[..., Settings]:
    """Those of a network with batch normalisation: ``settings(train=True, dtype="float64")``."""

    def make(train: bool = False, **changes: Any) -> Settings:
        usual = {
            "norm": (("epsilon", 1e-5),),
            "norm_bias": False,
            "activation": "relu",
            "init": "",
            "dropout": 0.5,
            "dtype": "float32",
            "form": "canonical",
            "train": train,
            "bn_train": train,
        }
        return Settings(**{**usual, **changes})

    return make
