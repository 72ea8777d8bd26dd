"""Long lists in parts: which kinds have them, and where one part ends.

One join of 10 million outputs with their arrivals takes DuckDB a gigabyte; joined part by part, where a part is a
range of keys on both sides, the same takes what DuckDB holds anyway, and less time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.queue_audit import ARRIVAL
from store.queue_audit import KIND as AUDIT
from store.queue_disagreements import KIND as DISAGREEMENTS
from store.queue_kind import Kind, View

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PART_ROWS = 500_000  # of which a join takes about 100 bytes each
# Parts overlap where arrivals do not come in order. Where they would be read more often than this, one join of all
# of them is better.
OVERLAP = 2

Part = tuple[int, int, int, int]  # first and last key of outputs or scores, first and last of their arrivals
WHOLE = (0, (1 << 63) - 1) * 2


@dataclass(frozen=True, slots=True)
class Split:
    """How a kind's members are found part by part.

    ``chunks``: SQL of (first key, last key, first arrival, last arrival, rows) in the order of keys, ``?`` keys a
    chunk, which is the last of its values. ``within``: SQL of what holds of the members of a part, where ``join``
    is in the source: without it there is nothing to save.
    """

    join: str
    chunks: str
    values: Callable[[View], list[Any]]
    within: str


SPLITS: tuple[tuple[Kind, Split], ...] = (
    (
        AUDIT,
        Split(
            ARRIVAL,
            "select min(output_key), max(output_key), min(arrival_key), max(arrival_key), count(*) from output"
            " where run_no in (select run_no from closed_run where project = ?) and model = ?"
            " group by output_key // ? order by 1",
            lambda view: [view.spec.project, view.spec.model],
            "o.output_key between ? and ? and a.arrival_key between ? and ?",
        ),
    ),
    (
        DISAGREEMENTS,
        Split(
            " join scores t",
            "select min(score_key), max(score_key), min(arrival_key), max(arrival_key), count(*) from scores"
            " where project = ? and run_id = ? and model = ? and metric = ? group by score_key // ? order by 1",
            lambda view: [view.spec.project, view.spec.run_id, view.spec.model, view.spec.metric],
            "s.score_key between ? and ? and t.arrival_key between ? and ?",
        ),
    ),
)


def split_of(kind: Kind) -> Split | None:
    """How a kind is looked through in parts; None where its lists are short, or lie anywhere."""
    return next((split for whose, split in SPLITS if whose is kind), None)


class Parts:
    """The parts of each list, found anew only when a run was closed meanwhile."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[list[int], list[Part]]] = {}

    def of(
        self, cursor: DuckDBPyConnection, split: Split, view: View, runs: list[int], rows: int | None
    ) -> list[Part]:
        """Parts of up to ``rows`` (or PART_ROWS) rows in the order of keys; ``WHOLE`` where they overlap too much.

        ``runs``: the project's closed ones.
        """
        values, rows = split.values(view), rows or PART_ROWS
        known = self._known.get((split.within, rows, *values))
        if known is None or known[0] != runs:
            known = self._known[split.within, rows, *values] = (runs, _parts(cursor, split, values, rows))
        return known[1]


def _parts(cursor: DuckDBPyConnection, split: Split, values: list[Any], most: int) -> list[Part]:
    rows = cursor.execute(split.chunks, [*values, max(1, most // 4)]).fetchall()
    parts = merged(rows, most)
    sql = "select min(arrival_key), max(arrival_key) from arrival group by run_no"
    stretches = cursor.execute(sql).fetchall() if len(parts) > 1 else []
    whole = sum(last - first + 1 for first, last in stretches)
    read = sum(max(0, min(hi, p[3]) - max(lo, p[2]) + 1) for lo, hi in stretches for p in parts)
    return parts if read <= OVERLAP * whole else [WHOLE]


def merged(rows: Iterable[tuple[int, int, int, int, int]], most: int) -> list[Part]:
    """Neighbours of (first key, last key, first arrival, last arrival, rows) as parts of up to ``most`` rows.

    >>> merged([(1, 4, 10, 13, 2), (5, 8, 30, 33, 2), (9, 12, 20, 23, 3)], 4)
    [(1, 8, 10, 33), (9, 12, 20, 23)]
    """
    parts: list[Part] = []
    held = most
    for low, high, first, last, count in rows:
        if held + count > most:
            parts.append((low, high, first, last))
            held = count
        else:
            before = parts[-1]
            parts[-1] = (before[0], high, min(before[2], first), max(before[3], last))
            held += count
    return parts
