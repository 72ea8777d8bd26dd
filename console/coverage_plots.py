"""Shares of buckets as plots in a terminal: bars with their intervals, no colour needed, at any width. Plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.text import cells, fit, visible
from console.widgets.bars import interval, whiskered

if TYPE_CHECKING:
    from engine.clean.coverage_report import Part, Row

NAME, TOLD = 11, 22  # columns of "production " and of "12.0% (10.1 to 14.2)"
WIDEST_NAME = 28
KEY = "├─■─┤ ours with its 95 % interval   ┆ production's share"


def scale_of(rows: Sequence[Row]) -> float:
    """The share at the right edge of plots that are to be compared: the largest, or the end of an interval near it."""
    shares = [part.share for row in rows for _, part in row.parts]
    ends = [part.high for row in rows for _, part in row.parts if part.of]
    return min(max([*shares, 0.01]) * 1.25, max([*ends, 0.01]))


def compared(row: Row, width: int, most: float) -> str:
    """One line: our share with its interval, and where production's is, on a scale from 0 to ``most``."""
    if not row.ours.of:
        return " " * width
    wanted = row.production.share if row.production.of else None
    return interval(
        row.ours.share, row.ours.low, row.ours.high, width, scale=(0.0, most), bar=_inside(wanted, most)
    )


def _inside(share: float | None, most: float) -> float | None:
    return None if share is None else min(share, most)


def bars(row: Row, width: int, most: float = 0.0) -> list[str]:
    """Ours, production's and the evaluation set's share, one bar below the other with their intervals."""
    most = most or max([part.high for _, part in row.parts if part.of] + [0.01])
    room = max(8, width - NAME - TOLD - 1)
    return [f"{name:<{NAME}}{_bar(part, room, most)} {part.told()}" for name, part in row.parts]


def _bar(part: Part, width: int, most: float) -> str:
    return whiskered(part.share, part.low, part.high, width, most=most) if part.of else " " * width


def marginal(name: str, rows: Sequence[Row], width: int) -> list[str]:
    """One dimension: a line for each value with our bar, its interval, production's share as a mark, both as numbers."""
    size = min(WIDEST_NAME, max([cells(visible(row.name)) for row in rows] + [4]))
    most, room = scale_of(rows), max(8, width - size - 18)
    lines = [f"by {visible(name)}: ours, ┆ production", f"{'':<{size}} {'ours':>7} {'prod':>7}"]
    for row in rows:
        theirs = f"{row.production.share:.1%}" if row.production.of else "-"
        ours = f"{row.ours.share:.1%}" if row.ours.of else "-"
        lines.append(
            f"{fit(visible(row.name), size)} {ours:>7} {theirs:>7} {compared(row, room, most)}".rstrip()
        )
    return lines
