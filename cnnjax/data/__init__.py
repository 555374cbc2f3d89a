"""Data sets by name (`load`, `prepare`), and batches of those that live on the device (`cnnjax.data.pipeline`)."""

from cnnjax.data.arrays import Arrays, MixedError, load
from cnnjax.data.prepared import Prepared, default_data_dir
from cnnjax.data.sets import BUILDERS, prepare, prepare_folder

__all__ = ["BUILDERS", "Arrays", "MixedError", "Prepared", "default_data_dir", "load", "prepare", "prepare_folder"]
