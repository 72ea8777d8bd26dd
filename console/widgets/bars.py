"""Bars, intervals and curves as text of an exact width: numbers with their honesty, no colour needed."""

from __future__ import annotations

from collections.abc import Sequence

from console.text import cells, fit

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"


def interval(
    value: float | None,
    low: float,
    high: float,
    width: int,
    *,
    scale: tuple[float, float] = (0.0, 1.0),
    bar: float | None = None,
) -> str:
    """Draw an interval on a scale: ``├`` low, ``■`` estimate, ``┤`` high, ``┆`` the bar to reach.

    What lies off the scale is drawn as ``«`` or ``»`` at its edge; the estimate covers what shares its cell.

    >>> interval(0.5, 0.25, 0.75, 21)
    '     ├────■────┤     '
    """
    start, stop = scale
    line = [" "] * width
    span = (stop - start) or 1.0

    def at(x: float) -> int:
        return min(max(round((x - start) / span * (width - 1)), 0), width - 1)

    for i in range(at(low), at(high) + 1):
        line[i] = "─"
    line[at(low)] = "├" if low >= start else "«"
    line[at(high)] = "┤" if high <= stop else "»"
    if bar is not None and start <= bar <= stop:
        line[at(bar)] = "┆"
    if value is not None and start <= value <= stop:
        line[at(value)] = "■"
    return "".join(line)


def whiskered(value: float, low: float, high: float, width: int, *, most: float = 1.0) -> str:
    """A bar from 0 to ``value`` of ``most`` with its interval over its end, exactly ``width`` cells.

    >>> whiskered(0.5, 0.25, 0.75, 21) + "|"
    '█████├────■────┤     |'
    """
    drawn = interval(value, low, high, width, scale=(0.0, most))
    full = len(drawn) - len(drawn.lstrip(" "))
    return "█" * full + drawn[full:]


def rate(
    k: int,
    n: int,
    low: float,
    high: float,
    width: int,
    *,
    scale: tuple[float, float] = (0.0, 1.0),
    bar: float | None = None,
) -> str:
    """A rate with its interval and its counts, ``width`` cells; no estimate at ``n == 0``.

    >>> rate(290, 1319, 0.2, 0.24, 38)
    '0.220     ├■                  290/1319'
    >>> rate(0, 0, 0, 1, 24)
    '  -   ├─────────┤    0/0'
    """
    head = f"{k / n:.3f} " if n else "  -   "
    tail = f" {k}/{n}"
    room = width - len(head) - max(len(tail), 7)
    if room < 5:
        return fit((head + tail).replace("  ", " "), width)
    drawn = interval(k / n if n else None, low, high, room, scale=scale, bar=bar)
    return head + drawn + tail.rjust(width - len(head) - room)


def share(value: float, width: int) -> str:
    """A bar for a share of 1, in eighths of a cell; anything above 0 shows, and only 1 fills it.

    >>> share(0.5, 8) + "|"
    '████    |'
    """
    eighths = round(min(max(value, 0.0), 1.0) * width * 8)
    if 0 < value < 1:
        eighths = min(max(eighths, 1), width * 8 - 1)
    full, part = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(width)


def progress(done: int, total: int, width: int) -> str:
    """``████▌     1,204/2,000`` in exactly ``width`` cells; a total of 0 is unknown.

    >>> progress(1, 2, 14)
    '█████      1/2'
    """
    tail = f" {done:,}/{total:,}" if total else f" {done:,}"
    room = width - max(len(tail), 4)
    if room < 3:
        return fit(tail.strip(), width)
    return share(done / total if total else 0.0, room) + tail.rjust(width - room)


def curve(values: Sequence[float], width: int) -> str:
    """The last values as a curve of blocks, scaled to their own range, exactly ``width`` cells.

    More values than cells are thinned evenly, first and last kept.

    >>> curve([1, 2, 3, 4], 6)
    '▁▃▆█  '
    """
    if not values or width < 1:
        return " " * max(width, 0)
    if len(values) > width:
        step = (len(values) - 1) / max(1, width - 1)
        values = [values[round(i * step)] for i in range(width)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_HEIGHTS[round((v - low) / span * 7)] for v in values).ljust(width)


def table(rows: Sequence[Sequence[str]], width: int, *, right: frozenset[int] = frozenset()) -> list[str]:
    """Lay out cells in columns as wide as their widest, two blanks between, cut to exactly ``width``.

    >>> table([["slice", "n"], ["de", "12"]], 12, right=frozenset({1}))
    ['slice   n   ', 'de     12   ']
    """
    if not rows:
        return []
    sizes = [max(cells(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        fit(
            "  ".join(
                " " * (size - cells(cell)) + cell if i in right else fit(cell, size)
                for i, (cell, size) in enumerate(zip(row, sizes, strict=True))
            ),
            width,
        )
        for row in rows
    ]
