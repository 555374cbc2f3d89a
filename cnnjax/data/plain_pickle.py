"""Reads a pickle of plain data without running it.

A pickle is a program: `pickle.loads` calls whatever the file names. Files that come from elsewhere are therefore walked
opcode by opcode with `pickletools.genops`, which only parses, and an interpreter of a few lines builds from them dicts,
lists, tuples, numbers and strings. It imports nothing and calls nothing the file names; the few names that an array's pickle
mentions are symbols to it, which a dialect gives a meaning, and every other name or opcode is refused.
"""

import io
import math
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol

import numpy as np


class NotPlainError(ValueError):
    """The file is not a pickle of plain data; the message says what it asked for."""


class Dialect(Protocol):
    """What is not plain in a kind of pickle, and what it stands for."""

    @property
    def names(self) -> Mapping[str, Any]:
        """Of the globals that it may mention, as ``"module name"``; their symbols."""

    def call(self, function: Any, arguments: Any) -> Any:
        """What a symbol would have returned."""

    def build(self, target: Any, state: Any) -> None:
        """Gives something that :meth:`call` has returned its state."""

    def elsewhere(self, identity: Any) -> Any:
        """What is kept outside of the pickle under an identity."""

    def finish(self, value: Any) -> Any:
        """The value, once the pickle has ended."""


_MARK = object()

_PUSH_ARGUMENT = {
    *("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINBYTES", "SHORT_BINBYTES"),
}
_PUSH_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUSH_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}


def load(file: IO[bytes], dialect: Dialect) -> Any:
    """The value pickled at the place of ``file``, which is read up to the pickle's end.

    A Python 2 string becomes a `str` with one character a byte (Latin-1).

    Raises:
      NotPlainError: there is no pickle, it is cut short, or needs anything but plain data and what the dialect knows.
    """
    try:
        return _interpret(file, dialect)
    except NotPlainError:
        raise
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        # What a malformed program runs into. Its own values are not quoted: they may be endless.
        raise NotPlainError(f"not a well-formed pickle ({type(error).__name__})") from error


def loads(data: bytes, dialect: Dialect | None = None) -> Any:
    """The same of ``data``; without a dialect arrays of uint8 are known, see :class:`Uint8Arrays`."""
    return load(io.BytesIO(data), dialect or Uint8Arrays())


def _interpret(file: IO[bytes], dialect: Dialect) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(file):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return dialect.finish(stack.pop())
            case "MARK":
                stack.append(_MARK)
            case name if name in _PUSH_ARGUMENT:
                stack.append(argument)
            case name if name in _PUSH_CONSTANT:
                stack.append(_PUSH_CONSTANT[name])
            case name if name in _PUSH_EMPTY:
                stack.append(_PUSH_EMPTY[name]())
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "TUPLE":
                stack.append(tuple(_since_mark(stack)))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(opcode.name[-1])
                stack[-size:] = [tuple(stack[-size:])]
            case "APPEND":
                item = stack.pop()
                _expect(stack[-1], list).append(item)
            case "APPENDS":
                items = _since_mark(stack)
                _expect(stack[-1], list).extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _expect(stack[-1], dict)[_key(key)] = value
            case "SETITEMS":
                items = _since_mark(stack)
                _expect(stack[-1], dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))
            case "GLOBAL":
                if argument not in dialect.names:
                    raise NotPlainError(f"it names {argument.replace(' ', '.')!r}, which plain data does not need")
                stack.append(dialect.names[argument])
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(dialect.call(function, arguments))
            case "BUILD":
                state = stack.pop()
                dialect.build(stack[-1], state)
            case "BINPERSID":
                stack.append(dialect.elsewhere(stack.pop()))
            case name:
                raise NotPlainError(f"it uses the opcode {name}, which plain data does not need")
    raise NotPlainError("it ends before its STOP")


def _since_mark(stack: list[Any]) -> list[Any]:
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _key(value: Any) -> Any:
    """A name or a number: a tuple of tuples of the same ones takes for ever to hash."""
    if not isinstance(value, str | bytes | int | float):
        raise NotPlainError(f"it names an entry by a {type(value).__name__}")
    return value


def _expect(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise NotPlainError(f"it fills a {type(value).__name__} as if it were a {kind.__name__}")
    return value


@dataclass(frozen=True)
class _Name:
    """A global that the pickle mentions: ``module name``."""

    path: str


@dataclass
class _Array:
    """An array that the pickle has announced; its contents arrive with BUILD."""

    value: np.ndarray | None = None


_RECONSTRUCT = _Name("numpy.core.multiarray _reconstruct")
_NDARRAY = _Name("numpy ndarray")
_DTYPE = _Name("numpy dtype")
_UINT8 = object()  # what (_DTYPE, ("u1", …)) reduces to: no other dtype is known


class Uint8Arrays:
    """The dialect of NumPy's pickles, with arrays of uint8."""

    names: Mapping[str, Any] = {name.path: name for name in (_RECONSTRUCT, _NDARRAY, _DTYPE)}

    def call(self, function: Any, arguments: Any) -> Any:
        """The two calls in an array's pickle."""
        if function is _RECONSTRUCT and arguments[0] is _NDARRAY:
            return _Array()
        if function is _DTYPE and arguments[0] == "u1":
            return _UINT8
        raise NotPlainError("it calls something other than the constructors of a uint8 array")

    def build(self, target: Any, state: Any) -> None:
        """Gives an announced array its contents: state is (version, shape, dtype, is-Fortran-order, bytes)."""
        if target is _UINT8:  # byte order and alignment: nothing to say for single bytes
            return
        if type(target) is not _Array:
            raise NotPlainError("it sets the state of something other than an array")
        _, shape, dtype, fortran, content = state
        if dtype is not _UINT8 or not all(type(size) is int and size >= 0 for size in shape):
            raise NotPlainError("it holds an array of something other than uint8")
        content = content.encode("latin-1") if isinstance(content, str) else content
        if len(content) != math.prod(shape):
            raise NotPlainError(f"it holds an array of shape {shape} with {len(content)} bytes")
        target.value = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")

    def elsewhere(self, identity: Any) -> Any:
        """Nothing is kept elsewhere."""
        raise NotPlainError("it refers to something outside of it")

    def finish(self, value: Any) -> Any:
        """``value`` with announced arrays replaced by their contents, at its top and one level down in a dict."""
        if type(value) is dict:
            return {key: item.value if type(item) is _Array else item for key, item in value.items()}
        return value.value if type(value) is _Array else value
