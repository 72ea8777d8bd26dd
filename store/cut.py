"""A consistent copy of the open store, for a backup: the bytes of the file and of its log at one moment.

Until the next checkpoint DuckDB changes nothing in the file that the newest header or the log refers to: it only
fills free blocks and adds to the log. So a cut holds checkpoints back, takes the lengths of log and file between two
acts, and then reads both while everybody writes on. What it reads beyond that is free space to whoever opens the copy;
a commit that was only half in the log is dropped there, and had not been acknowledged.

Checkpoints are held by an open transaction that updates nothing: who updates holds DuckDB's checkpoint lock, shared
with other writers. The header is compared afterwards all the same.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import duckdb

from store.errors import RoleError, RuleError, StoreError
from store.session import Bulk, Session
from store.wire import Response

if TYPE_CHECKING:
    from store.database import Database
    from store.wire import Channel

HOLD = "update meta set value = value where false"
HEADERS = 3 * 4096  # the file's magic and its two headers
PIECE = 1 << 20
SETTLE_SECONDS = 30.0


class Cut(Bulk):
    """The answer to ``backup``: lengths and head of the ledger, then the bytes of the file and of the log."""

    def __init__(self, database: Database) -> None:
        """Nothing is read, and nothing held, before it is sent."""
        self.database = database

    def send(self, channel: Channel) -> None:
        """Hold checkpoints, say what comes, and stream it. Raises StoreError where the copy would be none."""
        with _held(self.database), contextlib.ExitStack() as opened:
            file, wal, told = self._taken(opened)
            channel.send(Response(result=told, arrow=True))
            before = os.pread(file, HEADERS, 0)
            for piece in _pieces(file, told["file"]):
                channel.send_arrow(piece)
            for piece in _pieces(wal, told["wal"]):
                channel.send_arrow(piece)
            if os.pread(file, HEADERS, 0) != before:
                raise StoreError("the store was rewritten meanwhile", todo="Make the backup again.")
        channel.send_arrow(b"")

    def _taken(self, opened: contextlib.ExitStack) -> tuple[int, int | None, dict[str, Any]]:
        database, path = self.database, self.database.path
        log = path.with_name(path.name + ".wal")
        with database.lock:
            file = _opened(opened, str(path))
            wal = _opened(opened, str(log)) if log.exists() else None
            length = os.fstat(wal).st_size if wal is not None else 0
            told = {
                "store_id": database.store_id,
                "schema": database.schema,
                "seq": database.ledger.seq,
                "hash": database.ledger.head,
                "wal": length,
                "file": os.fstat(
                    file
                ).st_size,  # after the log's: it holds every block that the log refers to
            }
        return file, wal, told


def _opened(stack: contextlib.ExitStack, name: str) -> int:
    handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, handle)
    return handle


@contextlib.contextmanager
def _held(database: Database) -> Iterator[None]:
    """No checkpoint begins in here, and none is under way; raises StoreError where one does not end, RuleError twice."""
    if not database.copying.acquire(blocking=False):
        raise RuleError("a backup of this store is being made already", todo="Wait for it.")
    cursor = database.cursor()
    try:
        cursor.execute("begin")
        cursor.execute(HOLD)
        path = database.path
        moving = [path.with_name(path.name + end) for end in (".wal.checkpoint", ".wal.recovery")]
        deadline = time.monotonic() + SETTLE_SECONDS
        while any(at.exists() for at in moving):
            if time.monotonic() > deadline:
                raise StoreError("a checkpoint does not come to its end", where=str(path), todo="Try again.")
            time.sleep(0.01)
        yield
    finally:
        with contextlib.suppress(duckdb.Error):  # the store gave up meanwhile
            cursor.execute("rollback")
        cursor.close()
        database.copying.release()


def _pieces(handle: int | None, length: int) -> Iterator[bytes]:
    at = 0
    while handle is not None and at < length:
        piece = os.pread(handle, min(PIECE, length - at), at)
        if not piece:
            raise StoreError("the store became shorter meanwhile", todo="Make the backup again.")
        yield piece
        at += len(piece)


def backup(session: Session) -> Cut:
    """The whole store as bytes. Only for its owner: it holds what blind queues hide."""
    if session.role != "owner":
        owner = session.shared.database.owner
        raise RoleError("only the owner makes a backup: it holds what is kept blind", todo=f"Ask {owner}.")
    return Cut(session.shared.database)
