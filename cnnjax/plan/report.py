"""A plan in words and numbers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.plan import published, roofline
from cnnjax.plan.compiled import Answer, Compiled
from cnnjax.plan.roofline import Roofline
from cnnjax.plan.topology import Topology

_TITLE = """# Plans

Trainings compiled ahead of time for devices that are not here. Each section is what the command in its title says, with
`--markdown` and this file. Memory, operations, bytes and collectives are the compiler's, of one device in one step, of programs
that are optimised less than for training, unless the command says `--thorough`. Times are estimates, by the longest of three:
what these programs compute, read and write, and send, each at the chip's published peak.
"""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A recipe on a topology.

    Attributes:
      topology: the devices.
      answer: what the compiler says.
      dtype: of the computations.
    """

    topology: Topology
    answer: Answer
    dtype: str

    @property
    def step(self) -> Compiled:
        """That of the recipe's batch."""
        return self.answer.steps[0]

    @property
    def roofline(self) -> Roofline | None:
        """How long a step takes, where the chip and its program's operations are known."""
        chip, step = self.topology.chip, self.step
        if not chip or step.flops is None or step.size is None:
            return None
        cores = self.answer.devices // self.topology.chips
        return roofline.estimate(chip, cores, step.flops, step.size, step.collectives)

    @property
    def rate(self) -> float | None:
        """Images/s of all devices."""
        return self.step.batch / self.roofline.seconds if self.roofline else None

    @property
    def epochs(self) -> float:
        """Of the whole recipe: as many steps of a larger batch are more."""
        return self.answer.training_steps * self.step.batch / self.answer.examples

    @property
    def hours(self) -> float | None:
        """Of the whole recipe; evaluation and compilation are not in it."""
        return self.answer.training_steps * self.roofline.seconds / 3600 if self.roofline else None


def make(config: configs.ConfigDict, topology: Topology, answer: Answer) -> Plan:
    """Puts it together.

    Raises:
      UserError: the step does not fit.
    """
    plan = Plan(topology, answer, config.model.get("dtype", "float32"))
    step, limit = plan.step, answer.limit
    if step.fits and step.total <= limit:
        return plan
    largest = answer.largest()
    hint = f"; about {largest:,} would fit, {_line(answer)}" if largest else ""
    raise errors.UserError(
        f"batch_size = {step.batch:,} does not fit: a device of {topology.text} has {_memory(limit)}, and the step takes "
        f"{_memory(step.total)}, {_memory(step.total - limit)} more{hint}"
    )


def facts(plan: Plan) -> dict[str, Any]:
    """All of it, for a program to read: bytes, seconds, and counts of one device in one step, but for what says otherwise."""
    answer, step, line = plan.answer, plan.step, plan.roofline
    found: dict[str, Any] = {
        "topology": plan.topology.text,
        "chips": plan.topology.chips,
        "devices": answer.devices,
        "compiler": answer.compiler,
        "network": answer.network,
        "parameters": answer.parameters,
        "dtype": plan.dtype,
        "batch": step.batch,
        "memory": {
            "arguments": step.arguments,
            "results": step.results,
            "temporary": step.temporary,
            "code": step.code,
            "total": step.total,
            "limit": answer.limit,
        },
        "training_set_bytes": answer.resident,
        "images_bytes": answer.sent,
        "flops": step.flops,
        "bytes": step.size,
        "collectives": [{**dataclasses.asdict(each), "sent": each.sent} for each in step.collectives],
        "steps": answer.training_steps,
        "epochs": plan.epochs,
        "largest_batch": answer.largest(),
        "largest_batch_by": _line(answer) if answer.largest() else "",
        "compile_seconds": [each.seconds for each in answer.steps],
        "notes": list(answer.notes),
    }
    if line:
        found["roofline"] = {**dataclasses.asdict(line), "seconds": line.seconds, "bound": line.bound}
        found |= {"images_per_second": plan.rate, "hours": plan.hours}
        found["published"] = [{**dataclasses.asdict(each), "ratio": ratio} for each, ratio in _compared(plan)]
    return found


