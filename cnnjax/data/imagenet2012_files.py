"""The original archives of ILSVRC-2012 (Russakovsky et al. 2014), as image-net.org gives them.

``ILSVRC2012_img_train.tar`` holds an archive ``<WordNet identifier>.tar`` for each class, with its JPEG files;
``ILSVRC2012_img_val.tar`` holds ``ILSVRC2012_val_<number>.JPEG``. The classes of the latter are in the development kit: a line
for each image in ``ILSVRC2012_validation_ground_truth.txt`` with a number that ``meta.mat`` (a MATLAB file, a table called
``synsets``) gives a WordNet identifier. The table has inner nodes of WordNet too; classes are those without children.

Nothing is unpacked: archives are not compressed, and an image is a range of bytes.
"""

import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import scipy.io

from cnnjax.data.shards import Original
from cnnjax.errors import UserError

TRAIN, VALIDATION, KIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
WANTED = f"{TRAIN}, {VALIDATION} and {KIT}"
DOWNLOAD = None
"""They are given to those who ask for them."""

_TRUTH, _META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"


def find(source: Path) -> Path | None:
    """The folder, if all three archives are in it."""
    return source if all((source / name).is_file() for name in (TRAIN, VALIDATION, KIT)) else None


def read(folder: Path) -> tuple[list[str], dict[str, list[Original]]]:
    """Names of the classes, which are WordNet identifiers, and the images of each split, in the order of a hash of their names.

    Raises:
      UserError: an archive is damaged, or they do not belong together.
    """
    identifiers, truth = _kit(folder / KIT)
    classes = sorted(identifiers.values())
    label = {name: number for number, name in enumerate(classes)}
    train = []
    with _opened(folder / TRAIN) as archive:
        for outer in archive:
            name = outer.name.removesuffix(".tar")
            if name not in label:
                raise UserError(
                    f"{folder / TRAIN} has {outer.name}, which is none of the {len(label)} classes of {KIT}"
                )
            inside = archive.extractfile(outer)
            assert inside is not None  # it is a regular file: a class has one
            with tarfile.open(fileobj=inside, mode="r:") as images:
                train += [_original(folder / TRAIN, each, label[name], outer.offset_data) for each in images]
    if missing := set(classes) - {classes[each.label] for each in train}:
        raise UserError(f"{folder / TRAIN} has no images of {len(missing)} classes, one of them {min(missing)}")
    validation = []
    with _opened(folder / VALIDATION) as archive:
        for each in archive:
            match = re.fullmatch(r".*_val_0*([1-9][0-9]*)\.JPEG", each.name)
            if not match or int(match[1]) > len(truth):
                raise UserError(
                    f"{folder / VALIDATION} has {each.name}, which is none of the {len(truth)} images of {KIT}"
                )
            validation.append(_original(folder / VALIDATION, each, label[identifiers[truth[int(match[1]) - 1]]]))
    if len(validation) != len(truth):
        raise UserError(f"{folder / VALIDATION} has {len(validation)} images, and {KIT} the classes of {len(truth)}")
    return classes, {"train": _mixed(train), "validation": _mixed(validation)}


def _original(path: Path, member: tarfile.TarInfo, label: int, offset: int = 0) -> Original:
    return Original(str(path), offset + member.offset_data, member.size, Path(member.name).name, label)


def _mixed(originals: list[Original]) -> list[Original]:
    return sorted(originals, key=lambda each: hashlib.sha256(each.name.encode()).digest())


def _kit(path: Path) -> tuple[dict[int, str], list[int]]:
    """Number → WordNet identifier of the classes; and the number of each validation image."""
    with _opened(path, "r:gz") as archive:
        members = {Path(each.name).name: each for each in archive if each.isfile()}
        if missing := [name for name in (_TRUTH, _META) if name not in members]:
            raise UserError(f"{path} is not the whole kit: {missing[0]} is missing")
        content = {name: archive.extractfile(members[name]).read() for name in (_TRUTH, _META)}  # type: ignore[union-attr]
    try:
        table = scipy.io.loadmat(io.BytesIO(content[_META]), squeeze_me=True, variable_names=["synsets"])["synsets"]
        leaves = [row for row in table if int(row["num_children"]) == 0]
        identifiers = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
    except Exception as error:  # whatever a parser of a binary format meets in a damaged file
        raise UserError(f"{path}: {_META} is not the table of classes that it should be ({error})") from error
    try:
        truth = [int(line) for line in content[_TRUTH].split()]
    except ValueError as error:
        raise UserError(f"{path}: {_TRUTH} has a number a line, and here is another thing ({error})") from error
    if odd := set(truth) - set(identifiers):
        raise UserError(f"{path}: {_TRUTH} has class {min(odd)}, which {_META} does not have")
    return identifiers, truth


@contextmanager
def _opened(path: Path, mode: str = "r:") -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            yield archive
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
