"""One row or one value of an answer, with the answer read to its end.

DuckDB 2.0 leaves a result open after ``fetchone()``: its transaction lives on, and with it what a checkpoint
would like to drop. So everything in the store that wants one row asks here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Values = Sequence[object] | Mapping[str, object] | None


def one_row(cursor: DuckDBPyConnection, sql: str, values: Values = None) -> tuple[Any, ...] | None:
    """The first row of an answer, None where it has none."""
    rows = cursor.execute(sql, values).fetchall()
    return rows[0] if rows else None


def one_value(cursor: DuckDBPyConnection, sql: str, values: Values = None) -> Any:
    """The first value of the first row of an answer, None where it has none."""
    row = one_row(cursor, sql, values)
    return row[0] if row else None
