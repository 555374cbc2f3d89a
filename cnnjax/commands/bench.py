"""``cnnjax bench``."""

import argparse
import pathlib
import sys
from collections.abc import Callable

from cnnjax import arguments, machine
from cnnjax.commands import process


def add(command: process.Add) -> None:
    """Adds the command."""
    bench = command("bench", _bench_step, "time training in ratios, each within one run")
    subjects = bench.add_subparsers(dest="subject", required=True, metavar="SUBJECT")

    def subject(
        name: str, run: Callable[..., int], text: str, turns: int, takes_settings: bool = False
    ) -> argparse.ArgumentParser:
        sub = subjects.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(run=run, takes_settings=takes_settings)
        sub.add_argument("--turns", type=arguments.count, default=turns, help=f"of each, interleaved; default {turns}")
        return sub

    step = subject("step", _bench_step, "the training step against another framework's", turns=5)
    step.add_argument("--against", choices=("torch",), required=True)
    step.add_argument("--python", type=arguments.program, default=sys.executable, help="one that has torch")

    growth = subject(
        "growth", _bench_growth, "compile time, step time and memory over depth, width, batch, size", turns=3
    )
    growth.add_argument("--to", type=pathlib.Path, default=pathlib.Path("growth"), help="folder of plot and numbers")
    growth.add_argument("--recipe", type=pathlib.Path, default=pathlib.Path("configs/resnet_cifar_digits.py"))

    for each in (step, growth):
        about = "as execution.cpu_convolution of a recipe; default auto"
        each.add_argument("--cpu-convolution", choices=("auto", "xla"), default="auto", help=about)

    about = "images a second from JPEG files to batches, beside torch's DataLoader and tf.data"
    inputs = subject("input", _bench_input, about, turns=5)
    inputs.add_argument(
        "--python", type=arguments.program, default=sys.executable, help="one that has torch or TensorFlow"
    )

    about = "input, several steps a dispatch, accumulation, evaluation, prediction"
    loop = subject("loop", _bench_loop, about, turns=5, takes_settings=True)
    loop.add_argument("--recipe", type=pathlib.Path, default=pathlib.Path("configs/resnet_cifar.py"))

    for each in (step, growth, loop):
        about = "fail where a ratio is beyond what is required"
        each.add_argument("--gate", action="store_true", help=about)


def _form(options: argparse.Namespace) -> str:
    """Of convolutions, see `cnnjax.nn.conv`."""
    from cnnjax.nn import onednn

    return onednn.form(process.say) if options.cpu_convolution == "auto" else "canonical"


def _bench_step(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console

    from cnnjax.bench import step

    results, form = [], _form(options)
    for case in step.CASES:
        process.say(f"{case.name} …")
        results.append(step.compare(case, options.python, form, options.turns, process.say))
    Console().print(step.table(results))
    slow = [each for each in results if each.ratio < each.case.required]
    return process.gate(
        options.gate, [f"{each.case.name}: {each.ratio:.2f}, at least {each.case.required}" for each in slow]
    )


def _bench_growth(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console

    from cnnjax.bench import bound, growth, growth_report

    console = Console()
    growth.check(options.recipe)
    options.to.mkdir(parents=True, exist_ok=True)
    measured, form = {}, _form(options)
    for curve in growth.CURVES:
        measured[curve.name] = growth.measure(curve, form, options.turns, process.say)
        growth.save(options.to / "growth.json", measured, {})
    found = growth.bounds(measured)
    console.print(growth_report.table(measured))
    console.print(bound.table(found))
    sweeps = growth.sweeps(options.recipe, process.say)
    console.print(growth_report.sweeps_table(sweeps))
    growth.save(options.to / "growth.json", measured, sweeps, found)
    growth_report.plot(measured, sweeps, options.to / "growth.png", growth.conditions())
    process.say(f"{options.to / 'growth.png'}, {options.to / 'growth.json'}")
    return process.gate(options.gate, bound.lost(found))


def _bench_loop(options: argparse.Namespace, settings: list[str]) -> int:
    machine.keep_memory()
    from rich.console import Console

    from cnnjax.bench import bound, loop

    console = Console()
    rows = loop.measure(options.recipe, settings, options.turns, process.say)
    found = loop.bounds(rows)
    console.print(loop.table(rows, f"{options.recipe.name}, 32×32, {len(machine.cores())} cores"))
    console.print(bound.table(found))
    return process.gate(options.gate, bound.lost(found))


def _bench_input(options: argparse.Namespace, settings: list[str]) -> int:
    from rich.console import Console

    from cnnjax.bench import input as inputs

    result = inputs.measure(options.python, options.turns, process.say)
    Console().print(inputs.table(result))
    return process.EXIT_OK
