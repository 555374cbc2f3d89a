"""Data sets by name: finding what is prepared, preparing what is not."""

import contextlib
import difflib
import importlib
import importlib.util
import io
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from cnnjax import errors
from cnnjax.data import prepared
from cnnjax.errors import UserError


@dataclass(frozen=True)
class Ours:
    """A builder of ours, known without importing TFDS; ``files`` knows the original files, where they are not shipped."""

    module: str
    cls: str
    version: tuple[int, int, int]
    files: str = ""

    def load(self) -> Any:
        """The builder's class."""
        return getattr(importlib.import_module(self.module), self.cls)


BUILDERS = {
    "cifar10": Ours("cnnjax.data.cifar10", "Cifar10", (1, 0, 0), "cnnjax.data.cifar10_files"),
    "digits": Ours("cnnjax.data.digits", "Digits", (1, 0, 0)),
    "fashion_mnist": Ours("cnnjax.data.idx", "FashionMnist", (1, 0, 0), "cnnjax.data.idx_files"),
    "imagenet2012": Ours("cnnjax.data.imagenet2012", "Imagenet2012", (1, 0, 0), "cnnjax.data.imagenet2012_files"),
    "mnist": Ours("cnnjax.data.idx", "Mnist", (1, 0, 0), "cnnjax.data.idx_files"),
    "photographs": Ours("cnnjax.data.photographs", "Photographs", (1, 0, 0)),
}
_SHIPPED = [name for name, ours in BUILDERS.items() if not ours.files]
WHITE = {"digits": 16}
"""Sets whose pixels do not reach to 255 → the largest value of one."""

_EXTRA = "pip install -e '.[tensorflow]'"
_ANY_HOST_OF_TFDS = "https://storage.googleapis.com"


def prepare(
    name: str, data_dir: str | os.PathLike | None = None, source: str | os.PathLike | None = None
) -> prepared.Prepared:
    """Makes sure that ``name`` is prepared below ``data_dir`` and returns it; does nothing if it is.

    Several processes may call this at once: one prepares, the others wait for it. A set appears whole or not at all.

    Args:
      name: one of `BUILDERS`, or a name of TFDS's own (``name`` or ``name/config``; these need the ``tensorflow`` extra).
      data_dir: default: `prepared.default_data_dir`.
      source: where the original files are: a folder or, for cifar10, an archive. Without it, ``downloads/manual`` below
        ``data_dir`` is searched and then the network.

    Raises:
      UserError: the name is unknown, the files are missing or damaged, the network is needed and absent, or
        ``data_dir`` cannot be written.
    """
    root = prepared.resolve_data_dir(data_dir)
    if found := _choose(name, root):
        return found
    if name not in BUILDERS:
        _check_tfds_can(name, root, source)
    with writing(root), locked(root, name):
        if found := _choose(name, root):  # another process was faster
            return found
        _build_ours(name, root, source) if name in BUILDERS else _build_theirs(name, root, source)
        found = _choose(name, root)
    if found is None:
        raise UserError(f"{name} was prepared below {root} but cannot be found there")
    return found


def prepare_folder(
    name: str,
    folder: str | os.PathLike,
    side: int,
    shares: tuple[int, int, int],
    data_dir: str | os.PathLike | None = None,
) -> prepared.Prepared:
    """Prepares a folder of class folders as a set of its own name, see `cnnjax.data.image_folder`.

    Args:
      name: small letters, digits and underscores.
      folder: of class folders.
      side: of the pictures, in pixels; 0: their files are kept.
      shares: per cent of test, valid and train.
      data_dir: default: `prepared.default_data_dir`.

    Raises:
      UserError: the name is taken or none, the folder or a picture in it cannot be read, or ``data_dir`` not be written.
    """
    from cnnjax.data import image_folder

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in {*BUILDERS, *_names_of_tfds()}:
        raise UserError(
            f"a set from a folder is named with small letters, digits and underscores, and not as a set that TFDS knows; "
            f"not {name!r}"
        )
    if min(shares) < 0 or sum(shares) != 100 or not shares[2]:
        raise UserError(f"shares of test, valid and train are per cent, 100 in all, train above 0, not {shares}")
    root = prepared.resolve_data_dir(data_dir)
    with writing(root), locked(root, name):
        if found := _choose(name, root):
            raise UserError(f"{name} is prepared already; remove {found.folder} first, or give another name")
        _run_builder(image_folder.builder(name, root, Path(folder).expanduser(), side, shares), None)
        found = _choose(name, root)
    if found is None:
        raise UserError(f"{name} was prepared below {root} but cannot be found there")
    return found


