"""Weights in and out: of other packages, and in files of our own."""

from cnnjax.interop.weights import load as load
from cnnjax.interop.weights import read as read
from cnnjax.interop.weights import save as save
