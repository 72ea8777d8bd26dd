"""The formats that rows are taken away in. To add one: a writer here, and a line in ``WRITERS``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import IO, Any, Protocol, TypeAlias

import msgspec

from store.errors import InputError

Row: TypeAlias = dict[str, Any]
Columns: TypeAlias = Mapping[str, str]  # name → int, float, bool, text or json
# As text in JSON these end a line for some readers, or move what a terminal shows: they are written as escapes.
_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
ROW_GROUP = 10_000


class Writer(Protocol):
    """Writes rows to a binary file."""

    def write(self, rows: list[Row]) -> None:
        """Some rows more."""

    def close(self) -> None:
        """The end; the file stays open."""


def json_line(value: object) -> bytes:
    """One line of JSON, and one line for every reader.

    >>> json_line({"text": "a\\u2028b\\n\\u202e"}).decode()
    '{"text":"a\\\\u2028b\\\\n\\\\u202e"}\\n'
    """
    text = msgspec.json.encode(value).decode()
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


def guarded(cell: object) -> object:
    """A cell of a CSV file that no spreadsheet takes for a formula.

    >>> guarded("=1+1"), guarded("-5"), guarded("a=b"), guarded(-5)
    ("'=1+1", "'-5", 'a=b', -5)
    """
    return "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


class JsonLines:
    """A JSON object a row, chats and metadata as they are."""

    def __init__(self, file: IO[bytes], columns: Columns) -> None:
        del columns
        self._file = file

    def write(self, rows: list[Row]) -> None:
        self._file.write(b"".join(json_line(row) for row in rows))

    def close(self) -> None:
        pass


class OpenAI:
    """OpenAI's chat fine-tuning format: the prompt's messages, then the output as the assistant's.

    https://platform.openai.com/docs/guides/supervised-fine-tuning
    """

    def __init__(self, file: IO[bytes], columns: Columns) -> None:
        if "output" not in columns or "messages" not in columns:
            raise InputError(
                "openai.jsonl holds one answer to each prompt, and these rows have two or none",
                todo="Export it from the audit queue; here take .jsonl, .parquet or .csv.",
            )
        self._file = file

    def write(self, rows: list[Row]) -> None:
        for row in rows:
            answer = {"role": "assistant", "content": row["output"]}
            self._file.write(json_line({"messages": [*row["messages"], answer]}))

    def close(self) -> None:
        pass


class Csv:
    """For spreadsheets: RFC 4180, formulas disarmed, chats and metadata as JSON."""

    def __init__(self, file: IO[bytes], columns: Columns) -> None:
        self._columns = columns
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._csv = csv.writer(self._text)
        self._csv.writerow(columns)

    def write(self, rows: list[Row]) -> None:
        for row in rows:
            self._csv.writerow([guarded(cell_of(row[name], type_)) for name, type_ in self._columns.items()])

    def close(self) -> None:
        self._text.detach()


class Parquet:
    """One file, zstd; chats and metadata as JSON text."""

    def __init__(self, file: IO[bytes], columns: Columns) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        types = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
        self._schema = pa.schema([(name, types.get(type_, pa.string())) for name, type_ in columns.items()])
        self._columns, self._rows = columns, list[Row]()
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._batch = pa.RecordBatch

    def write(self, rows: list[Row]) -> None:
        self._rows += [{name: cell_of(row[name], t) for name, t in self._columns.items()} for row in rows]
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(self._batch.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def close(self) -> None:
        self._flush()
        self._writer.close()


def cell_of(value: Any, type_: str) -> Any:
    """A value in a flat format: what is no number or text as JSON."""
    return msgspec.json.encode(value).decode() if type_ == "json" and value is not None else value


WRITERS: dict[str, type[JsonLines | Parquet | Csv | OpenAI]] = {
    ".jsonl": JsonLines,
    ".parquet": Parquet,
    ".csv": Csv,
    ".openai.jsonl": OpenAI,
}
