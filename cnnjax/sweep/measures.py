"""What is measured of a trained network when a claim is about it, and not about how its training went.

A measure gives values; a claim's metric is ``<measure>/<value>``. Beside those of :data:`MEASURES` every protocol of
`cnnjax.evaluate.protocols` is one: ``10crop/error``, and ``10crop/error_saved``, by how much it is below that of ``whole``, or
of what :data:`AGAINST` names.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np

from cnnjax import errors, files
from cnnjax.analysis import linearity, percentiles, population, probes, rescaling, responses
from cnnjax.analysis.layers import layers
from cnnjax.evaluate import evaluation, protocols, subject
from cnnjax.evaluate.subject import Subject
from cnnjax.sweep import record
from cnnjax.sweep.experiment import Claim, measure, milestone
from cnnjax.tasks.classification import EVALUATED

_BATCH = 256
AGAINST = {"dense_multi_scale": "dense", "150crop": "dense_multi_scale", "crops_and_dense": "150crop"}
"""Protocols that are compared with another than ``whole``: those of Simonyan & Zisserman 2014, Tables 3 to 5."""
FACTORS = (2.0, 0.5, 10.0)
"""What weights are multiplied by: any in the paper. Without normalisation they come to the power of depth."""


def _responses(shown: Subject) -> dict[str, float]:
    """``deviation``: of layers' responses to the test set, the mean over layers; `cnnjax.analysis.responses`."""
    found = responses.deviations(shown.model, shown.variables, (images for images, _ in shown.batches(_BATCH)))
    return {"deviation": float(np.mean([*found.values()]))}


def _rescaled(shown: Subject) -> dict[str, float]:
    """``output_change``, ``gradient_change``: with all kernels doubled, on one batch; ``largest_output_change``,
    ``largest_gradient_change``: of all :data:`FACTORS`; `cnnjax.analysis.rescaling`.
    """
    images, labels = next(shown.batches(_BATCH))
    asked = (shown.model, shown.variables, images, jnp.asarray(labels))
    outputs, gradients = zip(*(rescaling.change(*asked, factor) for factor in FACTORS), strict=True)
    return {
        "output_change": outputs[0],
        "gradient_change": gradients[0],
        "largest_output_change": max(outputs),
        "largest_gradient_change": max(gradients),
    }


def _linear(shown: Subject) -> dict[str, float]:
    """``defect``: how far the logits of a batch are from those of one linear layer; `cnnjax.analysis.linearity`."""
    images, _ = next(shown.batches(_BATCH))
    return {"defect": linearity.defect(shown.model, shown.variables, images)}


