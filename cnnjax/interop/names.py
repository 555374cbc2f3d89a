"""Names of parameters, ours and those of other packages.

A package's names are rules: a pattern of our unstacked module paths, and the other package's name for it. All of our modules
are known, so a set of rules gives every name of the other side; what a file holds beyond them, or lacks, is an error.
"""

import re
from collections.abc import Iterable, Sequence

from cnnjax import errors

Rule = tuple[str, str]
"""A regular expression that a whole module path matches, and a template: ``{0}`` is the first group, ``{1:-1}`` the second
one less (letters count from ``a`` = 0). A group that has caught ``conv`` or ``norm`` prints as the package's word for it, and
``{index:+4}`` is 4 for a convolution and 5 for its normalisation."""

WORDS = {"conv": "conv", "norm": "bn"}
"""Ours → that of all packages."""


def torch_parameter(module: str, leaf: str) -> str:
    """PyTorch's word for a parameter or statistic of one of our modules, with what stands before it."""
    words = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    return f".{words[leaf]}"


def keras_parameter(module: str, leaf: str) -> str:
    """Keras's word."""
    if leaf == "kernel":
        kind = module.rpartition("_")[2]
        return f"/{kind}_kernel" if kind in ("depthwise", "pointwise") else "/kernel"
    if module.rpartition("/")[2].startswith("norm"):
        return {"scale": "/gamma", "bias": "/beta", "mean": "/moving_mean", "var": "/moving_variance"}[leaf]
    return f"/{leaf}"


class _Group(str):
    """What a group has caught; a format such as ``+1`` adds to it."""

    def __format__(self, spec: str) -> str:
        if not spec:
            return WORDS.get(self, str(self))
        return str((int(self) if self.isdigit() else ord(self) - ord("a")) + int(spec))


def theirs(module: str, rules: Sequence[Rule]) -> str:
    """The other package's name of one of our modules.

    Args:
      module: unstacked path, e.g. ``stage2/block7/conv1``.
      rules: tried in turn.

    Raises:
      UserError: no rule matches.
    """
    for pattern, template in rules:
        if match := re.fullmatch(pattern, module):
            index = _Group(int(module.rpartition("/")[2].startswith("norm")))
            return template.format(*map(_Group, match.groups()), index=index)
    raise errors.UserError(f"no rule names {module!r} in the other package")


def listed(names: Iterable[str], at_most: int = 4) -> str:
    """A few of the names, and how many more there are."""
    names = sorted(names)
    rest = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + rest