def require(name: str, data_dir: str | os.PathLike | None = None) -> prepared.Prepared:
    """The prepared set ``name``; prepares it first only if that needs neither the network nor the user."""
    root = prepared.resolve_data_dir(data_dir)
    if found := _choose(name, root):
        return found
    if name not in BUILDERS:
        raise _not_prepared(name, root)
    files = _files(name) if BUILDERS[name].files else None
    # Files of other sets may have the same names as those that cannot be fetched: these are read where the user says.
    if not files or (files.DOWNLOAD and files.find(_manual_dir(root))):
        return prepare(name, root)
    if unreadable := prepared.find(name, root):
        raise _needs_conversion(unreadable[0])
    raise _originals_missing(name, root, "is not prepared")


@contextlib.contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Holds the lock under which ``name`` is written below ``root``; the kernel frees it if the process dies."""
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f".{name.replace('/', '.')}.lock"):
        yield


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turns the system's refusals to write below ``root`` (no permission, no space) into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        place = error.filename or root
        raise UserError(
            f"cannot write {place}: {reason}; free space there, or choose a folder of yours with CNNJAX_DATA_DIR"
        ) from error


def _choose(name: str, root: Path) -> prepared.Prepared | None:
    """The version of ``name`` to read: ours before TFDS's, else the newest. None if there is none."""
    if not re.fullmatch(r"\w+(/[\w.-]+)?", name):
        raise errors.unknown("data set", name, _available(name, root))
    found = prepared.find(name, root)
    readable = [candidate for candidate in found if candidate.readable]
    if not readable:
        if found and name not in BUILDERS:
            raise _needs_conversion(found[0])
        return None
    configs = sorted({candidate.config for candidate in readable})
    if len(configs) > 1:
        choices = ", ".join(f"{name}/{config}" for config in configs)
        raise UserError(f"data set {name!r} is prepared in {len(configs)} configurations; choose one: {choices}")
    if name in BUILDERS:
        ours = BUILDERS[name].version
        return next((candidate for candidate in readable if candidate.version == ours), readable[0])
    return readable[0]


def _manual_dir(root: Path) -> Path:
    return root / "downloads" / "manual"


def _build_ours(name: str, root: Path, source: str | os.PathLike | None) -> None:
    files = {"source": _source(name, root, source)} if BUILDERS[name].files else {}
    try:
        _run_builder(BUILDERS[name].load()(data_dir=root, file_format="array_record", **files), None)
    except RuntimeError as error:  # how array_record says that it cannot write
        raise OSError(str(error)) from error


def _files(name: str) -> Any:
    """What knows a set's original files: ``find``, ``WANTED`` and ``DOWNLOAD``."""
    return importlib.import_module(BUILDERS[name].files)


def _source(name: str, root: Path, source: str | os.PathLike | None) -> Path:
    """Where the original files are, fetched if need be, and if they can be."""
    from cnnjax.data.fetch import fetch

    files, place = _files(name), Path(source).expanduser() if source else _manual_dir(root)
    if not source and not files.DOWNLOAD:
        raise _originals_missing(name, root, "is prepared from its original files, which are not fetched")
    if files.find(place):
        return place
    if source:
        raise _originals_missing(name, root, f"has no original files in {place}")
    try:
        address, archive, checksum = files.DOWNLOAD
        return fetch(address, place / archive, checksum)
    except UserError as error:
        raise _originals_missing(name, root, str(error)) from error


