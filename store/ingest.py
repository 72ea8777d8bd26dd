"""Files to Arrow batches of arrivals and outputs: what an import does, in the client.

``file_rows`` reads rows, ``mapping`` says which field becomes what, ``row_parser`` turns one row into records;
here they become batches. Reading again gives the same bytes, keys and ids again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from store.arrow import arrow_schema
from store.errors import InputError
from store.file_rows import RowFile, file_id
from store.mapping import Mapping
from store.records import columns_of, key_of
from store.row_parser import Answer, Arrival, RowParser

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Parsed", "arrow_schema", "file_id", "preview", "read_batches"]

BATCH_ROWS = 2_048  # few enough to stay in the processor's cache
BATCH_BYTES = 16 << 20  # of the file that become one batch at most, so that long rows do not fill the memory


@dataclass(frozen=True, slots=True)
class Parsed:
    """One batch. ``bytes_read`` and ``rows`` count from the file's start; ``rows`` has rejected ones too.

    Tables have the columns of ``store.records``, ``outputs`` lies model by model in the mapping's order.
    """

    arrivals: pa.Table
    outputs: pa.Table
    bytes_read: int
    rows: int


@dataclass(slots=True)
class _Collected:
    """Rows on their way into one batch: the first seqs they get, and the values from ``prompt_id`` on."""

    run_no: int
    file_id: str
    groups: int
    arrival_seq: int
    output_seq: int
    numbers: list[int] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    outputs: list[list[Answer]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outputs = [[] for _ in range(self.groups)]

    def add(self, number: int, arrival: Arrival, answers: list[tuple[int, Answer]]) -> None:
        key = key_of(self.run_no, self.arrival_seq + len(self.arrivals))
        self.arrivals.append(arrival)
        self.numbers.append(number)
        for group, answer in answers:
            self.outputs[group].append((key, *answer))

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """Arrivals and outputs as Arrow; what comes next begins anew behind them."""
        count = len(self.arrivals)
        columns: list[Sequence[Any]] = list(zip(*self.arrivals, strict=True))
        columns = columns or [()] * (len(columns_of("arrival")) - 4)
        arrivals = _table(
            "arrival", self.run_no, self.arrival_seq, [*columns, [self.file_id] * count, self.numbers], count
        )
        flat = [row for group in self.outputs for row in group]
        columns = list(zip(*flat, strict=True)) or [()] * (len(columns_of("output")) - 2)
        outputs = _table("output", self.run_no, self.output_seq, columns, len(flat))
        self.arrival_seq += count
        self.output_seq += len(flat)
        self.numbers, self.arrivals, self.outputs = [], [], [[] for _ in range(self.groups)]
        return arrivals, outputs


def read_batches(
    path: Path | str,
    mapping: Mapping,
    *,
    run_no: int,
    first_arrival_seq: int = 0,
    first_output_seq: int = 0,
    rows: int = BATCH_ROWS,
    on_reject: Callable[[InputError], None] | None = None,
    skip: Callable[[int, Arrival], bool] | None = None,
    name: str = "",
    identity: str | None = None,
) -> Iterator[Parsed]:
    """The file's batches of at most ``rows`` rows, in file order; a file without rows gives none.

    ``name`` stands in places instead of the file's own; ``identity`` is its ``file_id`` where that is known. Of what
    ``skip`` (told the row's number, too) says yes to, neither the arrival nor its outputs come.
    Raises InputError at the first bad row, or hands it to ``on_reject`` and goes on (so that a batch may be empty);
    a file that cannot be read any further always raises. An output's ``arrival_key`` is that of its own row.
    """
    file = RowFile(path, batch=rows, name=name)
    parser = RowParser(mapping, file.name, flat=file.format == ".csv")
    identity = file_id(path) if identity is None else identity
    into = _Collected(run_no, identity, len(mapping.outputs), first_arrival_seq, first_output_seq)
    seen, given, until = 0, 0, BATCH_BYTES
    parse, add = parser.parse, into.add
    for number, row in file:
        seen += 1
        try:
            arrival, answers = parse(row, number)
        except InputError as failure:
            if on_reject is None:
                raise
            on_reject(failure)
        else:
            if skip is None or not skip(number, arrival):
                add(number, arrival, answers)
        if seen - given == rows or file.volume >= until:
            yield Parsed(*into.tables(), file.bytes_read, seen)
            given, until = seen, file.volume + BATCH_BYTES
    if seen > given:
        yield Parsed(*into.tables(), file.bytes_read, seen)


def preview(path: Path | str, mapping: Mapping, n: int = 5, *, name: str = "") -> list[dict[str, object]]:
    """The first ``n`` rows as the mapping reads them, for the eye. Raises InputError like ``read_batches``."""
    found: list[dict[str, object]] = []
    for batch in read_batches(path, mapping, run_no=0, rows=max(n, 1), name=name, identity=""):
        outputs = batch.outputs.to_pylist()
        for row in batch.arrivals.to_pylist():
            answers = [out for out in outputs if out["arrival_key"] == row["arrival_key"]]
            shown = ("file_row", "text", "reference", "source", "split", "at_us")
            found.append(
                {
                    **{name: row[name] for name in shown},
                    "metadata": msgspec.json.decode(row["metadata"]),
                    "outputs": [(out["model"], out["text"]) for out in answers],
                }
            )
        break
    return found[:n]


def _table(table: str, run_no: int, first: int, columns: list[Sequence[Any]], count: int) -> pa.Table:
    """A table from all columns but its first two, which are run_no and the key."""
    import pyarrow as pa

    schema = arrow_schema(table)
    start = key_of(run_no, first)
    columns = [[run_no] * count, range(start, start + count), *columns]
    arrays = [_array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(column: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The column in Arrow; one that says the same (or nothing) in every row costs next to nothing."""
    import pyarrow as pa

    if column and column[0] is column[-1] and column.count(column[0]) == len(column):
        return pa.repeat(pa.scalar(column[0], kind), len(column))
    return pa.array(column, kind)
