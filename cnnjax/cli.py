"""The command line. Each command parses its arguments and calls the library; the library does the work.

Imports stand inside the commands: ``cnnjax --help`` touches no device, and a worker chooses its cores before JAX counts
them.
"""

import argparse
import io
import logging
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from cnnjax import arguments, errors, machine

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status.

    0: done. 1: a run of a sweep failed. 2: something the user asked for cannot be done, said in one line. 75: interrupted
    and saved, can be started again.
    """
    words = sys.argv[1:] if words is None else words
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no × shows another character
    # Apart from the rest: argparse takes an option with a space in it, --config.duration="2 epochs", for a file's name.
    settings = [each for each in words if each.startswith("--config.")]
    parser = _parser()
    options, unknown = parser.parse_known_args([each for each in words if each not in settings])
    for each in [*unknown, *(settings if not options.takes_settings else ())]:
        parser.error(f"unknown argument {each!r}; `cnnjax {options.command} --help` lists what there is")
    try:
        return options.run(options, settings)
    except errors.UserError as error:
        return _fail(str(error))
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the reader of our output is gone; do not complain at exit
        return EXIT_FAILED
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except (RuntimeError, AssertionError):
        if not (problem := _without_devices()):
            raise
        return _fail(problem)
    except KeyboardInterrupt:
        return _interrupted()


def _train(options: argparse.Namespace, settings: list[str]) -> int:
    _stop_as_interrupt()
    machine.pin(options.cores)
    machine.keep_memory()
    if options.until_stdin_closes:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    # Orbax logs a save that fails with the tracebacks of its threads; we say it in a line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    from rich.console import Console

    from cnnjax import config as configs
    from cnnjax import signals
    from cnnjax.train import compiler, loop, progress
    from cnnjax.train.program import Program
    from cnnjax.train.run import RunFolder

    base = configs.load(options.config)
    base = configs.override(base, configs.parse(base, settings))
    folder = options.run_folder or pathlib.Path("runs") / pathlib.Path(options.config).stem
    runs = (
        [(folder / f"seed-{seed}", configs.override(base, {"seed": seed})) for seed in options.seeds]
        if options.seeds
        else [(folder, base)]
    )
    with compiler.keeping_programs(base, _say), signals.noted() as stopped:
        program = Program(base, _say)
        for path, config in runs:
            if stopped():
                return loop.EXIT_INTERRUPTED
            try:
                with progress.shown(str(path), Console()) as show:
                    status = loop.train(program, config, RunFolder(path), _say, stopped, show)
            except loop.Interrupted as interrupted:
                _say(str(interrupted))
                return loop.EXIT_INTERRUPTED
            _say(_result(path, status))
    return EXIT_OK


def _result(path: pathlib.Path, status: dict[str, Any]) -> str:
    results = ", ".join(f"{name} {value:.4f}" for name, value in status["summary"].items())
    return f"{path}: {status['outcome']} at step {status['step']}{', ' if results else ''}{results}"


def _run(options: argparse.Namespace, settings: list[str]) -> int:
    _stop_as_interrupt()
    _leave_devices_to_workers()
    from rich.console import Console

    from cnnjax.sweep import experiment, plan, report, runner, summary
    from cnnjax.train.loop import EXIT_INTERRUPTED, Interrupted

    console = Console()
    sweep = plan.make(experiment.load(options.experiment), options.scale, options.seeds, settings, options.runs)
    if options.dry_run:
        console.print(_dry_run(sweep))
        return EXIT_OK
    try:
        failures = runner.run(sweep, options.workers, console)
    except Interrupted:
        console.print("stopped; the same command goes on from here")
        return EXIT_INTERRUPTED
    summary.show(console, report.write(sweep), sweep.folder / report.PAGE)
    for failure in failures:
        print(f"cnnjax: failed: {failure}", file=sys.stderr)
    return EXIT_FAILED if failures else EXIT_OK


def _dry_run(sweep):  # type: ignore[no-untyped-def]
    from rich.table import Table

    from cnnjax.sweep import progress

    seconds, basis = progress.seconds(sweep)
    table = Table(title=f"{sweep.experiment.name} · {sweep.scale_name}: what would run", caption=f"estimate: {basis}")
    for name in ("arm", "parameters", "seeds", "to do", "estimated s a run", "settings"):
        table.add_column(name, justify="right" if name not in ("arm", "settings") else "left", overflow="fold")
    for arm in sweep.arms:
        changes = " ".join(f"{key}={value}" for key, value in arm.overrides.items())
        pending = len(arm.pending())
        table.add_row(
            arm.name,
            f"{progress.parameters(arm):,}",
            str(len(arm.seeds)),
            str(pending),
            f"{seconds[arm.name]:.0f}",
            changes,
        )
    return table


def _report(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console

    from cnnjax.sweep import experiment, plan, report, summary

    sweep = plan.last(experiment.load(options.experiment), options.scale, options.runs)
    summary.show(Console(), report.write(sweep), sweep.folder / report.PAGE)
    return EXIT_OK


def _models(options: argparse.Namespace, settings: list[str]) -> int:
    _leave_devices_to_workers()
    from rich.console import Console
    from rich.table import Table

    from cnnjax import models
    from cnnjax.analysis import cost, layers

    console = Console()
    table = Table()
    if not options.name:
        for name in ("name", "what it is", "fields"):
            table.add_column(name)
        for name, entry in models.entries().items():
            table.add_row(name, entry.doc, ", ".join(f"{key}={value}" for key, value in entry.fields.items()))
        console.print(table)
        return EXIT_OK
    model = models.create(options.name, **_fields(options.name, options.field))
    rows = layers.layers(model, (1, *options.input))
    for name, justify in (("layer", "left"), ("output", "left"), ("parameters", "left"), ("count", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        parameters = " ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in row.parameters.items())
        table.add_row(row.name, "×".join(map(str, row.output[1:])), parameters, f"{row.count:,}")
    console.print(table)
    macs = cost.forward(model, (1, *options.input))
    size = "×".join(map(str, options.input))
    console.print(
        f"{options.name}: {sum(row.count for row in rows):,} parameters; {macs:,} MACs ({2 * macs:,} FLOPs) at {size}"
    )
    return EXIT_OK


def _fields(name: str, words: Sequence[str]) -> dict[str, object]:
    import ast

    from cnnjax import models

    defaults = models.entry(name).fields
    fields: dict[str, object] = {}
    for word in words:
        key, _, text = word.partition("=")
        literal = {"true": "True", "false": "False"}.get(text, text)
        try:
            fields[key] = text if isinstance(defaults.get(key), str) else ast.literal_eval(literal)
        except (ValueError, SyntaxError):
            fields[key] = text
    return fields


def _data(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax import data

    if options.name:
        prepared = data.prepare(options.name, options.data_dir, options.source)
        _say(f"{options.name} is prepared: {prepared.folder}")
    else:
        for name in sorted(data.BUILDERS):
            _say(name)
    return EXIT_OK


def _bench_step(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console

    from cnnjax.bench import step

    results = []
    for case in step.CASES:
        _say(f"{case.name} …")
        results.append(step.compare(case, options.python, options.form, options.turns, _say))
    Console().print(step.table(results))
    slow = [each for each in results if each.ratio < each.case.required]
    return _gate(options.gate, [f"{each.case.name}: {each.ratio:.2f}, at least {each.case.required}" for each in slow])


def _bench_growth(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console

    from cnnjax.bench import bound, growth, growth_report

    console = Console()
    growth.check(options.recipe)
    options.to.mkdir(parents=True, exist_ok=True)
    measured = {curve.name: growth.measure(curve, options.turns, _say) for curve in growth.CURVES}
    found = growth.bounds(measured)
    console.print(growth_report.table(measured))
    console.print(bound.table(found))
    growth_report.plot(measured, options.to / "growth.png", growth.conditions())
    growth.save(options.to / "growth.json", measured, {})
    sweeps = growth.sweeps(options.recipe, _say)
    console.print(growth_report.sweeps_table(sweeps))
    growth.save(options.to / "growth.json", measured, sweeps)
    _say(f"{options.to / 'growth.png'}, {options.to / 'growth.json'}")
    return _gate(options.gate, bound.lost(found))


def _bench_loop(options: argparse.Namespace, settings: list[str]) -> int:
    machine.keep_memory()
    from rich.console import Console

    from cnnjax.bench import bound, loop

    console = Console()
    rows = loop.measure(options.recipe, settings, options.turns, _say)
    found = loop.bounds(rows)
    console.print(loop.table(rows, f"{options.recipe.name}, 32×32, {len(machine.cores())} cores"))
    console.print(bound.table(found))
    return _gate(options.gate, bound.lost(found))


def _gate(asked: bool, lost: Sequence[str]) -> int:
    if asked and lost:
        print(f"cnnjax: failed: beyond what is required: {'; '.join(lost)}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


def _export(options: argparse.Namespace, settings: list[str]) -> int:
    from cnnjax.sweep import export

    for folder in export.tensorboard(options.folder, options.to):
        _say(str(folder))
    return EXIT_OK


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage above it; takes no abbreviations."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="cnnjax", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., int], text: str, takes_settings: bool = False) -> argparse.ArgumentParser:
        more = " Settings are changed by --config.key.name=value." if takes_settings else ""
        sub = commands.add_parser(name, help=text, description=text + more)
        sub.set_defaults(run=run, takes_settings=takes_settings)
        return sub

    run = command("run", _run, "run an experiment, or what is left of it, and report", takes_settings=True)
    _experiment_arguments(run)
    run.add_argument("--seeds", type=arguments.seeds, default=(), help="e.g. 0-4 or 0,1,2; default: the scale's")
    run.add_argument("--workers", type=arguments.count, default=0, help="processes; default: as many as help")
    run.add_argument("--dry-run", action="store_true", help="show arms, parameters and estimated time only")

    report = command("report", _report, "write an experiment's report from what has been run")
    _experiment_arguments(report)

    train = command("train", _train, "train one network", takes_settings=True)
    train.add_argument("config", help="a recipe, e.g. configs/resnet_cifar.py")
    train.add_argument("--run", dest="run_folder", type=pathlib.Path, help="its folder; default: runs/<recipe>")
    train.add_argument(
        "--seeds", type=arguments.seeds, default=(), help="train each seed in <run>/seed-<s>, e.g. 0-4 or 0,1,2"
    )
    train.add_argument("--cores", type=arguments.cores, default=(), help="CPU cores to use, e.g. 0,1")
    train.add_argument("--until-stdin-closes", action="store_true", help="end when standard input does")

    models = command("models", _models, "list the networks, or print the layers of one")
    models.add_argument("name", nargs="?")
    models.add_argument("field", nargs="*", help="fields of the network, e.g. shortcut=B")
    models.add_argument(
        "--input", type=arguments.shape, default=(32, 32, 3), help="height, width, channels; default 32x32x3"
    )

    data = command("data", _data, "list the data sets that are shipped, or prepare one")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the builders").set_defaults(name="")
    prepare = actions.add_parser("prepare", help="write a set once, to be read from then on")
    prepare.add_argument("name")
    prepare.add_argument("--from", dest="source", type=pathlib.Path, help="folder with the original files")
    prepare.add_argument("--data-dir", type=pathlib.Path, help="default: $CNNJAX_DATA_DIR or ~/tensorflow_datasets")

    bench = command("bench", _bench_step, "time training in ratios, each within one run")
    subjects = bench.add_subparsers(dest="subject", required=True, metavar="SUBJECT")

    def subject(
        name: str, run: Callable[..., int], text: str, turns: int, takes_settings: bool = False
    ) -> argparse.ArgumentParser:
        sub = subjects.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(run=run, takes_settings=takes_settings)
        sub.add_argument("--turns", type=arguments.count, default=turns, help=f"of each, interleaved; default {turns}")
        sub.add_argument("--gate", action="store_true", help="fail where a ratio is beyond what is required")
        return sub

    step = subject("step", _bench_step, "the training step against another framework's", turns=5)
    step.add_argument("--against", choices=("torch",), required=True)
    step.add_argument("--python", type=pathlib.Path, default=pathlib.Path(sys.executable), help="one that has torch")
    step.add_argument("--form", choices=("onednn", "canonical"), default="onednn", help="of our convolutions on a CPU")

    growth = subject(
        "growth", _bench_growth, "compile time, step time and memory over depth, width, batch, size", turns=3
    )
    growth.add_argument("--to", type=pathlib.Path, default=pathlib.Path("growth"), help="folder of plot and numbers")
    growth.add_argument("--recipe", type=pathlib.Path, default=pathlib.Path("configs/resnet_cifar_digits.py"))

    about = "input, several steps a dispatch, accumulation, evaluation"
    loop = subject("loop", _bench_loop, about, turns=5, takes_settings=True)
    loop.add_argument("--recipe", type=pathlib.Path, default=pathlib.Path("configs/resnet_cifar.py"))

    export = command("export", _export, "write metrics in another form")
    forms = export.add_subparsers(dest="form", required=True, metavar="FORM")
    tensorboard = forms.add_parser("tensorboard", help="TensorBoard event files, one folder a run")
    tensorboard.add_argument("folder", type=pathlib.Path, help="runs, an experiment, a scale, an arm or a run")
    tensorboard.add_argument("--to", type=pathlib.Path, default=pathlib.Path("tensorboard"))
    return parser


def _experiment_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", help="an experiment's file, e.g. experiments/degradation.py")
    parser.add_argument("--scale", default="", help="default: the experiment's first")
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"), help="default: runs")


def _say(line: str) -> None:
    print(line, flush=True)


def _fail(message: str) -> int:
    print(f"cnnjax: error: {message}", file=sys.stderr)
    return EXIT_USAGE


def _without_devices() -> str:
    """What is wrong with the platform that JAX was asked for; empty if it has devices, or was not asked yet."""
    if not (jax := sys.modules.get("jax")):
        return ""
    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        return f"JAX finds no device of the platform {jax.config.jax_platforms!r} (JAX_PLATFORMS); cpu is always there"
    return ""


def _interrupted() -> int:
    from cnnjax.train.loop import EXIT_INTERRUPTED

    return EXIT_INTERRUPTED


def _stop_as_interrupt() -> None:
    """Until training listens to it, SIGTERM is what Ctrl-C is: there is nothing to save yet."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _leave_devices_to_workers() -> None:
    """This process only traces programs: an accelerator that it took would be missing to those that run them."""
    import jax

    jax.config.update("jax_platforms", "cpu")


def _end_with_parent() -> None:
    """Ends this process when the other end of its standard input is gone: a kill -9 of the parent included."""
    # The file descriptor, not `sys.stdin`: a thread that waits inside of a buffered reader aborts the interpreter's exit.
    while os.read(0, 4096):
        pass
    os._exit(EXIT_FAILED)
