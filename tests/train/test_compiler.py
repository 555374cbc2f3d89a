"""Options of the compiler, and compiled programs that are kept."""

import json
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from cnnjax import config as configs
from cnnjax.nn import onednn
from cnnjax.nn.conv import conv2d
from cnnjax.train import compiler, loop
from cnnjax.train.program import Program
from cnnjax.train.run import RunFolder


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A jaxlib that knows nothing of an option."""
    compiler.failure.cache_clear()
    monkeypatch.setattr(compiler, "_CPU", {"xla_cpu_option_of_another_version": "1"})
    yield
    compiler.failure.cache_clear()


def test_a_cpu_has_options_and_others_have_none() -> None:
    assert compiler.failure() == ""
    assert compiler.options("cpu")
    assert compiler.options("gpu") == compiler.options("tpu") == {}


def test_an_option_that_is_refused_is_one_line_and_everything_works(refused: None, tiny: configs.ConfigDict) -> None:
    assert compiler.options("cpu") == {}
    said: list[str] = []
    program = Program(tiny, said.append)
    _, sums = program.run(program.init(0), program.zero(), 0, 1)
    assert float(sums["count"]) == 128
    (line,) = said
    assert "this jaxlib does not take an option of the compiler" in line
    assert "xla_cpu_option_of_another_version" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("form", "sign", "expected"),
    [
        pytest.param("canonical", "__ynn_fusion", [True, False], id="ynnpack is kept out"),
        pytest.param("onednn", "opt-barrier", [False, True], id="barriers are kept in"),
    ],
)
def test_what_options_are_for(form: str, sign: str, expected: list[bool]) -> None:
    """Seen in the compiled gradient of a convolution whose input is computed, without and with them."""
    x, kernel = jax.ShapeDtypeStruct((128, 32, 32, 16), jnp.float32), jax.ShapeDtypeStruct((3, 3, 16, 16), jnp.float32)

    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.sin(conv2d(jnp.maximum(2 * x - 1, 0), kernel, padding=((1, 1), (1, 1)), form=form)).sum()

    gradient = jax.grad(loss, argnums=(0, 1))
    compiled = [jax.jit(gradient, compiler_options=each).lower(x, kernel) for each in ({}, compiler.options("cpu"))]
    assert [sign in each.compile().as_text() for each in compiled] == expected


def test_options_are_recorded_and_another_makes_a_resume_inexact(
    tiny: configs.ConfigDict, tmp_path, monkeypatch
) -> None:
    folder, said = RunFolder(tmp_path / "run"), []
    program = Program(tiny)
    with pytest.raises(loop.Interrupted):
        loop.train(program, tiny, folder, said.append, stopped=lambda: 1)
    record = json.loads((folder.path / "run.json").read_text())
    assert record["environment"]["compiler"] == compiler.options("cpu") == program.compiler_options
    monkeypatch.setattr(program, "compiler_options", {})
    with pytest.raises(loop.Interrupted):
        loop.train(program, tiny, folder, said.append, stopped=lambda: 1)
    assert [line for line in said if "not bit-exact" in line and "xla_disable_hlo_passes" in line], said


@pytest.fixture
def hits() -> Iterator[list[str]]:
    """Events of JAX's cache, as long as a test listens."""
    heard: list[str] = []
    listening = [True]
    jax.monitoring.register_event_listener(
        lambda event, **_: (
            heard.append(event.rpartition("/")[2]) if listening and "compilation_cache" in event else None
        )
    )
    yield heard
    listening.clear()


@pytest.fixture
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_program_is_read_by_the_next_start(cache, hits: list[str], tiny: configs.ConfigDict) -> None:
    program, said = jax.jit(lambda x: jnp.cumsum(x * 3.25)), []
    for expected in ("cache_misses", "cache_hits"):
        hits.clear()
        jax.clear_caches()
        with compiler.keeping_programs(tiny, said.append):
            program.lower(jnp.ones(7)).compile()
        assert expected in hits
    (folder,) = cache.glob("programs-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert said == []


def test_nothing_is_kept_before_and_after_or_without_the_setting(cache, hits: list[str], tiny) -> None:
    def compile_another(factor: float) -> None:
        jax.jit(lambda x: jnp.cumsum(x * factor)).lower(jnp.ones(7)).compile()

    with compiler.keeping_programs(configs.override(tiny, {"execution.keep_programs": False}), print):
        compile_another(1.5)
    assert not cache.exists()
    with compiler.keeping_programs(tiny, print):
        pass
    compile_another(2.5)
    assert not list(cache.glob("programs-*/*-cache"))


def test_a_program_that_cannot_be_written_is_said_once(cache, tiny: configs.ConfigDict) -> None:
    """oneDNN's call is none that this jaxlib writes. A warning is an error in these tests; not this one, meanwhile."""
    assert onednn.failure() == ""
    said: list[str] = []
    with compiler.keeping_programs(tiny, said.append):
        for size in (4, 5):
            x, kernel = jnp.ones((2, size, size, 8)), jnp.ones((3, 3, 8, 8))
            jax.jit(lambda x, k: conv2d(x, k, form="onednn")).lower(x, kernel).compile()
        with pytest.raises(UserWarning, match="another"):
            warnings.warn("another", stacklevel=1)
    (line,) = said
    assert line.startswith("compiled programs are not all kept: Error writing persistent compilation cache entry")


def test_a_folder_that_others_may_write_to_is_not_used(cache, tiny: configs.ConfigDict) -> None:
    said: list[str] = []
    with compiler.keeping_programs(tiny, said.append):
        assert said == []
    (folder,) = cache.glob("programs-*")
    folder.chmod(0o777)
    with compiler.keeping_programs(tiny, said.append):
        assert jax.config.values["jax_compilation_cache_dir"] is None
    assert said == [f"compiled programs are not kept: {folder} is not this user's alone"]


def test_a_cache_that_cannot_be_made_is_one_line(cache, tiny: configs.ConfigDict) -> None:
    cache.write_text("a file")
    said: list[str] = []
    with compiler.keeping_programs(tiny, said.append):
        (line,) = said
    assert line.startswith("compiled programs are not kept: ")


@pytest.mark.slow
def test_the_command_keeps_programs_unless_it_is_told_not_to(
    cnnjax: Any, tiny_settings: list[str], tmp_path: pathlib.Path
) -> None:
    recipe = pathlib.Path(__file__).parents[2] / "configs" / "resnet_cifar_digits.py"
    settings = [*tiny_settings, "--config.duration=1 epochs", "--config.execution.cpu_convolution=xla"]
    for keep in ("False", "True"):
        cache = tmp_path / f"cache-{keep}"
        done = cnnjax(
            "train", recipe, "--run", f"run-{keep}", *settings, f"--config.execution.keep_programs={keep}",
            CNNJAX_CACHE_DIR=str(cache),
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        kept = list(cache.glob("programs-*/jit_steps-*"))
        assert len(kept) == (keep == "True")
    metrics = [(tmp_path / f"run-{keep}" / "metrics.jsonl").read_text() for keep in ("False", "True")]
    assert metrics[0] == metrics[1]
    assert json.loads(metrics[0].splitlines()[-1])["step"] == 11
