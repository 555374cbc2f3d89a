"""``cnnjax evaluate``."""

import argparse
import csv
import dataclasses
import io
import json
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from cnnjax import arguments, errors, files
from cnnjax.commands import process

if TYPE_CHECKING:
    import numpy as np

    from cnnjax.evaluate.evaluation import Evaluation
    from cnnjax.evaluate.subject import Subject


def add(command: process.Add) -> None:
    """Adds the command."""
    evaluate = command("evaluate", _evaluate, "measure trained networks by a paper's protocol")
    evaluate.add_argument(
        "runs",
        nargs="*",
        type=pathlib.Path,
        metavar="RUN",
        help="folders of finished runs, or files of weights; several are an ensemble. A run with "
        "optimizer.average keeps, and is evaluated with, the averaged weights",
    )
    evaluate.add_argument(
        "--protocol", nargs="+", default=["whole"], metavar="NAME", help="what is shown of an image; default: whole"
    )
    evaluate.add_argument("--list", action="store_true", help="list the protocols")
    evaluate.add_argument("--set", default="", help="a data set; default: the run's")
    evaluate.add_argument(
        "--split", default="", help="a part of it, e.g. test or train[:100]; default: the run's test set"
    )
    evaluate.add_argument(
        "--subset", type=pathlib.Path, help="a file with the numbers of examples, one a line, from 0 on"
    )
    evaluate.add_argument(
        "--sides",
        type=arguments.counts,
        default=(),
        help="shorter sides in pixels, e.g. 224,256, instead of the protocol's",
    )
    evaluate.add_argument(
        "--average", choices=("softmax", "logits"), default="softmax", help="over views and runs; default: softmax"
    )
    evaluate.add_argument(
        "--population",
        action="store_true",
        help="compute the statistics of batch normalisation anew, over the training set",
    )
    evaluate.add_argument(
        "--top", type=arguments.counts, default=(), help="errors within so many classes, e.g. 1,5; default: 1"
    )
    evaluate.add_argument(
        "--map",
        action="store_true",
        help="mean average precision, over all points and over 11; of a set whose images are of several classes always",
    )
    evaluate.add_argument(
        "--per-class", action="store_true", help="recall and precision of each class; with --map average precision"
    )
    evaluate.add_argument(
        "--confusion", type=arguments.file, metavar="FILE", help="a CSV file: classes by what they are taken for"
    )
    evaluate.add_argument("--batch", type=arguments.count, default=256, help="examples computed at once; default: 256")
    evaluate.add_argument(
        "--follow",
        action="store_true",
        help="evaluate a run's newest checkpoints while it is trained (beside it, with JAX_PLATFORMS=cpu), until it ends",
    )
    evaluate.add_argument(
        "--every", type=arguments.count, default=10, help="seconds between two looks of --follow; default: 10"
    )
    evaluate.add_argument("--json", action="store_true", help="one JSON object a protocol")


def _evaluate(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax.evaluate import protocols, subject

    if options.list:
        for name, protocol in protocols.PROTOCOLS.items():
            process.say(f"{name}: {protocol.doc}")
        return process.EXIT_OK
    for name in options.protocol:
        protocols.find(name)
    if not options.runs:
        raise errors.UserError("name the folder of a run, or a file of weights")
    if options.confusion and len(options.protocol) > 1:
        raise errors.UserError("--confusion writes one table: give one --protocol")
    if not options.follow:
        _show(options, [subject.read(path, options.set, options.split) for path in options.runs], {})
        return process.EXIT_OK
    if len(options.runs) > 1:
        raise errors.UserError("--follow follows one run")
    notes = (lambda line: print(line, file=sys.stderr, flush=True)) if options.json else process.say
    for step, each in subject.follow(options.runs[0], options.every, options.set, options.split, notes):
        _show(options, [each], {"step": step})
    return process.EXIT_OK


def _show(options: argparse.Namespace, subjects: list["Subject"], how: dict[str, Any]) -> None:
    """Evaluates by every protocol, and prints what comes out; ``how`` is what else belongs to every number."""
    from cnnjax.evaluate import evaluation

    if options.subset:
        counts = [len(each.examples.labels) for each in subjects]
        subjects = [
            each.only(evaluation.indices(options.subset, count)) for each, count in zip(subjects, counts, strict=True)
        ]
        how = {**how, "subset": str(options.subset)}
    if options.population:
        subjects = [_with_population(each) for each in subjects]
        how = {**how, "statistics": "population"}
    names = next((each.names for each in subjects if each.names), tuple(map(str, range(subjects[0].classes))))
    for protocol in options.protocol:
        found = evaluation.evaluate(subjects, protocol, options.average, options.sides, options.batch)
        values, classes = _values(options, found, names)
        if options.json:
            row = {"runs": list(map(str, options.runs)), **found.how, **how, "values": values}
            process.say(json.dumps({**row, **({"classes": classes} if classes else {})}))
        else:
            _print(", ".join(map(str, options.runs)), {**found.how, **how}, values, classes)
        for note in found.notes:
            print(f"note: {note}", file=sys.stderr)


def _values(
    options: argparse.Namespace, found: "Evaluation", names: tuple[str, ...]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """What is asked for by name, and class by class."""
    from cnnjax.evaluate import average_precision

    values: dict[str, float] = {}
    classes: list[dict[str, Any]] = [{"class": name} for name in names]
    several = found.labels.ndim > 1
    if not several or options.top or options.confusion:
        measure, top = found.measure, options.top or (1,)
        if max(top) > len(names):
            raise errors.UserError(f"--top {max(top)}: there are {len(names)} classes")
        values |= measure.values(top)
        classes = [{**each, "class": name} for each, name in zip(measure.per_class(), names, strict=True)]
        if options.confusion:
            _write_confusion(options.confusion, names, measure.confusion)
    if several or options.map:
        for points in average_precision.POINTS:
            mean = average_precision.mean_average_precision(found.scores, found.targets, points)
            values[f"mean average precision ({points} points)"] = mean
        precisions = average_precision.average_precision(found.scores, found.targets)
        for each, precision in zip(classes, precisions.tolist(), strict=True):
            each["average precision"] = precision if precision == precision else None
    return values, classes if options.per_class else []


def _with_population(subject: "Subject") -> "Subject":
    from cnnjax.analysis import population

    found = population.statistics(subject.model, subject.variables, subject.training_batches())
    return dataclasses.replace(subject, variables={**subject.variables, "batch_stats": found})


def _print(title: str, how: dict[str, Any], values: dict[str, float], classes: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    plain: dict[str, Any] = {"box": box.SIMPLE, "padding": (0, 1, 0, 0), "pad_edge": False}
    table = Table(show_header=False, **plain)
    for name, value in values.items():
        table.add_row(name, f"{value:.4f}")
    console = Console()
    console.print(f"{title}: " + ", ".join(f"{key} {value}" for key, value in how.items()), table)
    if classes:
        table = Table(*classes[0], **plain)
        for each in classes:
            table.add_row(
                *(
                    "—" if value is None else f"{value:.4f}" if type(value) is float else str(value)
                    for value in each.values()
                )
            )
        console.print(table)


def _write_confusion(path: pathlib.Path, names: tuple[str, ...], counts: "np.ndarray") -> None:
    """A line a class, a column for each class that its examples are taken for."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", *names])
    writer.writerows([name, *row.tolist()] for name, row in zip(names, counts, strict=True))
    files.write_text(path, text.getvalue())
