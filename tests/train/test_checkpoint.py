"""Checkpoints: what is kept, what is noticed, and what is never overwritten."""

import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import errors, files
from cnnjax.train import checkpoint
from cnnjax.train.checkpoint import Checkpoints, all_finite


def tree(value: float = 1) -> dict[str, Any]:
    """Leaves of all kinds that a training state has."""
    return {
        "params": {"kernel": jnp.full((64, 32), value, jnp.float32), "bias": jnp.arange(3.0) * value},
        "step": jnp.int32(value),
        "rng": jax.random.key(int(value)),
    }


def abstract(like: Any) -> Any:
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like)


def assert_equal(found: Any, expected: Any) -> None:
    def raw(x: jax.Array) -> np.ndarray:
        return np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)

    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(raw(one), raw(other))


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "checkpoints"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(directory: pathlib.Path, said: list[str]) -> Iterator[Callable[..., Checkpoints]]:
    """Makes the checkpoints of the directory; all are closed at the end."""
    opened: list[Checkpoints] = []

    def make(keep: int = 2, at: tuple[int, ...] = (), best: Any = lambda steps: None) -> Checkpoints:
        opened.append(Checkpoints(directory, keep, at, best, said.append))
        return opened[-1]

    yield make
    for each in opened:
        each.__exit__()


