"""``cnnjax train``."""

import argparse
import functools
import logging
import pathlib
import threading
from contextlib import nullcontext
from typing import Any

from cnnjax import arguments, machine
from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    train = command("train", _train, "train one network", takes_settings=True)
    train.add_argument("config", help="a recipe, e.g. configs/resnet_cifar.py")
    train.add_argument("--run", dest="run_folder", type=pathlib.Path, help="its folder; default: runs/<recipe>")
    train.add_argument(
        "--seeds", type=arguments.seeds, default=(), help="train each seed in <run>/seed-<s>, e.g. 0-4 or 0,1,2"
    )
    train.add_argument(
        "--measure",
        type=lambda text: tuple(text.split(",")),
        default=(),
        metavar="NAME,...",
        help="measure the trained network too: responses, rescaled, shifted, probes, or a protocol of cnnjax evaluate",
    )
    train.add_argument(
        "--processes", type=arguments.count, help="of this training, each started by itself; 1: it is alone"
    )
    train.add_argument("--process", type=arguments.position, help="which one this is, from 0 on")
    train.add_argument("--coordinator", type=arguments.address, metavar="HOST:PORT", help="an address of process 0")
    train.add_argument("--cores", type=arguments.cores, default=(), help="CPU cores to use, e.g. 0,1")
    train.add_argument("--until-stdin-closes", action="store_true", help="end when standard input does")


def _train(options: argparse.Namespace, settings: list[str]) -> int:
    process.stop_as_interrupt()
    machine.pin(options.cores)
    machine.keep_memory()
    if options.until_stdin_closes:
        threading.Thread(target=process.end_with_parent, daemon=True).start()
    # Orbax logs a save that fails with the tracebacks of its threads; we say it in a line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    from cnnjax.train import hosts

    place = hosts.recognise(options.coordinator, options.processes, options.process)
    folder = options.run_folder or pathlib.Path("runs") / pathlib.Path(options.config).stem
    with hosts.joined(place, folder, process.say):
        return _train_all(options, settings, folder)


def _train_all(options: argparse.Namespace, settings: list[str], folder: pathlib.Path) -> int:
    """Trains every seed, as one of the processes that do."""
    from rich.console import Console

    from cnnjax import config as configs
    from cnnjax import models, signals
    from cnnjax.analysis import cost
    from cnnjax.sweep import measures
    from cnnjax.train import compiler, hosts, loop, progress
    from cnnjax.train.program import Program
    from cnnjax.train.run import RunFolder

    first = hosts.is_first()
    say = process.say if first else process.say_nothing
    measures.check(options.measure)
    base = configs.load(options.config)
    base = configs.override(base, configs.parse(base, settings))
    runs = (
        [(folder / f"seed-{seed}", configs.override(base, {"seed": seed})) for seed in options.seeds]
        if options.seeds
        else [(folder, base)]
    )

    @functools.cache
    def macs() -> int:
        return cost.forward(models.create(program.network[0], **program.network[1]), (1, *program.task.shape))

    def finish(path: pathlib.Path, status: dict[str, Any]) -> None:
        RunFolder(path).set_status(macs=macs())
        say(_result(path, status))
        for line in measures.complete(path, options.measure):
            say(f"{path}: {line}")

    with compiler.keeping_programs(base, say), signals.noted() as stopped:
        program = hosts.on_all(lambda: Program(base, say, run=runs[0][0]))
        for path, config in runs:
            if hosts.any_of(bool(stopped())):
                return signals.EXIT_INTERRUPTED
            try:
                with progress.shown(str(path), Console()) if first else nullcontext(progress.nothing) as show:
                    status = loop.train(program, config, RunFolder(path), say, stopped, show)
            except loop.Interrupted as interrupted:
                say(str(interrupted))
                return signals.EXIT_INTERRUPTED
            hosts.from_first(functools.partial(finish, path, status))
    return process.EXIT_OK


def _result(path: pathlib.Path, status: dict[str, Any]) -> str:
    shown = {name: value for name, value in status["summary"].items() if name.endswith(("/loss", "/error"))}
    results = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
    return f"{path}: {status['outcome']} at step {status['step']}{', ' if results else ''}{results}"
