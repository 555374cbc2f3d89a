"""Experiments: what is asked, the runs that answer, and the answer."""

from cnnjax.sweep.store import load as load
from cnnjax.sweep.store import load_curves as load_curves
