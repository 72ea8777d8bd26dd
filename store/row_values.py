"""The values of an Arrow table as Python rows, as the digest of a run takes them.

``column.to_pylist()`` makes one object a cell. Most columns of what we store say one thing many times (the run, the
file, the source, the model) or nothing at all; those cost one object here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 1_024  # rows that are Python objects at one time: they stay in the processor's cache


def rows_of(table: pa.Table) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of ``table`` in order, a list of tuples at a time; binary values as hex."""
    for start in range(0, table.num_rows, ROWS_AT_ONCE):
        columns = table.slice(start, ROWS_AT_ONCE).columns
        yield list(zip(*(_values(column) for column in columns), strict=True))


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column that has at least one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return [None] * len(column)
    if pa.types.is_binary(column.type):
        return [None if value is None else value.hex() for value in column.to_pylist()]
    if column.null_count or pa.types.is_floating(column.type):  # 0.0 equals -0.0, and is written otherwise
        return list(column.to_pylist())
    first = column[0]
    if first.equals(column[-1]) and pc.all(pc.equal(column, first)).as_py():
        return [first.as_py()] * len(column)
    if pa.types.is_integer(column.type):
        return list(column.to_numpy().tolist())
    return list(column.to_pylist())
