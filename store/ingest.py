"""Files to Arrow batches of arrivals and outputs: what an import does, in the client.

``file_rows`` reads rows, ``mapping`` says which field becomes what, ``row_parser`` turns one row into records;
here they become batches. Reading again gives the same bytes, keys and ids again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from store.arrow import arrow_schema
from store.errors import InputError
from store.file_rows import RowFile, file_id
from store.mapping import Mapping
from store.records import columns_of, key_of
from store.row_parser import RowParser

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Parsed", "arrow_schema", "file_id", "preview", "read_batches"]

BATCH_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Parsed:
    """One batch. ``bytes_read`` and ``rows`` count from the file's start; ``rows`` has rejected ones too.

    Tables have the columns of ``store.records``, ``outputs`` lies model by model in the mapping's order.
    """

    arrivals: pa.Table
    outputs: pa.Table
    bytes_read: int
    rows: int


def read_batches(
    path: Path | str,
    mapping: Mapping,
    *,
    run_no: int,
    first_arrival_seq: int = 0,
    first_output_seq: int = 0,
    rows: int = BATCH_ROWS,
    on_reject: Callable[[InputError], None] | None = None,
) -> Iterator[Parsed]:
    """The file's batches of at most ``rows`` rows; a file without rows gives none.

    Raises InputError at the first bad row, or hands it to ``on_reject`` and goes on; a file that cannot be read
    any further always raises. An output's ``arrival_key`` is that of its own row.
    """
    file = RowFile(path, batch=rows)
    identity = file_id(path)
    parser = RowParser(mapping, file.name, flat=file.kind[0] == ".csv")
    seen = 0
    numbers: list[int] = []
    arrivals: list[tuple[Any, ...]] = []
    outputs: list[list[tuple[Any, ...]]] = [[] for _ in mapping.outputs]

    def batch() -> Parsed:
        nonlocal first_arrival_seq, first_output_seq, numbers, arrivals, outputs
        flat = [row for group in outputs for row in group]
        parsed = Parsed(
            _arrivals(arrivals, numbers, run_no, first_arrival_seq, identity),
            _outputs(flat, run_no, first_output_seq),
            file.bytes_read,
            seen,
        )
        first_arrival_seq += len(arrivals)
        first_output_seq += len(flat)
        numbers, arrivals, outputs = [], [], [[] for _ in outputs]
        return parsed

    for number, row in file:
        seen += 1
        try:
            arrival, answers = parser.parse(row, number)
        except InputError as failure:
            if on_reject is None:
                raise
            on_reject(failure)
            continue
        key = key_of(run_no, first_arrival_seq + len(arrivals))
        arrivals.append(arrival)
        numbers.append(number)
        for group, answer in answers:
            outputs[group].append((key, *answer))
        if len(arrivals) == rows:
            yield batch()
    if arrivals:
        yield batch()


def preview(path: Path | str, mapping: Mapping, n: int = 5) -> list[dict[str, object]]:
    """The first ``n`` rows as the mapping reads them, for the eye. Raises InputError like ``read_batches``."""
    found: list[dict[str, object]] = []
    for batch in read_batches(path, mapping, run_no=0, rows=max(n, 1)):
        outputs = batch.outputs.to_pylist()
        for row in batch.arrivals.to_pylist():
            answers = [out for out in outputs if out["arrival_key"] == row["arrival_key"]]
            found.append(
                {
                    **{
                        name: row[name]
                        for name in ("file_row", "text", "reference", "source", "split", "at_us")
                    },
                    "metadata": msgspec.json.decode(row["metadata"]),
                    "outputs": [(out["model"], out["text"]) for out in answers],
                }
            )
        break
    return found[:n]


def _arrivals(
    rows: Sequence[tuple[Any, ...]], numbers: list[int], run_no: int, first: int, identity: str
) -> pa.Table:
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    return _table("arrival", run_no, first, [*columns, [identity] * len(rows), numbers], len(rows))


def _outputs(rows: Sequence[tuple[Any, ...]], run_no: int, first: int) -> pa.Table:
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * (len(columns_of("output")) - 2)
    return _table("output", run_no, first, columns, len(rows))


def _table(table: str, run_no: int, first: int, columns: list[Sequence[Any]], count: int) -> pa.Table:
    """A table from all columns but its first two, which are run_no and the key."""
    import pyarrow as pa

    schema = arrow_schema(table)
    start = key_of(run_no, first)
    columns = [[run_no] * count, range(start, start + count), *columns]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
