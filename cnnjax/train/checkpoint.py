"""Checkpoints that survive a kill at any moment and notice a flipped bit.

Orbax writes asynchronously and commits by renaming, but reads back whatever bytes it finds. So a manifest with the sha256
of every file, and of itself, is written after each commit; a step without one, or that does not agree with it, is set aside.

Of several processes all write their shares and read what they need, in a folder that they share; the first one keeps the
manifests.
"""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from cnnjax import errors, files
from cnnjax.train import hosts

_OVERHEAD = 1 << 16
"""Bytes of a checkpoint beside its arrays, generously."""


class Checkpoints:
    """The checkpoints of a run: ``<directory>/<step>/`` by Orbax, ``<directory>/<step>.json`` the manifest.

    Args:
      directory: made when the first one is saved.
      keep: how many of the newest are kept, at least one.
      at: steps that are kept in any case.
      best: the best of some steps (asked after each save), or ``None``; it is kept too.
      say: takes one line for the user.

    Raises:
      UserError: none is to be kept.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        keep: int,
        at: Iterable[int],
        best: Callable[[list[int]], int | None],
        say: Callable[[str], None],
    ):
        if keep < 1:
            raise errors.UserError(f"execution.checkpoint.keep is at least 1, not {keep}")
        self._directory = directory.absolute()
        self._keep, self._at, self._best, self._say = keep, frozenset(at), best, say
        # A directory that cannot be made is an error at once; made in the background, threads wait for it for 20 minutes.
        self._orbax = ocp.StandardCheckpointer(async_options=ocp.AsyncOptions(create_directories_asynchronously=False))
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "commit")
        self._pending: concurrent.futures.Future[None] | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            with contextlib.suppress(Exception):  # raises again what a save raised, and what we have said by then
                self._orbax.close()

    def steps(self) -> list[int]:
        """See :func:`steps`."""
        return steps(self._directory)

    def save(self, step: int, tree: Any) -> None:
        """Begins to save ``tree`` as ``step``, and returns when its arrays have been copied."""
        hosts.on_all(self.wait)
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
        if not hosts.from_first(lambda: self._begin(step, size)):
            return
        # The arrays are donated to the next step while this thread still writes: give it copies.
        copy = jax.tree.map(jnp.copy, tree)
        try:
            self._orbax.save(self._directory / str(step), copy, force=True)
        except Exception as error:
            raise _cannot_save(self._directory / str(step), error) from error
        self._pending = self._thread.submit(self._commit, step, _describe(tree))

    def wait(self) -> None:
        """Returns when the last save is on disk with its manifest."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()

    def restore(self, abstract: Any) -> tuple[int, Any] | None:
        """The newest checkpoint that is whole, with its step; ``None`` if there is none.

        Args:
          abstract: the tree's shapes and placement.

        Raises:
          UserError: the checkpoint holds something else than ``abstract``.
        """
        step = hosts.from_first(lambda: self._newest(_describe(abstract)))
        return None if step is None else (step, self._orbax.restore(self._directory / str(step), abstract))

    def _newest(self, expected: dict[str, Any]) -> int | None:
        """The newest checkpoint that is whole; what is not is set aside."""
        self._clear_unfinished()
        for step in reversed(self.steps()):
            manifest = _read_manifest(self._manifest(step))
            damage = _damage(self._directory / str(step), manifest["files"]) if manifest else "its manifest is damaged"
            if damage:
                self._set_aside(step, damage)
                continue
            _check_same(manifest["tree"], expected, self._directory / str(step))
            return step
        return None

    def _begin(self, step: int, size: int) -> bool:
        """Whether a step of so many bytes is to be saved; raises a `UserError` where it cannot be."""
        if step in self.steps():
            return False
        try:
            _check_room(self._directory, size)
        except OSError as error:
            raise _cannot_save(self._directory / str(step), error) from error
        return True

    def _manifest(self, step: int) -> pathlib.Path:
        return self._directory / f"{step}.json"

    def _commit(self, step: int, description: dict[str, Any]) -> None:
        folder = self._directory / str(step)
        try:
            self._orbax.wait_until_finished()
            if not hosts.is_first():
                return
            manifest = _sealed({"step": step, "files": _hashes(folder), "tree": description})
            files.write_json(self._manifest(step), manifest)
        except Exception as error:
            raise _cannot_save(folder, error) from error
        self._prune()

    def _prune(self) -> None:
        steps = self.steps()
        keep = {*steps[-self._keep :], *self._at, self._best(steps)}
        for step in steps:
            if step not in keep:
                # The manifest goes first: without it what is left of the step is known to be no checkpoint.
                self._manifest(step).unlink()
                shutil.rmtree((self._directory / str(step)).rename(self._directory / f"{step}.removed"))

    def _clear_unfinished(self) -> None:
        """Removes what a kill has left behind; a step that lost nothing but its manifest is set aside."""
        for path in [*self._directory.glob("*")]:
            if re.fullmatch(r"\d+\.(orbax-checkpoint-tmp.*|removed)", path.name):
                _remove(path)
            elif path.name.isdigit() and not self._manifest(int(path.name)).exists():
                aside = path.with_name(f"{path.name}.unfinished")
                _remove(aside)
                path.rename(aside)
                self._say(
                    f"checkpoint {path.name} has no manifest, as if killed while saved; set aside as {aside.name}"
                )

    def _set_aside(self, step: int, damage: str) -> None:
        folder, number = self._directory / str(step), 1
        aside = self._directory / f"{step}.corrupt"
        while aside.exists():
            number += 1
            aside = self._directory / f"{step}.corrupt-{number}"
        if folder.exists():
            folder.rename(aside)
        self._manifest(step).rename(aside.with_name(aside.name + ".manifest"))
        before = max(self.steps(), default=0)
        then = f"checkpoint {before} is tried next" if before else "training starts again from step 0"
        self._say(f"checkpoint {step} is corrupt ({damage}); set aside as {aside.name}, {then}")


