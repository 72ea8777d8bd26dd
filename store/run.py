"""A run as its maker holds it: open, append rows to its tables, close; until then nobody sees them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from store import acts
from store.arrow import arrow_schema
from store.canonical import RowDigest
from store.errors import InputError
from store.records import ROW_GROUP, columns_of, key_of
from store.row_values import rows_of

if TYPE_CHECKING:
    import pyarrow as pa

    from store.client import Client


class Run:
    """An open run."""

    BATCH = ROW_GROUP
    MOST = 128 << 20  # bytes of a batch: a frame carries four times as many

    def __init__(self, client: Client, project: str, run_id: str, run_no: int, opened: str = "") -> None:
        """``opened``: hash of the event that opened it."""
        self.client, self.project, self.run_id, self.run_no, self.opened = (
            client,
            project,
            run_id,
            run_no,
            opened,
        )
        self._digests: dict[str, RowDigest] = {}

    def next_seq(self, table: str) -> int:
        """The seq that the next row of ``table`` will have."""
        return self._digests[table].rows if table in self._digests else 0

    def add(self, table: str, records: Iterable[Any]) -> int:
        """Append records; ``run_no`` and key are filled in here. Returns how many."""
        count = 0
        source = iter(records)
        while chunk := list(islice(source, self.BATCH)):
            count += self.add_table(table, self._table(table, chunk))
        return count

    def _table(self, table: str, records: list[Any]) -> pa.Table:
        names, first = columns_of(table), key_of(self.run_no, self.next_seq(table))
        columns: list[Any] = [[self.run_no] * len(records), range(first, first + len(records))]
        columns += [[getattr(record, name) for record in records] for name in names[2:]]
        return _shaped(table, columns)

    def add_table(self, table: str, batch: pa.Table) -> int:
        """Append an Arrow table that has every column of ``table`` already, keys included.

        Raises InputError where a column is missing or does not fit.
        """
        names = columns_of(table)
        if missing := [name for name in names if name not in batch.column_names]:
            raise InputError(f"rows for {table} lack the column {missing[0]}")
        batch = _shaped(table, [batch.column(name) for name in names])
        most = max(1, min(self.BATCH, self.MOST * batch.num_rows // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, most):
            self._append(table, batch.slice(start, most))
        return int(batch.num_rows)

    def _append(self, table: str, batch: pa.Table) -> None:
        import pyarrow as pa

        digest = self._digests.setdefault(table, RowDigest())
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_table(batch)
        body = sink.getvalue().to_pybytes()
        self.client.call("append", run_no=self.run_no, table=table, first_seq=digest.rows, arrow=body)
        for rows in rows_of(batch):
            digest.update(rows)

    def close(self, result: dict[str, Any] | None = None) -> dict[str, Any]:
        """Close the run: its rows are seen from here on. Returns the closing act's answer."""
        tables = {
            table: {
                "rows": d.rows,
                "columns": list(columns_of(table)),
                "sha256": d.hexdigest(),
                "marks": d.marks,
            }
            for table, d in self._digests.items()
        }
        payload = {"run_no": self.run_no, "tables": tables, "result": acts.exact(result or {})}
        return self.client.act("run.close", self.project, payload)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of what was added so far, by table."""
        return {table: d.hexdigest() for table, d in self._digests.items()}


def _shaped(table: str, columns: list[Any]) -> pa.Table:
    """Columns (lists or Arrow) in the types of ``table``: what is stored is also what the digest covers."""
    import pyarrow as pa

    schema, found = arrow_schema(table), []
    for name, kind, column in zip(schema.names, schema.types, columns, strict=True):
        try:
            arrow = isinstance(column, pa.Array | pa.ChunkedArray)
            found.append(column.cast(kind) if arrow else pa.array(column, kind))
        except (pa.ArrowException, OverflowError) as error:
            raise InputError(f"rows for {table} do not fit: {name}: {error}") from error
    return pa.Table.from_arrays(found, schema=schema)
