"""The rows of a file as plain dicts, each with the place it came from: JSON lines, CSV, Parquet.

Memory is flat in the size of the file. Whatever the bytes are, the only error is InputError, with its place.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from store.canonical import ID_CHARS
from store.errors import InputError

MAX_LINE = 16 << 20  # bytes of one line or CSV row: beyond this a file is not what its name says
PARQUET_ROWS = 1_024  # at one time, fewer where rows are long
PARQUET_BYTES = 16 << 20
TOO_LONG = f"is longer than {MAX_LINE >> 20} MiB"
BOM = b"\xef\xbb\xbf"
OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")

# (row number, row or what is wrong with it); rows are numbered from 1: the line of a text file on which the
# row begins, the position in a Parquet file. A reader ends where the file cannot be read any further.
Numbered = tuple[int, dict[str, Any] | InputError]


def file_id(path: Path | str) -> str:
    """SHA-256 of the file's bytes, first 32 hex. Raises InputError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:ID_CHARS]
    except OSError as failure:
        raise InputError(failure.strerror or str(failure), where=str(path)) from None


def format_of(path: Path) -> tuple[str, bool] | None:
    """The suffix that says what a file is, and whether it is gzipped; None where it says nothing known.

    >>> format_of(Path("log.2026.jsonl.GZ")), format_of(Path("a.parquet.gz"))
    (('.jsonl', True), None)
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    gzipped = suffixes[-1:] == [".gz"]
    suffix = ((suffixes[:-1] if gzipped else suffixes)[-1:] or [""])[0]
    return None if suffix not in READERS or (gzipped and suffix == ".parquet") else (suffix, gzipped)


class RowFile:
    """An open file of rows; iterate once. ``bytes_read`` counts bytes on disk, compressed ones too; ``volume`` what
    they hold, unpacked. ``name`` is what places call it, its own name unless given."""

    def __init__(self, path: Path | str, *, batch: int, name: str = "") -> None:
        self.path, self.batch = Path(path), batch
        self.name = name or self.path.name
        self.bytes_read = self.volume = 0
        known = format_of(self.path)
        if known is None:
            todo = "rename it to .jsonl, .json (a row a line), .csv (each also .gz) or .parquet"
            raise InputError("is of no known format", where=self.name, todo=todo)
        self.format, self.gzipped = known

    def __iter__(self) -> Iterator[Numbered]:
        with _readable(self.name), self.path.open("rb") as raw:
            yield from READERS[self.format](self, raw)

    def lines(self, raw: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        """Numbered lines with their ends, without BOM. Raises InputError for UTF-16 and for endless lines."""
        import gzip

        file = io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 20) if self.gzipped else raw
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if number == 1:
                line = self._without_bom(line)
            if len(line) > MAX_LINE:
                todo = "One text of that size is no sample: cut it, or leave the row out."
                raise InputError(TOO_LONG, where=self.where(number), todo=todo)
            self.volume += len(line)
            if not number & 63:
                self.bytes_read = raw.tell()
            yield number, line
        self.bytes_read = raw.tell()

    def _without_bom(self, line: bytes) -> bytes:
        if line.startswith(OTHER_BOMS):
            todo = f"iconv -f UTF-16 -t UTF-8 {self.name}"
            raise InputError("is UTF-16, not UTF-8", where=self.name, todo=todo)
        return line.removeprefix(BOM)

    def where(self, row: int) -> str:
        return f"{self.name}:{row}"


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """What a broken file makes the standard library raise, as InputError."""
    try:
        yield
    except (EOFError, zlib.error) as failure:
        raise InputError(f"is cut off or damaged: {failure}", where=name) from None
    except OSError as failure:
        raise InputError(failure.strerror or str(failure), where=name) from None


def _json_rows(file: RowFile, raw: IO[bytes]) -> Iterator[Numbered]:
    import msgspec

    decode = msgspec.json.Decoder().decode
    row: Any
    for number, line in file.lines(raw):
        try:
            row = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as failure:
            if not line.strip():
                continue
            row = _json_error(line, failure, file.where(number))
        else:
            if type(row) is not dict:
                row = _no_object(row, file.where(number))
        yield number, row


def _json_error(line: bytes, failure: Exception, where: str) -> InputError:
    if isinstance(failure, UnicodeDecodeError):
        return InputError(f"is not UTF-8 (byte {failure.start} of a text: {failure.reason})", where=where)
    if isinstance(failure, RecursionError):
        return InputError("is nested too deeply", where=where)
    # msgspec calls a text that ends in half a surrogate pair truncated or malformed; say what it is.
    if _has_half_pair(line):
        todo = r"write both halves (\ud83d\ude00) or drop it: one half is no character"
        return InputError(r"holds half a surrogate pair (\ud800 to \udfff)", where=where, todo=todo)
    if line.strip() in (b"[", b"{"):
        return InputError("is not one row a line", where=where, todo="jq -c '.[]' writes one row a line")
    return InputError(f"is not JSON: {failure}", where=where)


def _has_half_pair(line: bytes) -> bool:
    import json

    try:
        json.dumps(json.loads(line), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _no_object(row: object, where: str) -> InputError:
    todo = "jq -c '.[]' writes one row a line" if isinstance(row, list) else ""
    return InputError("is not a JSON object", where=where, todo=todo)


def _csv_rows(file: RowFile, raw: IO[bytes]) -> Iterator[Numbered]:
    import csv

    csv.field_size_limit(MAX_LINE)
    row_start = [0]
    reader = csv.reader(_decoded(file, raw, row_start), strict=True)
    header: list[str] | None = None
    while True:
        start, row_start[0] = reader.line_num + 1, file.volume
        try:
            cells = next(reader, None)
        except csv.Error as failure:
            raise InputError(f"is not CSV: {failure}", where=file.where(start)) from None
        if cells is None:
            return
        if not cells:  # an empty line
            continue
        if header is None:
            header = _header(cells, file.where(start))
        elif len(cells) != len(header):
            what = f"has {len(cells)} cells, and the header {len(header)}"
            yield start, InputError(what, where=file.where(start))
        else:
            yield start, dict(zip(header, cells, strict=True))


def _decoded(file: RowFile, raw: IO[bytes], row_start: list[int]) -> Iterator[str]:
    """The lines as text. ``row_start``: the volume where the row began, for a row may go over many lines."""
    for number, line in file.lines(raw):
        if file.volume - row_start[0] > MAX_LINE:
            todo = "A quote is not closed, perhaps."
            raise InputError(f"the row that goes on here {TOO_LONG}", where=file.where(number), todo=todo)
        try:
            yield line.decode()
        except UnicodeDecodeError as failure:
            what = f"is not UTF-8 (byte {failure.start}: {failure.reason})"
            raise InputError(what, where=file.where(number), todo="iconv -f … -t UTF-8 converts it") from None


def _header(cells: list[str], where: str) -> list[str]:
    twice = next((cell for cell, count in Counter(cells).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"two columns are called {twice!r}", where=where)
    return cells


def _parquet_rows(file: RowFile, raw: IO[bytes]) -> Iterator[Numbered]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(raw) as parquet:
            for batch in parquet.iter_batches(_rows_at_once(parquet.metadata, file.batch)):
                file.bytes_read = raw.tell()
                share = batch.nbytes // max(1, batch.num_rows)
                for row in _python_rows(batch):
                    number += 1
                    file.volume += share
                    yield number, _unreadable(row, file.where(number)) if isinstance(row, Exception) else row
    except (pa.ArrowException, ValueError) as failure:
        what = f"is not Parquet that can be read: {failure}"
        raise InputError(what, where=file.where(number + 1) if number else file.name) from None


def _python_rows(batch: Any) -> Iterator[dict[str, Any] | Exception]:
    """The rows of a batch; one that Python cannot hold (a date beyond its years, text not UTF-8) as what it raises."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        for at in range(batch.num_rows):
            try:
                yield batch.slice(at, 1).to_pylist()[0]
            except (ValueError, OverflowError) as failure:
                yield failure


def _unreadable(failure: Exception, where: str) -> InputError:
    return InputError(f"holds what cannot be read: {str(failure).splitlines()[0]}", where=where)


def _rows_at_once(metadata: Any, most: int) -> int:
    """How many rows of a Parquet file to unpack at one time, from what its row groups say of their size."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    longest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    return max(1, min(most, PARQUET_ROWS, PARQUET_BYTES // max(1, longest)))


READERS: dict[str, Callable[[RowFile, IO[bytes]], Iterator[Numbered]]] = {
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
