"""The teacher's journal: every paid answer on disk before anybody sees it, so that a killed run pays once.

An append-only file of JSON lines, mode 0600, next to nothing clever: a header that names the teacher, then
one line an answer. Appends are grouped into one fsync (about every 50 ms, driven by the caller's
:meth:`Journal.sync`). The key of an answer covers the teacher's fingerprint with the version it reported, so
that a silent upgrade behind one model name never replays an old answer. Failures are never written. An API
key never reaches this module.
"""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from store.canonical import canonical, digest_of
from store.errors import InputError, RuleError, StoreError

FORMAT = 1
OURS = b'{"about":{'  # how every header begins
MARK_CHARS = 16  # of the fingerprint, on every line: a line from another teacher's journal is seen


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What one call brought back; ``logprobs`` is canonical JSON in the OpenAI chat shape, or None."""

    text: str
    finish_reason: str | None
    tokens_in: int | None
    tokens_out: int | None
    latency_us: int
    logprobs: str | None
    reported_model: str | None
    system_fingerprint: str | None = None


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """First line: whose answers these are. ``about`` is for people, the fingerprint decides."""

    journal: int
    fingerprint: str
    about: dict[str, Any]


class _Line(msgspec.Struct):
    """What opening a journal reads of a line; the entry itself is parsed when it is asked for."""

    key: str
    teacher: str


class _Body(msgspec.Struct):
    entry: JournalEntry


_header_decoder = msgspec.json.Decoder(_Header)
_line_decoder = msgspec.json.Decoder(_Line)
_body_decoder = msgspec.json.Decoder(_Body)


def journal_key(fingerprint: str, messages: object, params: object, sample_index: int) -> str:
    """SHA-256 (64 hex) of everything that decides an answer: the name under which the journal keeps it."""
    return digest_of(["teacher-call", fingerprint, messages, params, sample_index])


class Journal:
    """The answers of one teacher, on disk and by key.

    Thread-safe: :meth:`append` buffers, :meth:`sync` writes and fsyncs what is buffered, and only then does
    :meth:`lookup` know it. One process at a time may hold a journal.

    Raises:
        RuleError: it belongs to another teacher, holds lines of several, or another process has it open.
        InputError: a line that is not the torn last one cannot be read.
        StoreError: it cannot be opened or written.
    """

    def __init__(self, path: Path, fingerprint: str, *, about: dict[str, Any] | None = None) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.truncated_bytes = 0  # of a torn tail, found at opening
        self._mark = fingerprint[:MARK_CHARS]
        self._places: dict[bytes, tuple[int, int]] = {}  # key -> (offset, length) in the file
        self._pending: dict[bytes, bytes] = {}
        self._buffer_lock, self._write_lock = threading.Lock(), threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open the journal: {error.strerror}", where=str(path)) from error
        try:
            self._open(about or {})
        except BaseException:
            os.close(self._file)
            raise

    def _open(self, about: dict[str, Any]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuleError(
                "the journal is open in another process",
                where=str(self.path),
                todo="Wait for that run to end or cancel it.",
            ) from None
        os.fchmod(self._file, 0o600)
        header = canonical({"journal": FORMAT, "fingerprint": self.fingerprint, "about": about}) + b"\n"
        self._end = self._scan()
        if os.fstat(self._file).st_size > self._end:
            self.truncated_bytes = os.fstat(self._file).st_size - self._end
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        if self._end == 0:
            self._write(header)
            _sync_folder(self.path.parent)

    def _scan(self) -> int:
        """Index every line; the offset behind the last good one. A torn last line is left out."""
        offset, number = 0, 0
        with open(self._file, "rb", closefd=False, buffering=1 << 20) as lines:
            lines.seek(0)
            for line in lines:
                number += 1
                torn = not line.endswith(b"\n")  # the write that a crash cut short: nobody was told of it
                if torn and (number > 1 or line[: len(OURS)] == OURS[: len(line)]):
                    return offset
                if number == 1:
                    self._check_header(line)
                else:
                    self._places[self._check_line(line, number)] = (offset, len(line))
                offset += len(line)
        return offset

    def _check_header(self, line: bytes) -> None:
        where = f"{self.path}:1"
        try:
            header = _header_decoder.decode(line)
        except msgspec.MsgspecError:
            raise InputError("this is no teacher journal", where=where, todo="Name another file.") from None
        if header.journal != FORMAT:
            raise InputError(f"journal format {header.journal} is not known", where=where)
        if header.fingerprint != self.fingerprint:
            raise RuleError(
                f"these are the answers of another teacher: {canonical(header.about).decode()}",
                where=where,
                todo="Give every teacher (endpoint, model, version, parameters) a journal of its own.",
            )

    def _check_line(self, line: bytes, number: int) -> bytes:
        where = f"{self.path}:{number}"
        try:
            head = _line_decoder.decode(line)
            key = bytes.fromhex(head.key)
        except (msgspec.MsgspecError, ValueError):
            raise InputError(
                "the line cannot be read, and it is not the last",
                where=where,
                todo=f"Keep a copy, then cut the file after line {number - 1}: the rest is asked again.",
            ) from None
        if head.teacher != self._mark:
            raise RuleError(
                f"the journal mixes teachers: {head.teacher} among {self._mark}",
                where=where,
                todo="Answers of several teachers cannot be told apart later: start a new journal.",
            )
        return key

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._places

    def lookup(self, key: str) -> JournalEntry | None:
        """The durable entry under ``key``, or None where there is none yet. One read, no scan."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        return _body_decoder.decode(os.pread(self._file, place[1], place[0])).entry

    def append(self, key: str, entry: JournalEntry) -> None:
        """Buffer an answer; it is durable after the next :meth:`sync`. A key already held stays as it was."""
        line = canonical({"key": key, "teacher": self._mark, "entry": asdict(entry)}) + b"\n"
        raw = bytes.fromhex(key)
        with self._buffer_lock:
            if raw not in self._places:
                self._pending.setdefault(raw, line)

    def sync(self) -> int:
        """Write and fsync what is buffered; the number of answers that became durable.

        Raises:
            StoreError: the disk refused (full, gone): the answers stay buffered, nothing was acknowledged.
        """
        with self._write_lock:
            with self._buffer_lock:
                batch = dict(self._pending)
            if not batch:
                return 0
            offset = self._end
            self._write(b"".join(batch.values()))
            with self._buffer_lock:
                for key, line in batch.items():
                    self._places[key] = (offset, len(line))
                    offset += len(line)
                    del self._pending[key]
            return len(batch)

    def _write(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._end)  # no half line under a later good one
            raise StoreError(f"cannot write the journal: {error.strerror}", where=str(self.path)) from error
        self._end += len(data)

    def close(self) -> None:
        """Sync and let go; closing twice is harmless."""
        if self._file >= 0:
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sync_folder(folder: Path) -> None:
    """A new file survives a power cut only when its folder is synced too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