def rows(plan: Plan) -> list[tuple[str, str]]:
    """All of it, for a person to read: what it is, and how much."""
    answer, step, line, chips = plan.answer, plan.step, plan.roofline, plan.topology.chips
    parts = {"arguments": step.arguments, "results": step.results, "in between": step.temporary, "program": step.code}
    found = [
        ("network", f"{answer.network}, {answer.parameters:,} parameters, {plan.dtype}"),
        ("devices", f"{answer.devices} on {_counted(chips, 'chip')}"),
        ("batch", f"{step.batch:,}, {step.batch / answer.devices:g} a device"),
        ("memory of a device", f"{_memory(step.total)} of {_memory(answer.limit)}"),
        ("of which", ", ".join(f"{name} {_memory(size)}" for name, size in parts.items())),
        ("training set", _set(plan)),
    ]
    if largest := answer.largest():
        found.append(("largest batch that fits", f"about {largest:,}, {_line(answer)}"))
    if step.flops is not None and step.size is not None:
        share = step.batch / answer.devices
        found += [
            (
                "operations of a step",
                f"{_decimal(step.flops, 'FLOP')}, {_decimal(step.flops / share, 'FLOP')} an image",
            ),
            ("bytes of a step", f"{_decimal(step.size, 'B')}, {_decimal(step.size / share, 'B')} an image"),
        ]
    if line:
        each = f"compute {_ms(line.compute)}, memory {_ms(line.memory)}, links {_ms(line.link)}"
        rate, hours = plan.rate or 0.0, plan.hours or 0.0
        found += [
            ("roofline of a step", each),
            ("a step, estimated", f"{_ms(line.seconds)}, bound by {line.bound}"),
            ("images/s, estimated", f"{rate:,.0f}, {rate / chips:,.0f} a chip"),
            (
                "the recipe, estimated",
                f"{hours:,.1f} h for {answer.training_steps:,} steps, {plan.epochs:,.0f} epochs; "
                f"{hours * chips:,.1f} chip-hours",
            ),
        ]
        compared = [
            (
                "published",
                f"{other.rate:,.0f} images/s a chip, {ratio:.2f} of the estimate: {other.conditions} ({other.source})",
            )
            for other, ratio in _compared(plan)
        ]
        found += compared or [("published", f"nothing that we know for {answer.network} on this chip")]
    else:
        found.append(("speed", "not said: of these devices the compiler, or this program, knows no peak"))
    seconds = " and ".join(f"{each.seconds:.0f} s" for each in answer.steps)
    found.append(("compiled by", f"{answer.compiler}, in {seconds}"))
    return [*found, *(("note", each) for each in answer.notes)]


def tables(plan: Plan) -> list[Table]:
    """For a terminal."""
    view = Table(show_header=False, box=None)
    for what, value in rows(plan):
        view.add_row(what, value)
    sent = Table(*_COLLECTIVES, title="collectives of a step")
    for each in _collectives(plan):
        sent.add_row(*each)
    return [view, sent] if plan.step.collectives else [view]


def markdown(plan: Plan) -> str:
    """For a page."""
    lines = ["| | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows(plan))]
    if plan.step.collectives:
        lines += ["", f"| {' | '.join(_COLLECTIVES)} |", "|---|---|" + "---:|" * (len(_COLLECTIVES) - 2)]
        lines += [f"| {' | '.join(each)} |" for each in _collectives(plan)]
    return "\n".join(lines)


def page(before: str, command: str, text: str) -> str:
    """A page of plans with this one in it, in place of an older one of the same command, or at the end."""
    head, *sections = (before or _TITLE).rstrip("\n").split("\n## ")
    title = f"`{command}`"
    new = f"{title}\n\n{text}\n"
    places = [place for place, each in enumerate(sections) if each.split("\n", 1)[0] == title]
    if places:
        sections[places[0]] = new
    else:
        sections.append(new)
    return "\n\n## ".join(each.strip("\n") for each in (head, *sections)) + "\n"


def _set(plan: Plan) -> str:
    """Where images lie, and how much of them."""
    answer, line = plan.answer, plan.roofline
    if answer.resident:
        fits = plan.step.total + answer.resident <= answer.limit
        return f"{_memory(answer.resident)} more on each device, which {'fits' if fits else 'does not fit'}"
    rate = f", {_decimal(answer.sent / line.seconds, 'B')}/s at the estimate" if line else ""
    return f"streamed: the hosts send {_memory(answer.sent)} of images a step{rate}"


_COLLECTIVES = ("collective", "type", "devices", "count", "MB", "MB sent")


def _collectives(plan: Plan) -> list[list[str]]:
    return [
        [each.kind, each.dtype, str(each.group), str(each.count), f"{each.bytes / 1e6:,.2f}", f"{each.sent / 1e6:,.2f}"]
        for each in plan.step.collectives
    ]


def _compared(plan: Plan) -> Sequence[tuple[published.Measurement, float]]:
    kind = plan.topology.text.partition(":")[0]
    rate = plan.rate or 0.0
    return [(each, each.rate * plan.topology.chips / rate) for each in published.of(plan.answer.network, kind)]


def _line(answer: Answer) -> str:
    return "by a line through the memory of batches " + " and ".join(f"{step.batch:,}" for step in answer.steps)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _memory(size: float) -> str:
    return _scaled(size, 1024, ("B", "KiB", "MiB", "GiB"))


def _decimal(number: float, unit: str) -> str:
    return _scaled(number, 1000, (unit, f"k{unit}", f"M{unit}", f"G{unit}"))


def _scaled(number: float, base: int, units: Sequence[str]) -> str:
    """In the largest unit of which it is one at least."""
    power = next((power for power in range(len(units) - 1, 0, -1) if number >= base**power), 0)
    return f"{number / base**power:,.2f} {units[power]}" if power else f"{number:,.0f} {units[0]}"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.2f} ms"
