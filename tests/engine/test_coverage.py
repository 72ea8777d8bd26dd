"""Coverage: what we have against what production asks for."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clean.coverage import Cell, Dimension, grid, parse_dimension
from engine.clean.coverage_report import report_markdown
from store.errors import InputError

CHANNEL = Dimension("channel")
LENGTH = parse_dimension("len(text): 0, 80, 200")


def row(channel: str | None, length: float | None = 10, **counts: int | bool) -> dict[str, object]:
    return {"channel": channel, "len(text)": length, "have": 0, "clean": 0, "production": 0} | counts


def named(cells: list[Cell]) -> dict[tuple[str, ...], Cell]:
    return {tuple(value for _, value in cell.cell): cell for cell in cells}


def test_missing_cells_come_first_then_thin_ones_then_the_rest() -> None:
    rows = [row("web", have=1, clean=1, production=1) for _ in range(6)]
    rows += [row("phone", production=1) for _ in range(2)]
    rows += [row("mail", have=1, clean=1)] + [row("mail", production=1) for _ in range(4)]
    cells = grid(rows, [CHANNEL])
    assert [(c.cell[0][1], c.missing, c.thin) for c in cells] == [
        ("phone", True, False),
        ("mail", False, True),
        ("web", False, False),
    ]
    assert cells[0].production_share == pytest.approx(2 / 12)
    assert cells[1].share == pytest.approx(1 / 7)


def test_bins_are_half_open_and_what_lies_outside_has_its_own() -> None:
    rows = [row("web", n, have=1) for n in (-1, 0, 79.9, 80, 199, 200, 10**6, None, float("nan"))]
    cells = named(grid(rows, [LENGTH]))
    assert {key[0]: cell.have for key, cell in cells.items()} == {
        "< 0": 1,
        "0 to 80": 2,
        "80 to 200": 2,
        "≥ 200": 2,
        "(none)": 2,
    }


def test_dimensions_cross_and_a_missing_value_is_a_value() -> None:
    rows = [row("web", 10, have=1), row("web", 90, have=1), row(None, 90, production=1)]
    assert set(named(grid(rows, [CHANNEL, LENGTH]))) == {
        ("web", "0 to 80"),
        ("web", "80 to 200"),
        ("(none)", "80 to 200"),
    }


def test_a_target_counts_clean_rows_and_makes_the_cell_that_nobody_saw() -> None:
    rows = [row("web", have=1, clean=i < 3) for i in range(5)]
    assert [c.thin for c in grid(rows, [CHANNEL], targets=3)] == [False]
    assert [c.thin for c in grid(rows, [CHANNEL], targets=4)] == [True]
    cells = named(grid(rows, [CHANNEL], targets={("fax",): 2, ("web",): 3}))
    assert (cells["fax",].have, cells["fax",].thin, cells["fax",].missing) == (0, True, False)
    assert not cells["web",].thin


def test_the_bad_rate_has_an_interval_and_no_judged_row_means_no_knowledge() -> None:
    rows = [row("web", have=1, judged=1, bad=i < 2) for i in range(100)] + [row("mail", have=1)]
    cells = named(grid(rows, [CHANNEL]))
    assert (cells["web",].bad, cells["web",].judged) == (2, 100)
    assert [round(x, 3) for x in (cells["web",].bad_low, cells["web",].bad_high)] == [0.006, 0.07]
    assert (cells["mail",].bad_low, cells["mail",].bad_high) == (0.0, 1.0)


def test_rows_may_be_dicts_polars_or_arrow() -> None:
    rows = [row("web", have=1), row("mail", 90, production=1, evaluation=True)]
    frame = pl.from_dicts(rows)
    assert (
        grid(rows, [CHANNEL, LENGTH])
        == grid(frame, [CHANNEL, LENGTH])
        == grid(frame.to_arrow(), [CHANNEL, LENGTH])
    )


def test_no_rows_are_an_empty_grid() -> None:
    assert grid([], [CHANNEL]) == []
    assert report_markdown([]) == "No rows, no buckets.\n"


@pytest.mark.parametrize("text", ["len(text): 80, 0", "len(text): 0, 0", "len(text): 0, nan", ": 0, 80", ""])
def test_a_dimension_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_dimension(text)


def test_a_colon_may_belong_to_the_expression() -> None:
    assert parse_dimension("kind = 'a:b'") == Dimension("kind = 'a:b'")


def test_rows_that_cannot_be_binned_are_refused() -> None:
    with pytest.raises(InputError, match="no column 'region'"):
        grid([row("web")], [Dimension("region")])
    with pytest.raises(InputError, match="values are no numbers"):
        grid([row("web")], [Dimension("channel", (0.0,))])
    with pytest.raises(InputError, match="more than 1000 values"):
        grid([row(f"c{i}") for i in range(1001)], [CHANNEL])
    with pytest.raises(InputError, match="needs a dimension"):
        grid([row("web")], [])


def test_the_report_is_a_table_that_a_value_cannot_break() -> None:
    rows = [row("a|b\nc", production=1), row("web", have=1, judged=1)]
    lines = report_markdown(grid(rows, [CHANNEL])).splitlines()
    assert lines[0] == "2 buckets: 1 missing, 0 thin."
    assert lines[4].startswith(
        "| a\\|b c | missing | 0 | 0 | 0 | 1 | 0 | 0.0% (0.0 to 79.3) | 100.0% (20.7 to 100.0) | - | - |"
    )
    assert len(lines) == 6


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-5, 300), st.booleans(), st.booleans()), max_size=40
    )
)
def test_every_row_is_in_one_cell(raw: list[tuple[str, int, bool, bool]]) -> None:
    rows = [row(c, n, have=h, production=p) for c, n, h, p in raw]
    cells = grid(rows, [CHANNEL, LENGTH])
    assert sum(c.have for c in cells) == sum(h for _, _, h, _ in raw)
    assert sum(c.production for c in cells) == sum(p for _, _, _, p in raw)
    assert len({c.cell for c in cells}) == len(cells)
    assert all(not (c.missing and c.thin) for c in cells)


def test_a_million_rows_fall_into_two_hundred_buckets_within_the_budget() -> None:
    rng = np.random.default_rng(1)
    n = 1_000_000
    frame = pl.DataFrame(
        {
            "channel": pl.Series([f"channel {i}" for i in range(40)]).gather(
                pl.Series(rng.integers(0, 40, n))
            ),
            "len(text)": rng.integers(0, 700, n),
            "have": rng.random(n) < 0.5,
            "clean": rng.random(n) < 0.4,
            "production": rng.random(n) < 0.5,
        }
    )
    began = time.monotonic()
    cells = grid(frame, [CHANNEL, parse_dimension("len(text): 0, 80, 200, 300, 500")])
    assert len(cells) == 200
    assert time.monotonic() - began < 2
