"""How numbers are written on the command line. Each raises an `argparse.ArgumentTypeError` that says so in one line."""

import argparse
import pathlib
import re
import shutil

from cnnjax import machine

_MOST_NUMBERS = 10_000
_LARGEST = 999_999


def seeds(text: str) -> tuple[int, ...]:
    """``"0-2,7"`` → 0, 1, 2, 7."""
    return _numbers("seeds", text)


def cores(text: str) -> tuple[int, ...]:
    there = machine.cores()
    if missing := [each for each in _numbers("cores", text) if each not in there]:
        raise argparse.ArgumentTypeError(f"there is no core {missing[0]} here, only {', '.join(map(str, there))}")
    return _numbers("cores", text)


def _numbers(what: str, text: str) -> tuple[int, ...]:
    parts = [re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part) for part in text.split(",")]
    ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) for part in parts if part]
    if not (all(parts) and all(ranges)):
        raise argparse.ArgumentTypeError(f"{what} are written 0-4 or 0,1,2, not {text!r}")
    if (count := sum(map(len, ranges))) > _MOST_NUMBERS:
        raise argparse.ArgumentTypeError(f"at most {_MOST_NUMBERS:,} {what} can be given, not {count:,}")
    return tuple(dict.fromkeys(number for each in ranges for number in each))


def count(text: str) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]*", text):
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, not {text!r}")
    return _limited(text)


def counts(text: str) -> tuple[int, ...]:
    """``"1,5"`` → 1, 5."""
    if not re.fullmatch(r"0*[1-9][0-9]*(,0*[1-9][0-9]*)*", text):
        raise argparse.ArgumentTypeError(f"numbers from 1 on are written 1,5, not {text!r}")
    return tuple(dict.fromkeys(map(_limited, text.split(","))))


def position(text: str) -> int:
    if not re.fullmatch(r"[0-9]+", text):
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, not {text!r}")
    return _limited(text)


def _limited(text: str) -> int:
    if len(text.lstrip("0")) > len(str(_LARGEST)):
        raise argparse.ArgumentTypeError(f"expected a number up to {_LARGEST:,}, not {text!r}")
    return int(text)


def address(text: str) -> str:
    """Of a host and a port: names, IPv4, or IPv6 in brackets."""
    if not re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}", text):
        raise argparse.ArgumentTypeError(f"an address is written HOST:PORT, not {text!r}")
    return text


def features(text: str) -> tuple[int, ...]:
    """``"0-2,7"`` → 0, 1, 2, 7."""
    return _numbers("features", text)


def shares(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]{1,3}(/[0-9]{1,3}){2}", text):
        raise argparse.ArgumentTypeError(f"per cent of test, valid and train are written 10/15/75, not {text!r}")
    return tuple(int(part) for part in text.split("/"))


def share(text: str) -> float:
    if not re.fullmatch(r"0(\.[0-9]*)?|1(\.0*)?|\.[0-9]+", text):
        raise argparse.ArgumentTypeError(f"expected a number in 0 ... 1, not {text!r}")
    return float(text)


def channels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number a channel is written 0.5,0.5,0.5, not {text!r}") from None


def shape(text: str) -> tuple[int, ...]:
    """``"224"`` → 224, a side; ``"224x192"`` → height and width; ``"224x192x3"`` → height, width and channels."""
    if not re.fullmatch(r"[1-9][0-9]{0,4}(x[1-9][0-9]{0,4}){0,2}", text.lower()):
        raise argparse.ArgumentTypeError(
            "expected a side, 224, height and width, 224x192, or height, width and channels, 224x192x3, each at most 99,999, "
            f"not {text!r}"
        )
    return tuple(int(part) for part in text.lower().split("x"))


def file(text: str) -> pathlib.Path:
    """A file that is to be written."""
    if not text or pathlib.Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected the name of a file, not {text!r}")
    return pathlib.Path(text)


def picture(text: str) -> pathlib.Path:
    """A file that is to be drawn, in a format that its name ends in."""
    from matplotlib.figure import Figure  # here: it takes a while to import

    formats = sorted(Figure().canvas.get_supported_filetypes())
    if (path := file(text)).suffix.lower().removeprefix(".") not in formats:
        raise argparse.ArgumentTypeError(f"a picture's name ends in .{', .'.join(formats)}; not {text!r}")
    return path


def program(text: str) -> str:
    """One that can be run here."""
    if not shutil.which(text):
        raise argparse.ArgumentTypeError(f"expected a program that can be run here, not {text!r}")
    return text


def folder(text: str) -> pathlib.Path:
    """A folder that files are to be written to."""
    if not text or (pathlib.Path(text).exists() and not pathlib.Path(text).is_dir()):
        raise argparse.ArgumentTypeError(f"expected the name of a folder, not {text!r}")
    return pathlib.Path(text)


def memory(text: str) -> int:
    """``"16GiB"`` or ``"16 GB"`` → bytes; without a unit: bytes."""
    units = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
        f"{letter}iB": 2 ** (10 * power) for power, letter in enumerate("KMGT", start=1)
    }
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([KMGT]i?B)?", text)
    if not match or not (found := int(float(match[1]) * units[match[2] or ""])):
        raise argparse.ArgumentTypeError(f"memory is written 16GiB or 16GB, not {text!r}")
    return found
