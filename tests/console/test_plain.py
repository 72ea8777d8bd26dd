"""The screens as text: short, one row a line, and honest about what is left out."""

from __future__ import annotations

import pytest

from console.plain import LINES, WIDTH, print_sheet
from console.screens.sheet import Line, Sheet


def lines_of(sheet: Sheet, capsys: pytest.CaptureFixture[str], name: str = "home") -> list[str]:
    print_sheet(name, sheet)
    return capsys.readouterr().out.splitlines()


def test_a_long_sheet_says_how_many_rows_are_left_out_and_where_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sheet = Sheet("header", "titles", [Line(f"row {i}", "!") for i in range(100)])
    told = lines_of(sheet, capsys, "coverage")
    assert told[:4] == ["", "coverage: header", "  titles", "! row 0"]
    assert told[-1] == f"  … and {100 - LINES} more: spiritsafe report coverage"
    assert len(told) == LINES + 4


def test_a_short_sheet_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    told = lines_of(Sheet("header", "titles", [Line("one"), Line("two", "✓")]), capsys)
    assert told == ["", "home: header", "  titles", "  one", "✓ two"]


def test_a_long_or_hostile_row_stays_one_harmless_line(capsys: pytest.CaptureFixture[str]) -> None:
    told = lines_of(Sheet("header", "titles", [Line("x" * 999), Line("a\x1b[2J\nb\u202e")]), capsys)
    assert len(told) == 5
    assert max(map(len, told)) <= WIDTH
    assert told[4] == "  a␛[2J⏎b⟨U+202E⟩"
