"""Convolutions by oneDNN, which the jaxlib wheel carries, on a CPU.

XLA's CPU backend executes the custom call ``__onednn$convolution`` although its own compiler does not emit it. JAX's public
foreign-function interface reaches it: no native code of ours, no dependency. It is fast inside loops too.

Nothing documents it, so nothing relies on it. A configuration that oneDNN rejects does not raise, it ends the process:
hence :func:`supports`, a list of what is known to work, and :func:`failure`, a probe that runs in a child process, once
for a machine and a version of jaxlib. Whatever is not on the list, or does not pass, takes XLA's convolution.

The call has no gradient (`cnnjax.nn.conv` has), no batching rule, and is not split over a mesh.
"""

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax

from cnnjax import machine

Pair = tuple[int, int]
_TARGET = "__onednn$convolution"
_PROBE_S = 300


def form(say: Callable[[str], None]) -> str:
    """The form of convolutions, see `cnnjax.nn.conv`, that is fastest in programs of one CPU device.

    Args:
      say: takes one line where it is not oneDNN's, with the reason.
    """
    if problem := failure():
        say(f"convolutions are XLA's own and slower: {problem}")
        return "canonical"
    return "onednn"


def supports(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Sequence[Pair],
    dilation: Sequence[int],
    groups: int,
) -> bool:
    """Whether a convolution is of a kind that the probe samples: float32, one group, no negative padding, nothing empty.

    Sizes are not bounded: the probe goes through kinds of kernel, stride, padding and dilation, see :func:`forms`.
    """
    if x.dtype != jnp.float32 or kernel.dtype != jnp.float32 or groups != 1 or min(map(min, padding)) < 0:
        return False
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2]:
        return False  # the call would end the process; XLA says what is wrong
    return 0 not in (*x.shape, *kernel.shape, *_output_size(x, kernel, strides, padding, dilation))


def convolve(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair], dilation: Sequence[int]
) -> jax.Array:
    """``[N, H', W', Cout]`` of ``x [N, H, W, Cin]`` and ``kernel [kh, kw, Cin, Cout]``, of a supported form."""
    size = _output_size(x, kernel, strides, padding, dilation)
    window = {
        "size": kernel.shape[:2],
        "pad_left": [before for before, _ in padding],
        "pad_right": [after for _, after in padding],
        "strides": strides,
        "window_dilations": dilation,
    }
    activations = {"dims": "4", "data": {"batch_dim": "0", "feature_dim": "3", "spatial_dims": ["1", "2"]}}
    filters = {"input_feature_dim": "2", "output_feature_dim": "3", "spatial_dims": ["0", "1"]}
    config = {
        "dims": "4",
        "input": activations,
        "kernel": {"dims": "4", "filter": filters},
        "output": activations,
        "window": {key: [str(number) for number in numbers] for key, numbers in window.items()},
        "feature_groups": "1",
    }
    call = jax.ffi.ffi_call(
        _TARGET,
        jax.ShapeDtypeStruct((x.shape[0], *size, kernel.shape[3]), x.dtype),
        custom_call_api_version=2,
        legacy_backend_config=json.dumps({"onednn_conv_config": config}),
    )
    return call(x, kernel)


@functools.cache
def failure() -> str:
    """Why oneDNN is not used on this machine; empty if it is.

    That it is, is kept in the user's cache folder, for this version of jaxlib, this machine and this file. That it is not
    is asked again by the next process: the machine may only have been too busy to answer in time.
    """
    identity = f"{jaxlib.__version__} {platform.system()} {platform.machine()} {machine.processor()}"
    source = pathlib.Path(__file__).read_bytes()
    file = machine.cache_folder() / f"onednn-{hashlib.sha256(identity.encode() + source).hexdigest()[:12]}"
    if file.exists():
        return ""
    found = _probe()
    if not found:
        # Without a cache the next process asks again, that is all.
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return found


def _probe() -> str:
    command = [sys.executable, "-m", __name__]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_S, env={**os.environ, "JAX_PLATFORMS": "cpu"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the probe did not end: {error}"
    if child.returncode == 0:
        return ""
    lines = (child.stdout + child.stderr).strip().splitlines()
    return f"the probe ended with status {child.returncode}: {lines[-1] if lines else 'without a word'}"


def forms() -> Iterator[tuple[tuple[int, ...], tuple[int, ...], Pair, tuple[Pair, Pair], Pair]]:
    """What the probe tries: shapes of input and kernel, strides, padding, dilation; all kinds of each that are supported."""
    for k, stride, (before, after) in [
        (1, 1, (0, 0)),
        (1, 2, (0, 0)),
        (2, 2, (0, 0)),
        (3, 1, (1, 1)),
        (3, 2, (1, 1)),
        (3, 2, (0, 1)),
        (5, 1, (2, 2)),
        (5, 1, (4, 3)),
        (7, 2, (3, 3)),
        (8, 1, (1, 1)),
        (11, 4, (2, 2)),
    ]:
        for size, channels, features in [(k + 1, 1, 10), (k + 1, 64, 64), (2 * k + 6, 3, 16)]:
            padding = ((before, after), (after, before))
            yield (3, size, size + 1, channels), (k, k, channels, features), (stride, stride), padding, (1, 1)
    for dilation in (2, 3, 4):
        for channels, features in [(1, 3), (8, 16), (32, 128)]:
            yield (16, 12, 9, channels), (2, 2, channels, features), (1, 1), ((1, 0), (0, 2)), (dilation, dilation)
    # Kernel gradients of 3×3 convolutions as `cnnjax.nn.conv` writes them: one wide image, a dilation in channels.
    for batch, size, channels, stride in [(3, 5, 1, 1), (8, 8, 16, 1), (32, 4, 64, 1), (8, 8, 16, 2), (4, 9, 3, 2)]:
        out = -(-size // stride)
        after = (out - 1) * stride + 2 - size
        padding = ((1, after), (channels, after * channels))
        yield (1, size, size * channels, batch), (out, out, batch, 10), (1, 1), padding, (stride, stride * channels)


def _check() -> None:
    """Compares both on every form; ends with an exception, or by oneDNN's hand, where they do not agree."""
    for shape, kernel_shape, strides, padding, dilation in forms():
        rng = np.random.default_rng(0)
        x, kernel = (rng.standard_normal(each).astype(np.float32) for each in (shape, kernel_shape))
        ours, theirs = map(np.asarray, _both(x, kernel, strides, padding, dilation))
        # Sums of thousands of products: the error is judged by the largest of them.
        if not np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max():
            raise SystemExit(
                f"{shape} with {kernel_shape}, strides {strides}, padding {padding}, dilation {dilation} differs"
            )


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _both(
    x: jax.Array, kernel: jax.Array, strides: Pair, padding: tuple[Pair, Pair], dilation: Pair
) -> tuple[jax.Array, jax.Array]:
    theirs = lax.conv_general_dilated(
        x, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return convolve(x, kernel, strides, padding, dilation), theirs


def _output_size(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair], dilation: Sequence[int]
) -> list[int]:
    return [
        max(0, (n + before + after - d * (k - 1) - 1) // s + 1)
        for n, k, s, (before, after), d in zip(x.shape[1:3], kernel.shape[:2], strides, padding, dilation, strict=True)
    ]


if __name__ == "__main__":
    _check()
