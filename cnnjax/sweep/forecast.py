"""What a whole experiment would take on devices that are not here."""

import dataclasses
from collections.abc import Callable
from typing import Any

from rich.table import Table

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.plan import compiled, report
from cnnjax.plan.topology import GIB, Topology
from cnnjax.sweep import rehearsal
from cnnjax.sweep.plan import Arm, Sweep


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Of one arm.

    Attributes:
      arm: it.
      plan: of one of its runs, on all devices; ``None`` where its network is that of weights.
    """

    arm: Arm
    plan: report.Plan | None

    @property
    def chip_hours(self) -> float | None:
        """Of all its runs, estimated; ``None`` where nothing is known of the devices' speed."""
        hours = self.plan.hours if self.plan else None
        return None if hours is None or not self.plan else hours * self.plan.topology.chips * len(self.arm.seeds)


def make(sweep: Sweep, topology: Topology, thorough: bool, say: Callable[[str], None]) -> list[Forecast]:
    """Compiles a step of every arm, one after the other; each run would have all devices.

    Args:
      sweep: the experiment.
      topology: the devices.
      thorough: see :func:`cnnjax.plan.compiled.ask`.
      say: takes one line for the user.

    Raises:
      UserError: an arm cannot be trained on these devices.
    """
    return [Forecast(arm, _plan(arm, topology, thorough, say)) for arm in sweep.arms]


def _plan(arm: Arm, topology: Topology, thorough: bool, say: Callable[[str], None]) -> report.Plan | None:
    if not arm.config.model.name:
        return None
    config = configs.override(arm.config, rehearsal.ALONE if arm.source else {})
    try:
        answer = compiled.ask(config, topology, False, thorough, lambda line: say(f"{arm.name}: {line}"))
        return report.make(config, topology, answer)
    except errors.UserError as error:
        raise errors.UserError(f"arm {arm.name}: {error}") from None


def facts(forecasts: list[Forecast]) -> dict[str, Any]:
    """All of it, for a program to read."""
    arms = [
        {
            "arm": each.arm.name,
            "runs": len(each.arm.seeds),
            "chip_hours": each.chip_hours,
            "plan": report.facts(each.plan) if each.plan else None,
        }
        for each in forecasts
    ]
    return {"chip_hours": total(forecasts), "arms": arms}


def total(forecasts: list[Forecast]) -> float | None:
    """Chip-hours of all runs; ``None`` where those of an arm are not known."""
    hours = [each.chip_hours for each in forecasts]
    return None if None in hours else sum(each or 0.0 for each in hours)


TITLES = ("arm", "parameters", "batch", "GiB a device", "ms a step", "images/s", "h a run", "runs", "chip-hours")


def cells(forecasts: list[Forecast]) -> list[list[str]]:
    """A row an arm, and one for all; what is not known is empty."""
    found = [_cells(each) for each in forecasts]
    hours, runs = total(forecasts), sum(len(each.arm.seeds) for each in forecasts)
    blank = [""] * (len(TITLES) - 3)
    return [*found, ["all", *blank, str(runs), "" if hours is None else f"{hours:,.2f}"]]


def _cells(forecast: Forecast) -> list[str]:
    plan, runs = forecast.plan, str(len(forecast.arm.seeds))
    if not plan:
        return [forecast.arm.name, *[""] * (len(TITLES) - 3), runs, ""]
    line, hours, chip_hours = plan.roofline, plan.hours, forecast.chip_hours
    times = ["", "", ""]
    if line and hours is not None:
        times = [f"{1e3 * line.seconds:,.2f}", f"{plan.rate:,.0f}", f"{hours:,.2f}"]
    sizes = [f"{plan.answer.parameters:,}", f"{plan.step.batch:,}", f"{plan.step.total / GIB:,.2f}"]
    return [forecast.arm.name, *sizes, *times, runs, "" if chip_hours is None else f"{chip_hours:,.2f}"]


def table(forecasts: list[Forecast]) -> Table:
    """For a terminal."""
    view = Table()
    for title in TITLES:
        view.add_column(title, justify="left" if title == "arm" else "right", overflow="fold")
    for row in cells(forecasts):
        view.add_row(*row)
    return view


def markdown(forecasts: list[Forecast]) -> str:
    """For a page."""
    lines = [f"| {' | '.join(TITLES)} |", "|---|" + "---:|" * (len(TITLES) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in cells(forecasts))])
