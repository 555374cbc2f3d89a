"""What a linear classifier reads from the features of each layer. Zeiler & Fergus 2013, §5.3, Table 7."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pandas

from cnnjax import errors
from cnnjax.analysis.layers import evaluated, trace
from cnnjax.nn import inputs

Batches = Iterable[tuple[jax.Array, np.ndarray]]


def _svm() -> Any:
    from sklearn.svm import LinearSVC  # here: it takes a second to import

    return LinearSVC(random_state=0, max_iter=20_000)


def _softmax() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=2_000)


CLASSIFIERS: dict[str, Callable[[], Any]] = {"svm": _svm, "softmax": _softmax}
"""Name → what is fitted. Each class against the rest by the squared hinge, and all together by cross-entropy; both minimise the
sum of losses and half the squared norm of the weights."""


def probes(model: nn.Module, variables: Mapping[str, Any], train: Batches, test: Batches) -> pandas.DataFrame:
    """The error of linear classifiers on the features of each layer.

    A layer's features are what the next layer that has parameters is given, pooled and normalised as it is. The last such
    layer, the network's own classifier, has none. They are centred, and divided by one number: a mean square of one.

    Args:
      model: the network, in evaluation.
      variables: of it.
      train: preprocessed images ``[N, H, W, C]`` and labels int ``[N]``, which the classifiers are fitted to.
      test: the same, which they are tested on.

    Returns:
      One row a layer, in order: ``layer``, its name, ``features``, how many, and the test error of each of
      :data:`CLASSIFIERS`.

    Raises:
      UserError: there is no layer before the classifier, no test example, the training examples are of one class, or some of no
        class of the network.
    """
    fitted, tested = [*train], [*test]
    labels, wanted = (
        np.array(
            [label for images, each in some for label in inputs.checked_labels(each, len(images), model.num_classes)]
        )
        for some in (fitted, tested)
    )
    if len(np.unique(labels)) < 2 or not len(wanted):
        raise errors.UserError(
            f"a classifier is fitted to examples of two classes at least and tested on one: there are "
            f"{len(np.unique(labels))} classes and {len(wanted)} examples"
        )
    taps = _taps(model, variables, fitted[0][0].shape)
    if not taps:
        raise errors.UserError("the network has no layer before its classifier")

    def features(some: list[tuple[jax.Array, np.ndarray]]) -> list[np.ndarray]:
        each = evaluated(_flat, model, variables, (images for images, _ in some), *taps.values())
        return [np.concatenate(parts) for parts in zip(*each, strict=True)]

    rows = []
    for layer, known, asked in zip(taps, features(fitted), features(tested), strict=True):
        mean = known.mean(0)
        known, asked = known - mean, asked - mean
        scale = np.sqrt(np.square(known).mean()) or 1.0
        found = {
            name: float((make().fit(known / scale, labels).predict(asked / scale) != wanted).mean())
            for name, make in CLASSIFIERS.items()
        }
        rows.append({"layer": layer, "features": known.shape[1], **found})
    return pandas.DataFrame(rows)


def _flat(model: nn.Module, variables: Any, images: jax.Array, *names: str) -> list[jax.Array]:
    taps: Any = model.apply(variables, images)[1]
    return [taps[name].reshape(len(images), -1).astype(jnp.float32) for name in names]


def _taps(model: nn.Module, variables: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, str]:
    """Each layer with parameters but the last one → the last tap before the next of them."""
    found: list[tuple[str, str]] = []
    for name, _ in trace(model, shape).taps:
        if name in variables["params"]:
            found.append((name, name))
        elif found and not name.endswith("_logits"):  # those are of classifiers beside the network
            found[-1] = (found[-1][0], name)
    return dict(found[:-1])
