"""The classic CNN lineage in JAX."""

__version__ = "0.1.0"
