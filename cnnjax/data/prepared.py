"""Prepared sets on disk: which there are, found without importing TFDS.

TFDS's layout: ``<data_dir>/<name>/[<config>/]<version>/`` with ``dataset_info.json`` beside the shards.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnnjax.errors import UserError


@dataclass(frozen=True)
class Prepared:
    """One prepared version of a set."""

    folder: Path
    name: str
    config: str
    version: tuple[int, ...]
    formats: frozenset[str]
    shards: dict[str, list[int]]  # split → the number of examples in each shard

    @property
    def readable(self) -> bool:
        """Whether it can be read without TensorFlow (tfrecord cannot; parquet ignores slices)."""
        return "array_record" in self.formats


def default_data_dir() -> Path:
    """Where data sets live: $CNNJAX_DATA_DIR, else $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    chosen = os.environ.get("CNNJAX_DATA_DIR") or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(chosen).expanduser()


def resolve_data_dir(data_dir: str | os.PathLike | None) -> Path:
    """The absolute path of ``data_dir``, or of the default."""
    return (Path(data_dir).expanduser() if data_dir else default_data_dir()).absolute()


def find(name: str, data_dir: Path) -> list[Prepared]:
    """Every prepared version of ``name`` (or ``name/config``) below ``data_dir``, the newest first."""
    versions = [*_versions(name, data_dir / name), *_versions(name, *_subfolders(data_dir / name))]
    return sorted(versions, key=lambda prepared: prepared.version, reverse=True)


def names(data_dir: Path) -> list[str]:
    """The names of the sets below ``data_dir`` that can be read."""
    return [folder.name for folder in _subfolders(data_dir) if any(p.readable for p in find(folder.name, data_dir))]


def _versions(name: str, *folders: Path) -> Iterator[Prepared]:
    for folder in folders:
        for version_folder in _subfolders(folder):
            # TFDS prepares in a folder beside (incomplete.…) and renames it.
            if re.fullmatch(r"\d+\.\d+\.\d+", version_folder.name) and (version_folder / "dataset_info.json").is_file():
                yield _read(name, version_folder)


def _read(name: str, folder: Path) -> Prepared:
    try:
        info = json.loads((folder / "dataset_info.json").read_text())
        return Prepared(
            folder=folder,
            name=name,
            config=info.get("configName", ""),
            version=tuple(int(part) for part in folder.name.split(".")),
            formats=frozenset([info.get("fileFormat", "tfrecord"), *info.get("alternativeFileFormats", [])]),
            shards={s["name"]: [int(length) for length in s.get("shardLengths", [])] for s in info.get("splits", [])},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder} is no prepared data set: its dataset_info.json cannot be read ({error})") from error


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
