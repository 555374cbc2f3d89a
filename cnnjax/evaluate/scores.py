"""The scores of a set's examples: averages over views, computed on the device."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from cnnjax.data import pipeline
from cnnjax.evaluate.subject import Subject
from cnnjax.evaluate.views import View
from cnnjax.ops import augment

AVERAGES = ("softmax", "logits")
"""What is averaged over views and networks."""


def scores(subject: Subject, groups: Sequence[Sequence[View]], average: str, batch: int) -> np.ndarray:
    """What a network says of every example: log-probabilities, or with the average ``logits`` these, float64 ``[N, C]``.

    Views are averaged within a group, and groups among each other. A program is compiled for every size of a view, once: where
    it lies is an argument.

    Args:
      subject: the network and the examples.
      groups: of views.
      average: of :data:`AVERAGES`.
      batch: examples computed at once.
    """
    examples = subject.examples
    count = len(examples.labels)
    size = min(batch, count)
    nothing = np.full((size, subject.classes), -np.inf if average == "softmax" else 0.0, np.float32)
    put = subject.layout.put
    weights, nothing = put(subject.variables), put(nothing)
    programs: dict[tuple[int, int], Any] = {}
    totals: list[list[jax.Array]] = [[] for _ in groups]
    for index in pipeline.padded_batches(count, size)[0]:
        images = put(examples.images[index])
        for views, found in zip(groups, totals, strict=True):
            total = nothing
            for view in views:
                if view.size not in programs:
                    one = functools.partial(_add, subject, view.size, average)
                    programs[view.size] = subject.layout.compile(one)
                zoom = [float(new) / old for new, old in zip(view.resized, examples.images.shape[1:3], strict=True)]
                where = np.array([zoom, [float(edge) for edge in view.start]], np.float32)
                total = programs[view.size](weights, images, where, np.bool_(view.flip), total)
            found.append(total)
    means = []
    for views, found in zip(groups, totals, strict=True):
        whole = np.concatenate(jax.device_get(found))[:count].astype(np.float64)
        means.append(whole - np.log(len(views)) if average == "softmax" else whole / len(views))
    return together(means, average)


def together(each: Sequence[np.ndarray], average: str) -> np.ndarray:
    """The average of several :func:`scores`: of probabilities, or of logits."""
    stacked = np.stack(each)
    return special.logsumexp(stacked, 0) - np.log(len(each)) if average == "softmax" else stacked.mean(0)


def _add(
    subject: Subject,
    size: tuple[int, int],
    average: str,
    variables: Any,
    images: jax.Array,
    where: jax.Array,
    flip: jax.Array,
    total: jax.Array,
) -> jax.Array:
    """``total`` and what the network says of one view of a batch."""
    zoom, start = where
    batch = subject.normalise(images)
    seen = jax.vmap(lambda image: augment.window(image, zoom, start, size))(batch)
    seen = jnp.where(flip, seen[:, :, ::-1], seen)
    logits = subject.model.apply(variables, seen)[0].astype(jnp.float32)
    return jnp.logaddexp(total, jax.nn.log_softmax(logits)) if average == "softmax" else total + logits