def _shifted(shown: Subject) -> dict[str, float]:
    """``error``: on the test set moved by an eighth of a side, up, down, left and right, the mean; ``error_added`` by that."""
    height, width = shown.examples.images.shape[1:3]
    down, right = max(1, height // 8), max(1, width // 8)
    places = ((-down, 0), (down, 0), (0, -right), (0, right))
    error = float(np.mean([_error(shown.moved(*place), "whole") for place in places]))
    return {"error": error, "error_added": error - _error(shown, "whole")}


def _population(shown: Subject) -> dict[str, float]:
    """``error`` with statistics of the training set in place of moving averages, ``error_saved`` by that."""
    statistics = population.statistics(shown.model, shown.variables, shown.training_batches())
    error = _error(dataclasses.replace(shown, variables={**shown.variables, "batch_stats": statistics}), "whole")
    return {"error": error, "error_saved": _error(shown, "whole") - error}


def _probes(shown: Subject) -> dict[str, float]:
    """``svm_error``, ``softmax_error``: on the test set, of linear classifiers of the last layer's features, fitted to the
    training set's; ``svm_error_saved``, ``softmax_error_saved`` against those of the first; `cnnjax.analysis.probes`.
    """
    found = probes.probes(shown.model, shown.variables, shown.trained_on().batches(_BATCH), shown.batches(_BATCH))
    values: dict[str, float] = {}
    for name in probes.CLASSIFIERS:
        first, last = float(found[name].iloc[0]), float(found[name].iloc[-1])
        values |= {f"{name}_error": last, f"{name}_error_saved": first - last}
    return values


def _percentiles(shown: Subject) -> dict[str, float]:
    """``moved``: how far they range over the run's checkpoints, in spreads of their units, the mean over them and over units.

    Of what the last layer before the classifier puts out, before its activation; `cnnjax.analysis.percentiles`.
    """
    batches = [images for images, _ in shown.batches(_BATCH)]
    layer = layers(shown.model, batches[0].shape)[-2].name
    checkpoints = ((step, then.variables) for step, then in subject.follow(shown.path, every=0.0))
    found = percentiles.over_training(shown.model, checkpoints, batches, layer)
    if (kept := found["step"].nunique()) < 2:
        raise errors.UserError(
            f"{shown.path} has kept {kept} checkpoint{'s' * (kept != 1)}, and what moves is seen between two: "
            "execution.checkpoint.every and execution.checkpoint.keep say which are kept"
        )
    return {"moved": float(percentiles.moved(found).to_numpy().mean())}


def _error(shown: Subject, protocol: str) -> float:
    return evaluation.evaluate([shown], protocol).measure.values()["top-1 error"]


def _by_protocol(name: str) -> Callable[[Subject], dict[str, float]]:
    def errors_of(shown: Subject) -> dict[str, float]:
        error = _error(shown, name)
        return {"error": error, "error_saved": _error(shown, AGAINST.get(name, "whole")) - error}

    return errors_of


MEASURES: dict[str, Callable[[Subject], dict[str, float]]] = {
    "responses": _responses,
    "rescaled": _rescaled,
    "linearity": _linear,
    "shifted": _shifted,
    "population": _population,
    "probes": _probes,
    "percentiles": _percentiles,
    **{name: _by_protocol(name) for name in protocols.PROTOCOLS},
}
"""Name → what takes a trained network, shown its test set, and gives values by name."""
METRICS = (
    "responses/deviation",
    "rescaled/output_change",
    "rescaled/gradient_change",
    "rescaled/largest_output_change",
    "rescaled/largest_gradient_change",
    "linearity/defect",
    "shifted/error",
    "shifted/error_added",
    "population/error",
    "population/error_saved",
    *(f"probes/{name}_{value}" for name in probes.CLASSIFIERS for value in ("error", "error_saved")),
    "percentiles/moved",
    *(f"{name}/{value}" for name in protocols.PROTOCOLS for value in ("error", "error_saved")),
)
"""What they give, as claims name it."""


def check(names: Sequence[str]) -> None:
    """Raises a `UserError` if one of these measures is none."""
    for name in names:
        if name not in MEASURES:
            raise errors.unknown("measure", name, MEASURES)


def check_claims(claims: Sequence[Claim]) -> None:
    """Raises a `UserError` if one of these is about what neither training nor a measure gives."""
    for claim in claims:
        awaited = milestone(claim.metric)
        known = METRICS if measure(claim.metric) else EVALUATED
        if (metric := awaited[0] if awaited else claim.metric) not in known:
            raise errors.unknown(f"metric of the claim {claim.text!r}:", metric, [*EVALUATED, *METRICS])


def complete(run: pathlib.Path, names: Sequence[str]) -> list[str]:
    """Measures what a finished run lacks of these, and writes each down at once.

    Args:
      run: the folder.
      names: of :data:`MEASURES`.

    Returns:
      A line for each measure that was made now.

    Raises:
      UserError: a network is not of the kind that is measured, or its weights are damaged.
    """
    found = record.read(run)
    if not (lacking := found.lacking(names)):
        return []
    shown, measured, lines = subject.read(run), dict(found.measured), []
    for name in lacking:
        measured[name] = MEASURES[name](shown)
        files.write_json(run / record.MEASURED, measured)
        lines.append(", ".join(f"{name}/{key} {value:.4f}" for key, value in measured[name].items()))
    return lines
