"""Growth: the arithmetic on known numbers, and the machinery on tiny networks. Times decide nothing here."""

import io
import json
import pathlib

import pytest
from rich.console import Console

from cnnjax import errors
from cnnjax.bench import bound, growth, growth_report
from cnnjax.bench.growth import Curve, Point

ROOT = pathlib.Path(__file__).parents[2]


def point(value: int, compile_s: float, step_s: float, memory: int = 2**20) -> Point:
    return Point(
        value, macs=10 * value, compile_s=compile_s, step_s=[step_s] * 3, program_bytes=memory, process_bytes=0
    )


KNOWN = {
    "depth": [point(20, 5.0, 0.2), point(56, 5.5, 0.56), point(110, 6.0, 1.1), point(1202, 7.2, 12.02)],
    "depth, unrolled": [point(20, 5.0, 0.1), point(56, 10.0, 0.56), point(110, 20.0, 0.5)],
}


def render(*things: object) -> str:
    out = io.StringIO()
    for each in things:
        Console(file=out, width=120).print(each)
    return out.getvalue()


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, -2.0])
def test_the_exponent_of_a_power_is_found_exactly(power: float) -> None:
    values = [8.0, 16.0, 32.0, 128.0]
    slope, error = growth.exponent(values, [3.5 * value**power for value in values])
    assert slope == pytest.approx(power, abs=1e-9)
    assert error == pytest.approx(0.0, abs=1e-7)


def test_the_error_of_an_exponent_is_that_of_least_squares() -> None:
    """Against the textbook's formula, by numpy's own fit."""
    import numpy as np

    values, measured = [1.0, 2.0, 4.0, 8.0], [1.0, 2.5, 3.5, 9.0]
    slope, error = growth.exponent(values, measured)
    fit, covariance = np.polyfit(np.log(values), np.log(measured), 1, cov="unscaled")
    residual = np.log(measured) - np.polyval(fit, np.log(values))
    assert slope == pytest.approx(fit[0])
    assert error == pytest.approx(np.sqrt(covariance[0, 0] * (residual**2).sum() / 2))


def test_bounds_are_ratios_of_what_was_measured() -> None:
    found = {each.text: (round(each.ratio, 6), each.kept) for each in growth.bounds(KNOWN)}
    assert found == {
        "compile time, 1202 layers to 110": (1.2, True),
        "compile time, 1202 layers to 20": (1.44, True),
        "step time per MAC, 1202 layers to 56": (1.0, True),
        "step time, 56 layers scanned to unrolled": (1.0, True),
        "step time, 110 layers scanned to unrolled": (2.2, False),
    }


def test_the_curves_have_what_the_bounds_need_and_names_of_their_own() -> None:
    curves = {curve.name: curve for curve in growth.CURVES}
    assert len(curves) == len(growth.CURVES)
    assert {20, 56, 110, 1202} <= set(curves["depth"].values)
    assert {56, 110} <= set(curves["depth, unrolled"].values)
    assert {curve.axis for curve in growth.CURVES} == {"depth", "width", "batch", "size"}
    for curve in growth.CURVES:
        assert curve.settings(curve.values[0])[curve.axis] == curve.values[0]


def test_tables_show_points_exponents_and_bounds() -> None:
    text = render(growth_report.table(KNOWN), bound.table(growth.bounds(KNOWN)))
    assert "depth 1202" in text
    assert "1.00 ± 0.00" in text  # step time over depth
    assert text.count("kept") == 4
    assert text.count("exceeded") == 1
    assert bound.lost(growth.bounds(KNOWN)) == ["step time, 110 layers scanned to unrolled: 2.2, at most 1.1"]


def test_sweeps_are_counted_in_arms_an_hour() -> None:
    text = render(growth_report.sweeps_table({"arms": {2: 20.0, 4: 40.0}, "workers": {1: 72.0, 2: 36.0}}))
    assert "360" in text  # both: 2 arms in 20 s, and 4 in 40 s
    assert "400" in text  # 4 arms in 36 s, with 2 workers
    assert "-1.00" in text


def test_a_curve_is_measured_by_processes_that_take_turns(tmp_path: pathlib.Path) -> None:
    curve = Curve("batch", (2, 4), {"depth": 8, "width": 2, "batch": 0, "size": 8, "scan": True, "keep": "blocks"})
    said: list[str] = []
    small, large = growth.measure(curve, "canonical", turns=2, say=said.append)
    assert said == ["batch, keeping blocks 2 …", "batch, keeping blocks 4 …"]
    assert (small.value, large.value) == (2, 4)
    assert large.macs == 2 * small.macs > 0
    assert large.program_bytes > small.program_bytes > 0
    assert len(small.step_s) == len(large.step_s) == 2
    assert min(*small.step_s, *large.step_s, small.compile_s, large.compile_s) > 0
    assert small.process_bytes > 50 * 2**20


def test_all_numbers_are_saved(tmp_path: pathlib.Path) -> None:
    growth.save(tmp_path / "growth.json", KNOWN, {"arms": {2: 20.0}}, growth.bounds(KNOWN))
    content = json.loads((tmp_path / "growth.json").read_text())
    assert content["curves"]["depth"][3]["step_s"] == [12.02] * 3
    assert content["sweeps"] == {"arms": {"2": 20.0}}
    assert len(content["bounds"]) == 5
    assert "cores" in content["conditions"]


@pytest.mark.slow
def test_a_sweep_is_run_by_the_command(tmp_path: pathlib.Path) -> None:
    assert growth.sweep(ROOT / "configs" / "resnet_cifar_digits.py", arms=1, workers=1) > 0


def test_a_recipe_that_is_not_there() -> None:
    with pytest.raises(errors.UserError, match=r"unknown recipe 'no\.py'"):
        growth.sweep(pathlib.Path("no.py"), 1, 1)


def test_the_plot_has_a_panel_for_every_axis_and_sweep(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot

    drawn = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    measured = {**KNOWN, "batch": [point(2, 1.0, 0.1), point(4, 1.0, 0.2)]}
    sweeps = {"arms": {2: 10.0, 4: 20.0}, "workers": {1: 40.0, 2: 20.0, 4: 20.0}}
    growth_report.plot(measured, sweeps, tmp_path / "plot.png", "a caption")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.undo()
    (figure,) = drawn
    shown = [(panel.get_ylabel(), panel.get_xlabel()) for panel in figure.axes if panel.get_visible()]
    assert shown == [
        *[("compile, s", "depth"), ("", "batch")],
        *[("step, ms", "depth"), ("", "batch")],
        *[("program memory, MiB", "depth"), ("", "batch")],
        *[("sweep, s", "arms"), ("", "workers")],
    ]
    (line,) = figure.axes[-2].lines
    assert line.get_xydata().tolist() == [[2, 10], [4, 20]]
    assert line.get_label() == "sweep: 1.00"
    pyplot.close(figure)