def save(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        checkpoints.save(step, tree(step))
    checkpoints.wait()


def test_nothing_saved(make, directory: pathlib.Path) -> None:
    checkpoints = make()
    assert checkpoints.restore(abstract(tree())) is None
    assert checkpoints.steps() == []
    assert not directory.exists()


def test_restored_as_saved(make) -> None:
    save(make(), 1, 2)
    step, found = make().restore(abstract(tree()))
    assert step == 2
    assert_equal(found, tree(2))


def test_manifest_tells_files_and_shapes(make, directory: pathlib.Path) -> None:
    save(make(), 7)
    manifest = json.loads((directory / "7.json").read_text())
    assert manifest["step"] == 7
    assert manifest["tree"]["params/kernel"] == [64, 32, "float32"]
    there = {str(path.relative_to(directory / "7")) for path in (directory / "7").rglob("*") if path.is_file()}
    assert set(manifest["files"]) == there


def test_newest_are_kept(make, directory: pathlib.Path) -> None:
    checkpoints = make(keep=2)
    save(checkpoints, 1, 2, 3, 4, 10)
    assert checkpoints.steps() == [4, 10]
    assert {path.name for path in directory.iterdir()} == {"4", "4.json", "10", "10.json"}


def test_best_and_named_steps_are_kept_too(make) -> None:
    values = {1: 0.5, 2: 0.1, 3: 0.3, 4: 0.2, 5: 0.4}
    checkpoints = make(keep=1, at=(3,), best=lambda steps: min(steps, key=lambda step: values[step]))
    save(checkpoints, 1)
    assert checkpoints.steps() == [1]
    save(checkpoints, 2, 3, 4)
    assert checkpoints.steps() == [2, 3, 4]
    save(checkpoints, 5)
    assert checkpoints.steps() == [2, 3, 5]


@pytest.mark.parametrize("keep", [0, -1])
def test_none_to_be_kept(keep: int, directory: pathlib.Path, said: list[str]) -> None:
    with pytest.raises(errors.UserError, match=rf"execution\.checkpoint\.keep is at least 1, not {keep}"):
        Checkpoints(directory, keep, (), lambda steps: None, said.append)


def test_saved_step_is_not_written_again(make, directory: pathlib.Path) -> None:
    save(make(), 1)
    before = (directory / "1.json").read_bytes()
    checkpoints = make()
    checkpoints.save(1, tree(9))
    checkpoints.wait()
    assert (directory / "1.json").read_bytes() == before
    assert_equal(checkpoints.restore(abstract(tree()))[1], tree(1))


def test_what_happens_to_the_arrays_after_save_does_not_matter(make) -> None:
    """They are donated to the next step while the checkpoint is still being written."""
    saved = {"x": jnp.arange(2_000_000, dtype=jnp.float32)}
    expected = np.array(saved["x"])
    advance = jax.jit(lambda x: x + 1, donate_argnums=0)
    checkpoints = make()
    checkpoints.save(1, saved)
    later = advance(saved["x"])
    for _ in range(20):
        later = advance(later)
    assert saved["x"].is_deleted()
    checkpoints.wait()
    _, found = checkpoints.restore(abstract({"x": later}))
    np.testing.assert_array_equal(found["x"], expected)


def largest(folder: pathlib.Path) -> pathlib.Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def flip(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path: str, old: str, new: str) -> None:
    text = pathlib.Path(path).read_text()
    assert old in text
    pathlib.Path(path).write_text(text.replace(old, new, 1))


DAMAGE: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "bit flipped": (lambda step: flip(largest(step)), "the sha256 of "),
    "truncated": (lambda step: os.truncate(largest(step), 1), "the sha256 of "),
    "emptied": (lambda step: os.truncate(largest(step), 0), "the sha256 of "),
    "file missing": (lambda step: (step / "_METADATA").unlink(), "_METADATA is missing"),
    "folder missing": (lambda step: shutil.rmtree(step), "its folder is missing"),
    "file where the folder was": (lambda step: (shutil.rmtree(step), step.touch()), "its folder is missing"),
    "extra file": (lambda step: (step / "extra").touch(), "extra does not belong to it"),
    "link": (
        lambda step: (step / "_METADATA").rename(step.parent / "m") and (step / "_METADATA").symlink_to("../m"),
        "link",
    ),
    "link to a folder": (lambda step: (step / "more").symlink_to("/"), "is a symbolic link"),
    "manifest cut short": (lambda step: os.truncate(f"{step}.json", 50), "its manifest is damaged"),
    "manifest of nothing": (lambda step: pathlib.Path(f"{step}.json").write_text("{}"), "its manifest is damaged"),
    "bit flipped in the manifest": (lambda step: flip(pathlib.Path(f"{step}.json")), "its manifest is damaged"),
    "number changed in the manifest": (
        lambda step: edit(f"{step}.json", '"step": 2', '"step": 3'),
        "its manifest is damaged",
    ),
    "shape changed in the manifest": (lambda step: edit(f"{step}.json", " 64,", " 46,"), "its manifest is damaged"),
    "manifest without its sha256": (
        lambda step: edit(f"{step}.json", '"sha256"', '"sha265"'),
        "its manifest is damaged",
    ),
    "manifest of another type": (
        lambda step: pathlib.Path(f"{step}.json").write_text("[1]"),
        "its manifest is damaged",
    ),
    "manifest not text": (
        lambda step: pathlib.Path(f"{step}.json").write_bytes(b"\xff\xfe"),
        "its manifest is damaged",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_one_is_named_and_set_aside(damage: str, make, directory: pathlib.Path, said: list[str]) -> None:
    save(make(), 1, 2)
    harm, words = DAMAGE[damage]
    harm(directory / "2")
    manifest = (directory / "2.json").read_bytes()

    checkpoints = make()
    step, found = checkpoints.restore(abstract(tree()))
    assert step == 1
    assert_equal(found, tree(1))
    (line,) = said
    assert line.startswith("checkpoint 2 is corrupt (")
    assert words in line
    assert line.endswith("; set aside as 2.corrupt, checkpoint 1 is tried next")
    assert "\n" not in line
    assert (directory / "2.corrupt.manifest").read_bytes() == manifest
    assert checkpoints.steps() == [1]

    save(checkpoints, 2)
    assert checkpoints.restore(abstract(tree()))[0] == 2
    assert len(said) == 1


def test_set_aside_twice(make, directory: pathlib.Path, said: list[str]) -> None:
    for _ in range(2):
        checkpoints = make()
        save(checkpoints, 1, 2)
        flip(largest(directory / "2"))
        assert checkpoints.restore(abstract(tree()))[0] == 1
    assert {path.name for path in directory.glob("2.*")} == {
        "2.corrupt", "2.corrupt.manifest", "2.corrupt-2", "2.corrupt-2.manifest",
    }  # fmt: skip
    assert len(said) == 2


def test_all_damaged(make, directory: pathlib.Path, said: list[str]) -> None:
    save(make(), 1, 2)
    for step in ("1", "2"):
        flip(largest(directory / step))
    assert make().restore(abstract(tree())) is None
    assert [line.split(" is ")[0] for line in said] == ["checkpoint 2", "checkpoint 1"]
    assert said[0].endswith("set aside as 2.corrupt, checkpoint 1 is tried next")
    assert said[1].endswith("set aside as 1.corrupt, training starts again from step 0")


def test_step_without_a_manifest_is_set_aside(make, directory: pathlib.Path, said: list[str]) -> None:
    """Nobody knows whether it was killed before its manifest, or somebody lost that."""
    for mark in ("older", "newer"):
        checkpoints = make()
        save(checkpoints, 1, 2)
        (directory / "2.json").unlink()
        (directory / "2" / mark).touch()
        assert checkpoints.restore(abstract(tree()))[0] == 1
        assert said.pop().endswith("set aside as 2.unfinished")
        assert said == []
        assert {path.name for path in directory.iterdir()} == {"1", "1.json", "2.unfinished"}
    assert (directory / "2.unfinished" / "newer").exists()
    assert not (directory / "2.unfinished" / "older").exists()


def test_save_that_was_killed_is_cleared_away(make, directory: pathlib.Path, said: list[str]) -> None:
    save(make(), 1)
    (directory / "2.removed").mkdir()
    (directory / "3.orbax-checkpoint-tmp").mkdir()
    (directory / "3.orbax-checkpoint-tmp" / "half").touch()
    (directory / "4.orbax-checkpoint-tmp-1234").mkdir()
    checkpoints = make()
    assert checkpoints.restore(abstract(tree()))[0] == 1
    assert {path.name for path in directory.iterdir()} == {"1", "1.json"}
    assert said == []
    save(checkpoints, 2, 3)
    assert checkpoints.steps() == [2, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"params": {"kernel": jnp.zeros((64, 16)), "bias": jnp.zeros(3)}}, r"has \[64, 32, 'float32'\] for params/kernel, "
         r"expected \[64, 16, 'float32'\]"),
        ({"step": jnp.zeros((), jnp.int16)}, "for step"),
        ({"params": {"kernel": jnp.zeros((64, 32))}}, "for params/bias, expected nothing"),
        ({"ema": jnp.zeros(3)}, "it has nothing for ema"),
    ],
)  # fmt: skip
def test_checkpoint_of_another_model(change, words, make, directory: pathlib.Path, said: list[str]) -> None:
    save(make(), 1, 2)
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(errors.UserError, match=words) as caught:
        make().restore(abstract({**tree(), **change}))
    assert "is a checkpoint of another model" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before
    assert said == []


