"""Bars are exactly as wide as asked and never hide an uncertainty."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.text import cells
from console.widgets import bars

UNIT = st.floats(0, 1)


@given(st.integers(0, 2000), st.integers(0, 2000), UNIT, UNIT, st.integers(1, 90))
def test_a_rate_has_exactly_the_width(k: int, more: int, one: float, two: float, width: int) -> None:
    line = bars.rate(k, k + more, min(one, two), max(one, two), width)
    assert cells(line) == width


@given(UNIT, UNIT, UNIT, st.integers(2, 60))
def test_an_interval_always_shows_its_estimate(value: float, one: float, two: float, width: int) -> None:
    line = bars.interval(value, min(one, two), max(one, two), width)
    assert len(line) == width
    assert line.count("■") == 1


def test_what_lies_off_the_scale_is_said() -> None:
    assert bars.interval(None, -0.5, 0.5, 11) == "«────┤     "
    assert bars.interval(0.5, 0.2, 1.5, 11)[-1] == "»"


def test_the_bar_to_reach_is_drawn() -> None:
    assert bars.interval(0.2, 0.1, 0.3, 11, bar=0.8) == " ├■┤    ┆  "


def test_a_rate_of_nothing_has_no_estimate() -> None:
    line = bars.rate(0, 0, 0.0, 1.0, 30)
    assert "■" not in line
    assert "0/0" in line


@given(UNIT, st.integers(1, 40))
def test_only_a_whole_share_fills_its_bar(value: float, width: int) -> None:
    line = bars.share(value, width)
    assert len(line) == width
    assert (line == "█" * width) == (value == 1)
    assert (line.strip() == "") == (value == 0)


@given(st.lists(st.floats(-5, 5), max_size=80), st.integers(1, 30))
def test_a_curve_has_exactly_the_width(values: list[float], width: int) -> None:
    assert len(bars.curve(values, width)) == width


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(4, 60))
def test_progress_has_exactly_the_width(done: int, total: int, width: int) -> None:
    assert len(bars.progress(done, total, width)) == width
