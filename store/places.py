"""Where rows lie: DuckDB's row numbers of packed keys, so that scattered rows are fetched without a scan.

A run's rows are appended in the order of their keys and never moved, so key and row number differ by a constant over
long stretches: one *place* each, kept in ``scratch.place`` and found when first needed (0.2 s for 20 million rows,
once in a hub's life; what was appended since costs a moment). A place is only a guess where to look: rows are taken
by their key, and what is not found there is looked for by a scan.

Measured for 200 keys anywhere in 10 million rows: by row number 4 to 6 ms, by a semi-join on the key (which reads
the whole key column) 25, by one ``between`` a key 70 to 250, by literals in an ``in`` 330. For 200 keys in a row:
by row number 1.0 ms, by ``between`` on the key 4.3.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Rows = dict[int, tuple[Any, ...]]
Place = tuple[int, int, int]  # first key, last key, what to add to a key

SCRATCH = "create table scratch.place (name varchar, low bigint, high bigint, shift bigint, stop bigint)"


def fetched(
    cursor: DuckDBPyConnection, table: str, key: str, columns: Iterable[str], wanted: Sequence[int]
) -> Rows:
    """Rows of ``table`` by packed key, as tuples of ``columns``; keys that there are not are left out.

    ``wanted``: ascending, each one once.
    """
    select = f"select {key}, {', '.join(columns)} from {table} where"  # noqa: S608 - our names only
    if not wanted:
        return {}
    found = _at_places(cursor, select, wanted, _places(cursor, table, wanted))
    if len(found) < len(wanted):
        _look_again(cursor, table, key)
        missing = [k for k in wanted if k not in found]
        found |= _at_places(cursor, select, missing, _places(cursor, table, missing))
    if len(found) < len(wanted):
        found |= _scanned(cursor, select, key, [k for k in wanted if k not in found])
    return found


def _places(cursor: DuckDBPyConnection, table: str, wanted: Sequence[int]) -> list[Place]:
    sql = "select low, high, shift from scratch.place where name = ? and low <= ? and high >= ?"
    return sorted(
        cursor.execute(sql, [table, wanted[-1], wanted[0]]).fetchall()
    )  # half the time of an order by


def _look_again(cursor: DuckDBPyConnection, table: str, key: str) -> None:
    """Find the places of what was appended since they were last looked for."""
    cursor.execute(
        f"insert into scratch.place select ?, min({key}), max({key}), any_value(rowid - {key}), max(rowid) from {table}"  # noqa: S608 - our names
        " where rowid > coalesce((select max(stop) from scratch.place where name = ?), -1)"
        f" group by rowid - {key}",
        [table, table],
    )


def _at_places(
    cursor: DuckDBPyConnection, select: str, wanted: Sequence[int], places: Sequence[Place]
) -> Rows:
    numbers = _row_numbers(wanted, places)
    if not numbers:
        return {}
    if numbers[-1] - numbers[0] + 1 == len(numbers):
        rows = cursor.execute(f"{select} rowid between ? and ?", [numbers[0], numbers[-1]]).fetchall()
    else:
        rows = cursor.execute(f"{select} rowid in (select unnest(?::bigint[]))", [numbers]).fetchall()
    asked = set(wanted)
    return {row[0]: row[1:] for row in rows if row[0] in asked}


def _row_numbers(wanted: Sequence[int], places: Sequence[Place]) -> list[int]:
    """Where keys should lie, for those of which that is known.

    >>> _row_numbers([5, 6, 20, 99], [(0, 9, 100), (20, 29, 300)])
    [105, 106, 320]
    """
    lows, found = [low for low, _, _ in places], []
    for key in wanted:
        at = bisect.bisect_right(lows, key) - 1
        if at >= 0 and key <= places[at][1]:
            found.append(key + places[at][2])
    return found


def _scanned(cursor: DuckDBPyConnection, select: str, key: str, wanted: list[int]) -> Rows:
    """By bounds (zone maps), then membership unless the keys are a range."""
    sql, values = f"{select} {key} between ? and ?", [wanted[0], wanted[-1]]
    if wanted[-1] - wanted[0] + 1 != len(wanted):
        sql += f" and {key} in (select unnest(?::bigint[]))"
        values.append(wanted)  # type: ignore[arg-type]
    return {row[0]: row[1:] for row in cursor.execute(sql, values).fetchall()}
