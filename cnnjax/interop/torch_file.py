"""Reads files that `torch.save` has written, without PyTorch and without running their pickles."""

import io
import math
import os
import pathlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from cnnjax import errors
from cnnjax.data import plain_pickle
from cnnjax.data.plain_pickle import NotPlainError

_MAGIC = 0x1950A86A20F9469CFC6C
"""With which files begin that are older than PyTorch 1.6: pickles one after the other, and the storages behind them."""

_DTYPES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


_MOST_AXES = 8
_MOST = 2**48
"""Values of a storage: what no file holds. Python's integers have no end, NumPy's have."""


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


@dataclass
class _Storage:
    key: str
    dtype: np.dtype[Any]
    size: int


@dataclass
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Torch:
    """The dialect of `torch.save`: tensors, and the ordered dictionaries and parameters that hold them."""

    names: Mapping[str, Any] = {
        "collections OrderedDict": "dict",
        "torch._utils _rebuild_tensor_v2": "tensor",
        "torch._utils _rebuild_parameter": "parameter",
        **{f"torch {name}": np.dtype(dtype) for name, dtype in _DTYPES.items()},
    }

    def __init__(self) -> None:
        self.storages: dict[str, _Storage] = {}

    def call(self, function: Any, arguments: Any) -> Any:
        """A dictionary, a tensor, or a parameter's tensor."""
        if function == "dict":
            return dict(arguments[0]) if arguments else {}
        if function == "parameter" and isinstance(arguments[0], _Tensor):
            return arguments[0]
        if function != "tensor" or not isinstance(arguments[0], _Storage):
            raise NotPlainError("it calls something other than the constructors of tensors")
        storage, offset, shape, strides = arguments[:4]
        sizes = (offset, *shape, *strides)
        if len(shape) != len(strides) or len(shape) > _MOST_AXES or not all(map(_is_size, sizes)):
            raise NotPlainError("it holds a tensor whose shape and strides are none")
        last = offset + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))
        if 0 not in shape and (last >= storage.size or math.prod(shape) > storage.size):
            raise NotPlainError(f"it holds a tensor of shape {shape} in a storage of {storage.size} values")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))

    def build(self, target: Any, state: Any) -> None:
        """A dictionary's attributes, which hold versions of modules; not used."""
        if type(target) is not dict:
            raise NotPlainError("it sets the state of something other than a dictionary")

    def elsewhere(self, identity: Any) -> Any:
        """A storage; identity is ("storage", dtype, key, location, size, ...)."""
        kind, dtype, key, _, size, *_ = identity
        if kind != "storage" or not isinstance(dtype, np.dtype) or type(key) is not str or not _is_size(size):
            raise NotPlainError("it refers to something other than a storage of numbers")
        return self.storages.setdefault(key, _Storage(key, dtype, size))

    def finish(self, value: Any) -> Any:
        """The value as it is."""
        return value


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a state dictionary, or of a checkpoint that has one as :data:`STATES`.

    Names lose the ``module.`` that data parallelism puts before them.

    Raises:
      UserError: the file is cut short, or damaged, or holds anything but dictionaries, numbers, strings and tensors. A whole
        module that was saved is refused: it would have to be executed.
    """
    try:
        with path.open("rb") as file:
            if problem := _foreign(file):
                raise errors.UserError(f"{path} {problem}")
            value, arrays = _read_zip(file) if zipfile.is_zipfile(file) else _read_old(file)
        found: dict[str, np.ndarray] = {}
        for name, tensor in _state(value).items():
            short = name.removeprefix("module.")
            if short in found:
                raise NotPlainError(f"it holds both {short!r} and 'module.{short}'")
            if isinstance(tensor, _Tensor):
                found[short] = _array(tensor, arrays)
        return found
    except NotPlainError as error:
        raise errors.UserError(
            f"{path}: {error}; only tensors are read: save a network's state_dict(), which holds nothing else"
        ) from None
    except (zipfile.BadZipFile, EOFError, LookupError, ValueError, TypeError, NotImplementedError) as error:
        raise errors.UserError(f"{path} is damaged or cut short: {error}") from None


def _foreign(file: io.BufferedReader) -> str:
    """What a file is that is no whole one of `torch.save`; empty if it may be one."""
    beginning = file.read(10)
    if not beginning:
        return "is empty"
    if beginning[:4] == b"PK\x03\x04" and not zipfile.is_zipfile(file):
        return "is damaged or cut short: its end, the list of what is in it, is missing"
    # Eight bytes of length, then JSON.
    return "looks like a .safetensors file; name it so" if beginning[8:] == b'{"' else ""


def _read_zip(file: io.BufferedReader) -> tuple[Any, Mapping[str, np.ndarray]]:
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise NotPlainError("it is an archive without one data.pkl")
        if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()):
            raise NotPlainError("it is a compressed archive, which torch.save does not write")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise NotPlainError("it was written on a machine of another byte order")
        dialect = _Torch()
        value = plain_pickle.loads(archive.read(pickles[0]), dialect)
        return value, {
            key: _numbers(archive.read(f"{root}data/{key}"), storage) for key, storage in dialect.storages.items()
        }


def _read_old(file: io.BufferedReader) -> tuple[Any, Mapping[str, np.ndarray]]:
    file.seek(0)
    dialect = _Torch()
    if plain_pickle.load(file, dialect) != _MAGIC:
        raise NotPlainError("it does not begin as a file of torch.save")
    plain_pickle.load(file, dialect)  # version of the protocol
    plain_pickle.load(file, dialect)  # sizes of integers on the machine
    value = plain_pickle.load(file, dialect)
    arrays = {}
    for key in plain_pickle.load(file, dialect):
        if type(key) is not str or key not in dialect.storages:
            raise NotPlainError("it lists storages that no tensor has")
        storage = dialect.storages[key]
        if file.read(8) != storage.size.to_bytes(8, "little"):
            raise NotPlainError(f"its storage {key} does not have {storage.size} values")
        # Not more than what is there: a file of a few bytes may claim to hold any number of values.
        left = os.fstat(file.fileno()).st_size - file.tell()
        arrays[key] = _numbers(file.read(min(storage.size * storage.dtype.itemsize, left)), storage)
    return value, arrays


def _numbers(data: bytes, storage: _Storage) -> np.ndarray:
    if len(data) != storage.size * storage.dtype.itemsize:
        raise NotPlainError(f"its storage {storage.key} is cut short")
    return np.frombuffer(data, storage.dtype)


STATES = ("state_dict", "model_state_dict", "model")
"""Where in a checkpoint the state dictionary is found."""


def _state(value: Any) -> dict[str, Any]:
    for key in STATES:
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not any(isinstance(each, _Tensor) for each in value.values()):
        raise NotPlainError("it holds no dictionary of tensors")
    return {name: each for name, each in value.items() if type(name) is str}


def _array(tensor: _Tensor, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    numbers = arrays[tensor.storage.key][tensor.offset :]
    strides = tuple(stride * numbers.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(numbers, tensor.shape, strides, writeable=False)
