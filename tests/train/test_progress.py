"""What a training shows of itself."""

import io

import pytest
from rich.console import Console

from cnnjax.train import progress

ROW = {"batch/loss": 0.5, "train/error": 0.125, "test/error": 0.25}


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_elsewhere_than_on_a_terminal_it_is_a_line_now_and_then(clock):
    out = io.StringIO()
    with progress.shown("run", Console(file=out, width=200)) as show:
        show(10, 100, 0.0, {})
        clock[0] = 5.0
        show(20, 100, 0.0, {})
        assert out.getvalue() == "", "not every dispatch"
        clock[0] = 10.0
        show(30, 100, 0.0, {})
        clock[0] = 20.0
        show(50, 100, 1234.5, ROW)
    # 20 steps in 10 s, 70 are left; 40 in 20 s, 50 are left.
    expected = "step 30 of 100, 35 s left\n"
    expected += "step 50 of 100, 1,234 examples/s, loss 0.5000, train error 12.50 %, test error 25.00 %, 25 s left\n"
    assert out.getvalue() == expected


def test_on_a_terminal_it_is_a_bar():
    out = io.StringIO()
    with progress.shown("run", Console(file=out, width=160, force_terminal=True)) as show:
        show(50, 100, 1234.5, ROW)
    assert "50/100" in out.getvalue()
    assert "test error 25.00 %" in out.getvalue()
