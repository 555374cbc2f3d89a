"""oneDNN's convolutions: where they are taken, where XLA's are, and what the probe does."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnnjax.nn import onednn
from cnnjax.nn.conv import conv2d
from cnnjax.train import parallel

CALL = "__onednn$convolution"
X, KERNEL = jax.ShapeDtypeStruct((8, 6, 6, 4), jnp.float32), jax.ShapeDtypeStruct((3, 3, 4, 8), jnp.float32)
WIDE = jax.ShapeDtypeStruct((8, 6, 6, 32), jnp.float32), jax.ShapeDtypeStruct((3, 3, 32, 64), jnp.float32)
PLAIN = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


def program(x=X, kernel=KERNEL, form="onednn", **changes):
    """The compiled value and gradients, as text."""
    options = {**PLAIN, **changes}

    def loss(x, kernel):
        return jnp.sin(conv2d(x, kernel, **options, form=form)).sum()

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(x, kernel).compile().as_text()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no answer in this process."""
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "cache"))
    onednn.failure.cache_clear()
    yield tmp_path / "cache"
    onednn.failure.cache_clear()


def test_value_and_both_gradients_take_it():
    assert program(*WIDE).count(f'custom_call_target="{CALL}"') == 3
    assert program(*WIDE, strides=(2, 2)).count(f'custom_call_target="{CALL}"') == 3


def test_a_large_kernel_gradient_is_xlas_in_pieces():
    """Three mebibytes of input: three pieces, if they divide the batch; the value and the other gradient are oneDNN's."""
    for batch, pieces in ((12, 3), (11, 1)):
        x = jax.ShapeDtypeStruct((batch, 64, 64, 16), jnp.float32)
        text = program(x, jax.ShapeDtypeStruct((3, 3, 16, 8), jnp.float32))
        assert text.count(f'custom_call_target="{CALL}"') == 2
        # Without the compiler's options of training, YNNPACK wraps XLA's.
        assert text.count("f32[16,3,3,8]{3,2,1,0} convolution(") == pieces


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize(
    "shape", [(4, 8, 6, 5), (32, 64, 32, 16), (6, 64, 64, 16)], ids=["small", "two", "pieces of six"]
)
def test_kernel_gradients_of_any_size_are_jaxs_own(shape, strides):
    rng = np.random.default_rng(3)
    x, kernel = (rng.standard_normal(each).astype(np.float32) for each in (shape, (3, 3, shape[3], 7)))

    def gradient(form):
        loss = lambda k: jnp.sin(conv2d(x, k, strides, ((1, 1), (1, 1)), form=form)).sum()  # noqa: E731
        return jax.jit(jax.grad(loss))(kernel)

    expected = gradient("plain")
    np.testing.assert_allclose(gradient("onednn"), expected, atol=2e-5 * float(jnp.abs(expected).max()))


def test_the_other_forms_do_not():
    assert CALL not in program(form="canonical")
    assert CALL not in program(form="plain")


@pytest.mark.parametrize(
    ("shapes", "changes"),
    [
        pytest.param((X, jax.ShapeDtypeStruct((3, 3, 2, 8), jnp.float32)), {"groups": 2}, id="groups"),
        pytest.param([jax.ShapeDtypeStruct(each.shape, jnp.bfloat16) for each in (X, KERNEL)], {}, id="bfloat16"),
        pytest.param((jax.ShapeDtypeStruct((0, 6, 6, 4), jnp.float32), KERNEL), {}, id="an empty batch"),
    ],
)
def test_a_form_that_is_not_on_the_list_takes_xlas(shapes, changes):
    assert CALL not in program(*shapes, **changes)


def test_float64_takes_xlas():
    with jax.enable_x64(True):
        assert CALL not in program(*(jax.ShapeDtypeStruct(each.shape, jnp.float64) for each in (X, KERNEL)))


def test_a_negative_padding_takes_xlas():
    """A gradient may need one: here the padding reaches further than the kernel."""
    text = program(*WIDE, padding=((3, 3), (3, 3)))
    assert text.count(f'custom_call_target="{CALL}"') == 2  # the value and the kernel gradient


def test_the_platform_that_is_compiled_for_decides():
    convolve = lambda x, k: conv2d(x, k, **PLAIN, form="onednn")  # noqa: E731
    gradients = jax.grad(lambda x, k: convolve(x, k).sum(), (0, 1))
    for function in (convolve, gradients):
        traced = jax.jit(function).trace(X, KERNEL)
        assert CALL in traced.lower(lowering_platforms=("cpu",)).as_text()
        for platform in ("cuda", "tpu"):
            assert CALL not in traced.lower(lowering_platforms=(platform,)).as_text()


def test_a_mesh_of_devices_is_no_place_for_it():
    assert not parallel.layout("jit", 8).runs_on_one_cpu
    assert parallel.layout("jit", 1).runs_on_one_cpu
    assert parallel.layout("pmap", 8).runs_on_one_cpu


def test_why_a_mesh_is_none():
    """The compiler does not know how to split the call: it gathers the whole batch on every device."""
    mesh = Mesh(np.array(jax.devices()), ("data",))
    split, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    texts = {
        form: jax.jit(lambda x, k, form=form: conv2d(x, k, **PLAIN, form=form), in_shardings=(split, whole))
        .lower(X, KERNEL)
        .compile()
        .as_text()
        for form in ("onednn", "canonical")
    }
    assert "all-gather" in texts["onednn"]
    assert "all-gather" not in texts["canonical"]


def test_the_probe_passes_and_is_asked_once(cache, monkeypatch):
    assert onednn.failure() == ""
    assert len(list(cache.glob("onednn-*"))) == 1
    onednn.failure.cache_clear()
    monkeypatch.setattr(onednn, "_probe", lambda: pytest.fail("it is known"))
    assert onednn.failure() == ""


@pytest.mark.parametrize(
    ("owner", "name", "other"),
    [
        (onednn.jaxlib, "__version__", "99.0"),
        (onednn.machine, "processor", lambda: "another processor"),
        (onednn.platform, "machine", lambda: "another architecture"),
    ],
    ids=["jaxlib", "processor", "architecture"],
)
def test_another_machine_is_asked_again(owner, name, other, cache, monkeypatch):
    monkeypatch.setattr(onednn, "_probe", lambda: "")
    assert onednn.failure() == ""
    onednn.failure.cache_clear()
    monkeypatch.setattr(owner, name, other)
    monkeypatch.setattr(onednn, "_probe", lambda: "not with this one")
    assert onednn.failure() == "not with this one"


def test_a_failure_is_not_kept(cache, monkeypatch):
    monkeypatch.setattr(onednn, "_probe", lambda: "the machine was busy")
    assert onednn.failure() == "the machine was busy"
    onednn.failure.cache_clear()
    monkeypatch.setattr(onednn, "_probe", lambda: "")
    assert onednn.failure() == ""


def test_a_process_that_ends_is_an_answer(cache, monkeypatch):
    """What oneDNN does with a configuration that it rejects: the process is gone."""
    monkeypatch.setattr(onednn.sys, "executable", "/bin/false")
    assert onednn.failure() == "the probe ended with status 1: without a word"


def test_the_probe_notices_wrong_numbers():
    script = (
        "from cnnjax.nn import onednn; real = onednn.convolve; "
        "onednn.convolve = lambda *arguments: 1.001 * real(*arguments); onednn._check()"
    )
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert child.returncode == 1
    assert "differs" in child.stderr
