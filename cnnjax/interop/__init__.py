"""Weights in and out: of other packages, and in files of our own."""
