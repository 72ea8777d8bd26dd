"""The outbox: a private file in which an act stands before it is sent, until the hub has answered.

JSON lines, only ever appended to: an act with its id, then that id again once it was acknowledged or refused.
After a crash the acts without an answer are sent again under their ids, so none is lost and none happens
twice. Several clients may share one file; it is emptied when nobody else has it open and nothing waits in it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from store.errors import SpiritsafeError, StoreError


class Waiting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="act"):
    """An act on its way."""

    id: str
    store: str  # the store's own id: an outbox never sends to another
    project: str
    kind: str
    payload: dict[str, Any]


class Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="answered"):
    """The hub answered the act of this id, whether it took it or not."""

    answered: str


@dataclass(frozen=True, slots=True)
class Resent:
    """What became of an act that was sent again: its answer, or the error with which it was refused."""

    act: Waiting
    answer: dict[str, Any] | None
    error: SpiritsafeError | None


class Outbox:
    """One outbox file, held open. Safe to share between threads: a line is one write."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises StoreError where that cannot be."""
        self.path = path
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(path, flags, 0o600)
        except OSError as error:
            raise StoreError(
                f"the outbox cannot be opened: {error.strerror}", where=str(path), todo="Name another place."
            ) from error
        self._tidy()

    def _tidy(self) -> None:
        """Start over where nothing waits and nobody else has the file."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._file, fcntl.LOCK_SH)
            return
        if not self.waiting():
            os.ftruncate(self._file, 0)
        _sync_folder(self.path.parent)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def put(self, act: Waiting) -> None:
        """Keep an act; on return it is on the disk."""
        self._write(msgspec.json.encode(act) + b"\n")
        try:
            os.fsync(self._file)
        except OSError as error:
            problem = f"the outbox cannot be put on the disk: {error.strerror}"
            raise StoreError(problem, where=str(self.path), todo="Nothing was sent.") from error

    def answered(self, act_id: str) -> None:
        """Let go of an act. Not synced, and no matter where it cannot be written: at worst the act is sent again,
        and that does nothing.
        """
        with contextlib.suppress(StoreError):
            self._write(msgspec.json.encode(Answered(act_id)) + b"\n")

    def waiting(self) -> list[Waiting]:
        """The acts without an answer, oldest first."""
        found: dict[str, Waiting] = {}
        for line in self._read().split(b"\n"):
            try:
                entry = msgspec.json.decode(line, type=Waiting | Answered)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # cut off by a crash: put() had not returned, so nothing was promised
            if isinstance(entry, Answered):
                found.pop(entry.answered, None)
            else:
                found[entry.id] = entry
        return list(found.values())

    def _read(self) -> bytes:
        return os.pread(self._file, os.fstat(self._file).st_size, 0)

    def _write(self, line: bytes) -> None:
        """One line, whole; one that a full disk or a crash cut off before it is ended first."""
        size = os.fstat(self._file).st_size
        torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        line = b"\n" + line if torn else line
        try:
            if os.write(self._file, line) == len(line):
                return
            problem = os.strerror(errno.ENOSPC)
        except OSError as error:
            problem = error.strerror or str(error)
        raise StoreError(
            f"the outbox cannot be written: {problem}",
            where=str(self.path),
            todo="Free some space, then do it again: nothing was sent.",
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