def _originals_missing(name: str, root: Path, problem: str) -> UserError:
    files, command = _files(name), f"`cnnjax data prepare {name} --from FOLDER`"
    if not files.DOWNLOAD:
        return UserError(f"{name}: {problem}; put {files.WANTED} into a folder and run {command}")
    return UserError(
        f"{name}: {problem}; put {files.WANTED} into {_manual_dir(root)} and run `cnnjax data prepare {name}`, or, if it is in "
        f"another folder, {command}"
    )


def _check_tfds_can(name: str, root: Path, source: str | os.PathLike | None) -> None:
    """Raises unless TFDS can prepare its own ``name``: TensorFlow is there, and the network or all that it needs."""
    if name.partition("/")[0] not in _names_of_tfds() or importlib.util.find_spec("tensorflow") is None:
        raise _not_prepared(name, root)
    import tensorflow_datasets as tfds

    from cnnjax.data.fetch import reachable

    by_hand = source is not None and tfds.builder_cls(name.partition("/")[0]).MANUAL_DOWNLOAD_INSTRUCTIONS
    # Asked first: TFDS would try each file again and again for minutes before it says that there is no network.
    if not by_hand and not reachable(_ANY_HOST_OF_TFDS):
        raise UserError(
            f"cannot prepare {name}: no network; run `cnnjax data prepare {name}` where there is one and copy "
            f"{root / name} here"
        )


def _build_theirs(name: str, root: Path, source: str | os.PathLike | None) -> None:
    import tensorflow_datasets as tfds

    try:
        _run_builder(tfds.builder(name, data_dir=root, file_format="array_record"), source)
    except (OSError, ValueError, AssertionError, RuntimeError, ImportError) as error:
        raise UserError(f"TFDS could not prepare {name}: {str(error).splitlines()[0]}") from error


def _run_builder(builder: Any, source: str | os.PathLike | None) -> None:
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir=str(source)) if source else None
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces itself on stdout, which is the command's own
        builder.download_and_prepare(download_config=config)


def _names_of_tfds() -> set[str]:
    """The names of TFDS's own sets, read off its folders (its own list can be had with TensorFlow only)."""
    spec = importlib.util.find_spec("tensorflow_datasets")
    home = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    folders = (path.name for path in (home / "datasets").glob("[a-z]*") if path.is_dir())
    return {*folders, *(path.stem for path in (home / "url_checksums").glob("*.txt"))}


def _available(name: str, root: Path) -> set[str]:
    """What may be asked for: ours, what is prepared, and those of TFDS's many names that resemble ``name``."""
    similar = difflib.get_close_matches(name, _names_of_tfds(), n=3, cutoff=0.75)
    return {*BUILDERS, *prepared.names(root), *similar}


def _not_prepared(name: str, root: Path) -> UserError:
    if name.partition("/")[0] not in _names_of_tfds():
        return errors.unknown("data set", name, _available(name, root), f"looked for a prepared one in {root}")
    return UserError(
        f"data set {name!r} is not prepared in {root}; run `{_EXTRA}` in a clone of cnnjax (TensorFlow, once) and "
        f"`cnnjax data prepare {name}`; ready: {', '.join(sorted({*_SHIPPED, *prepared.names(root)}))}"
    )


def _needs_conversion(found: prepared.Prepared) -> UserError:
    formats = " and ".join(sorted(found.formats))
    return UserError(
        f"data set {found.name!r} in {found.folder} is stored as {formats}, expected array_record; convert it once, "
        f"where `{_EXTRA}` was run in a clone of cnnjax: python -m tensorflow_datasets.scripts.convert_format "
        f"--dataset_version_dir={found.folder} --out_file_format=array_record"
    )
