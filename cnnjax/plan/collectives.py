"""What devices send to each other in a step, read from the optimised program."""

import dataclasses
import functools
import math
import re
from collections.abc import Sequence

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_COLLECTIVE = re.compile(rf"= (\(.*?\)|\S+) ({'|'.join(_KINDS)})(-start)?\((.*)")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_ARRAY = re.compile(r"\b([a-z]+[0-9]*(?:e[0-9]m[0-9]\w*)?)\[([0-9,]*)\]")
_BITS = re.compile(r"[0-9]+")


@dataclasses.dataclass(frozen=True)
class Collective:
    """All collectives of one kind, type of numbers and size of group in a step.

    Attributes:
      kind: e.g. ``"all-reduce"``.
      dtype: as XLA writes it, e.g. ``"f32"``.
      group: how many devices take part in each.
      count: how often; several arrays that go together count once, with the type that most of their bytes have.
      bytes: of the whole arrays, all of them together: what is reduced, gathered, scattered or exchanged.
    """

    kind: str
    dtype: str
    group: int
    count: int
    bytes: int

    @property
    def sent(self) -> float:
        """Bytes that a device sends at least: around a ring, each share of the arrays once, or twice for an all-reduce.

        Thakur, Rabenseifner & Gropp 2005, Optimization of Collective Communication Operations in MPICH, §4.
        """
        if self.kind == "collective-permute":
            return self.bytes
        passes = 2 if self.kind == "all-reduce" else 1
        return passes * self.bytes * (self.group - 1) / self.group


def read(text: str, devices: int) -> list[Collective]:
    """The collectives of an optimised program (``compiled.as_text()``), the largest first.

    What a loop holds counts as often as the loop runs, where the compiler knows how often that is, and once elsewhere.

    Args:
      text: the program.
      devices: that it runs on.
    """
    bodies, entry = _computations(text)
    times = _times(bodies, entry)
    found: dict[tuple[str, str, int], tuple[int, int]] = {}
    for name, lines in bodies.items():
        for line in lines:
            if match := _COLLECTIVE.search(line):
                result, kind, start, rest = match.groups()
                sizes = _sizes(result, kind, bool(start))
                group = _group(kind, rest, devices)
                whole = group if kind == "reduce-scatter" else 1
                dtype = max(sizes, key=lambda each: sizes[each], default="")
                count, size = found.get((kind, dtype, group), (0, 0))
                found[kind, dtype, group] = (count + times(name), size + times(name) * whole * sum(sizes.values()))
    rows = [Collective(*key, *value) for key, value in found.items()]
    return sorted(rows, key=lambda each: -each.bytes)


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """Name of each computation → its lines; and the name of the one that is run."""
    bodies: dict[str, list[str]] = {}
    entry = current = ""
    for line in text.splitlines():
        if match := _COMPUTATION.match(line):
            current = match[2]
            bodies[current] = []
            entry = current if match[1] else entry
        elif current:
            bodies[current].append(line)
    return bodies, entry


def _times(bodies: dict[str, list[str]], entry: str) -> "functools._lru_cache_wrapper[int]":
    callers: dict[str, list[tuple[str, int]]] = {}
    for name, lines in bodies.items():
        for line in lines:
            trips = _TRIPS.search(line)
            called = [*_CALLED.findall(line)]
            for branches in _BRANCHES.findall(line):
                called += [each.strip().lstrip("%") for each in branches.split(",")]
            for each in called:
                callers.setdefault(each, []).append((name, int(trips[1]) if trips else 1))

    @functools.cache
    def times(name: str) -> int:
        """How often a computation is run in a step."""
        return 1 if name == entry else sum(times(caller) * trips for caller, trips in callers.get(name, ()))

    return times


def _sizes(result: str, kind: str, start: bool) -> dict[str, int]:
    """Type → bytes of a collective's result."""
    arrays = _ARRAY.findall(result)
    if start and kind == "all-gather":  # what goes in, and what comes out
        arrays = arrays[len(arrays) // 2 :]
    if start and kind == "collective-permute":  # as well, and some numbers of its own
        arrays = arrays[1:2]
    sizes: dict[str, int] = {}
    for dtype, shape in arrays:
        bits = _BITS.search(dtype)
        count = math.prod(int(each) for each in shape.split(",") if each)
        sizes[dtype] = sizes.get(dtype, 0) + math.ceil(count * (int(bits[0]) if bits else 8) / 8)
    return sizes


def _group(kind: str, attributes: str, devices: int) -> int:
    """How many devices take part, from one of the three forms that XLA writes groups in."""
    if match := re.search(r"replica_groups=\{\{([0-9,]*)\}", attributes):
        return _length(match[1].split(","))
    if match := re.search(r"replica_groups=\[([0-9,]+)\]<=", attributes):
        return int(match[1].split(",")[-1])
    if match := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", attributes):
        axes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
        # A part of an axis is written 'name':(before)size.
        named = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", match[2])
        return math.prod(int(part or axes[name]) for name, part in named)
    return devices


def _length(members: Sequence[str]) -> int:
    return len([each for each in members if each])