def full_disk(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_disk_full_at_the_manifest(make, monkeypatch: pytest.MonkeyPatch, directory: pathlib.Path) -> None:
    checkpoints = make()
    save(checkpoints, 1)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full_disk)
        checkpoints.save(2, tree(2))
        with pytest.raises(errors.UserError) as caught:
            checkpoints.wait()
    words = (
        f"cannot save the checkpoint {directory / '2'}: [Errno 28] No space left on device: '{directory / '2.json'}'"
    )
    assert str(caught.value) == words
    assert make().restore(abstract(tree()))[0] == 1


def test_disk_full_at_the_arrays(make, monkeypatch: pytest.MonkeyPatch, directory: pathlib.Path) -> None:
    checkpoints = make()
    save(checkpoints, 1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "posix_fallocate", full_disk)
        with pytest.raises(errors.UserError, match=r"cannot save the checkpoint .*/2: \[Errno 28\] No space left"):
            checkpoints.save(2, tree(2))
    assert checkpoints.steps() == [1]
    assert_equal(make().restore(abstract(tree()))[1], tree(1))


def test_directory_cannot_be_made(make, directory: pathlib.Path) -> None:
    directory.write_text("a file")
    with pytest.raises(errors.UserError, match="cannot save the checkpoint") as caught:
        save(make(), 1)
    assert "\n" not in str(caught.value)
    assert directory.read_text() == "a file"


@pytest.mark.parametrize(
    ("value", "finite"), [(1.0, True), (np.nan, False), (np.inf, False), (-np.inf, False), (3e38, True)]
)
def test_all_finite(value: float, finite: bool) -> None:
    state = tree()
    state["params"]["bias"] = state["params"]["bias"].at[1].set(value)
    assert bool(all_finite(state)) is finite
    assert bool(all_finite({**tree(), "x": jnp.full(2, jnp.bfloat16(value))})) is finite