def steps(directory: pathlib.Path) -> list[int]:
    """Steps that have been committed with a manifest, in order."""
    return sorted(int(path.stem) for path in directory.glob("*.json") if path.stem.isdigit())


def peek(directory: pathlib.Path, step: int, abstract: Any) -> Any | None:
    """The tree of a step, read beside a run that goes on: nothing in ``directory`` is changed.

    Args:
      directory: of the checkpoints.
      step: one of :func:`steps`.
      abstract: the tree's shapes and placement.

    Returns:
      ``None`` where the run has removed it meanwhile.

    Raises:
      UserError: the checkpoint is damaged, or holds something else than ``abstract``.
    """
    folder, file = directory.absolute() / str(step), directory / f"{step}.json"
    try:
        manifest = _read_manifest(file)
        damage = _damage(folder, manifest["files"]) if manifest else "its manifest is damaged"
        if damage:
            raise errors.UserError(
                f"checkpoint {folder} is corrupt ({damage}); without it and {file.name} the others are read"
            )
        _check_same(manifest["tree"], _describe(abstract), folder)
        with ocp.StandardCheckpointer() as orbax:
            return orbax.restore(folder, abstract)
    except Exception:
        # The manifest is what a run removes first.
        if file.exists():
            raise
        return None


def all_finite(tree: Any) -> jax.Array:
    """Whether no floating-point leaf has an infinity or a NaN in it: a boolean scalar."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def _describe(tree: Any) -> dict[str, Any]:
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): [*leaf.shape, str(leaf.dtype)] for path, leaf in paths
    }


def _check_same(found: dict[str, Any], expected: dict[str, Any], folder: pathlib.Path) -> None:
    for name in sorted({*found, *expected}):
        if found.get(name) != expected.get(name):
            have, want = (tree.get(name, "nothing") for tree in (found, expected))
            raise errors.UserError(
                f"{folder} is a checkpoint of another model: it has {have} for {name}, expected {want}"
            )


def _sealed(content: dict[str, Any]) -> dict[str, Any]:
    """A manifest with its own sha256 in it."""
    return {**content, "sha256": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}


def _read_manifest(file: pathlib.Path) -> dict[str, Any]:
    """A manifest; empty if it is damaged."""
    try:
        manifest = json.loads(file.read_bytes())
        content = {key: value for key, value in manifest.items() if key != "sha256"}
    except (ValueError, AttributeError):
        return {}
    return manifest if manifest == _sealed(content) else {}


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _hashes(folder: pathlib.Path) -> dict[str, str]:
    each = {}
    for path in sorted(folder.rglob("*")):
        # A link could lead a reader out of the checkpoint.
        if path.is_symlink():
            raise errors.UserError(f"{path} is a symbolic link; a checkpoint has none")
        if path.is_file():
            with path.open("rb") as file:
                each[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return each


def _damage(folder: pathlib.Path, expected: dict[str, str]) -> str:
    """What is wrong with a checkpoint's files; empty if nothing is."""
    if not folder.is_dir():
        return "its folder is missing"
    try:
        found = _hashes(folder)
    except errors.UserError as error:
        return str(error)
    for name in sorted({*found, *expected}):
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} does not belong to it"
        if found[name] != expected[name]:
            return f"the sha256 of {name} differs"
    return ""


def _check_room(directory: pathlib.Path, size: int) -> None:
    """Raises the system's error where ``size`` bytes more cannot be written: Orbax takes pages to say so."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size + _OVERHEAD)


def _cannot_save(folder: pathlib.Path, error: Exception) -> errors.UserError:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return errors.UserError(f"cannot save the checkpoint {folder}: {reason}")
