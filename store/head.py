"""The head beside a store: how far its ledger had come, so that one that lost its end does not pass for whole.

DuckDB replays its log up to the first entry that is cut off and says nothing of the rest; a log that is gone is
nothing to it either. So the hub writes the number and hash of the newest event into ``STORE.head`` once it is
committed: one small write into the page cache, no sync, about three microseconds. After a power cut the head may be
older than the ledger, never newer. A store that ends before its head is not opened.
"""

from __future__ import annotations

import logging
import os
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from store import address
from store.errors import StoreError
from store.rows import one_row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAGIC = "spiritsafe-head-1"
log = logging.getLogger("spiritsafe.hub")


class Known(NamedTuple):
    """What a head says: the store's own id, number and hash of the newest event."""

    store_id: str
    seq: int
    hash: str


def encoded(known: Known) -> bytes:
    """A head as one line of constant length (for ids and hashes of constant length), so that it is overwritten whole.

    >>> decoded(encoded(Known("s", 7, "ab")))
    Known(store_id='s', seq=7, hash='ab')
    """
    text = f"{MAGIC} {known.store_id} {known.seq:020} {known.hash}"
    return f"{text} {zlib.crc32(text.encode()):08x}\n".encode()


def decoded(line: bytes) -> Known | None:
    """What the line says; None where it is no head, or only half of one."""
    text, _, check = line.decode("utf-8", "replace").rstrip("\n").rpartition(" ")
    parts = text.split(" ")
    if len(parts) != 4 or parts[0] != MAGIC or check != f"{zlib.crc32(text.encode()):08x}":
        return None
    return Known(parts[1], int(parts[2]), parts[3])


class Head:
    """The head of one store. Made before DuckDB opens the file, for opening changes a log that was cut off."""

    def __init__(self, store: Path) -> None:
        """Read the head, and keep the log aside as it is found."""
        self.store, self.path = store, address.head_path(store)
        self._wal = store.with_name(store.name + ".wal")
        self._aside = store.with_name(store.name + ".wal.aside")
        self._existed = store.exists()
        self._file: int | None = None
        self._told = False
        try:
            self.known = decoded(self.path.read_bytes())
        except OSError:
            self.known = None
        if self.known is not None:
            self._keep_aside()

    def _keep_aside(self) -> None:
        try:
            shutil.copyfile(self._wal, self._aside)
            self._aside.chmod(0o600)
        except FileNotFoundError:  # no log: it was closed in order, or the log was taken away
            pass
        except OSError as error:
            log.warning("the log could not be kept aside: %s", error)
            self._aside.unlink(missing_ok=True)

    def check(self, con: DuckDBPyConnection) -> None:
        """Raise StoreError where the ledger does not hold the event that the head names."""
        fault = self._fault(con, self.known) if self.known is not None else None
        if fault is None or self.known is None:
            self._aside.unlink(missing_ok=True)
            return
        con.execute("pragma disable_checkpoint_on_shutdown")  # the file stays as it was found
        kept = self.store.with_name(f"{self.store.name}.wal.found-{self.known.seq}")
        if self._aside.exists() and not kept.exists():
            self._aside.rename(kept)
        self._aside.unlink(missing_ok=True)
        found = f" Its log as it was found is in {kept.name}." if kept.exists() else ""
        raise StoreError(
            fault,
            where=str(self.store),
            todo=f"Restore a newer backup.{found} To go on with what is here (also after restoring an older"
            f" backup on purpose), remove {self.path}; what is missing stays missing.",
        )

    def _fault(self, con: DuckDBPyConnection, known: Known) -> str | None:
        tables = "select count(*) from duckdb_tables() where database_name = current_database() and table_name = 'meta'"
        if not (one_row(con, tables) or (0,))[0]:
            lost = f"{known.seq:,} acknowledged events are missing: the file holds no store any more"
            return lost if self._existed and known.seq else None
        if (one_row(con, "select value from meta where key = 'store_id'") or ("",))[0] != known.store_id:
            log.warning("%s is of another store; it begins anew", self.path)
            return None
        row = one_row(con, "select hash from event where seq = ?", [known.seq])
        if row is not None:
            same = row[0] == known.hash
            return (
                None
                if same
                else f"event {known.seq:,} is not the one that was acknowledged under this number"
            )
        top = (one_row(con, "select coalesce(max(seq), 0) from event") or (0,))[0]
        if not known.seq:
            return None
        return (
            f"{known.seq - top:,} acknowledged events are missing:"
            f" the ledger ends at event {top:,}, event {known.seq:,} was acknowledged"
        )

    def note(self, store_id: str, seq: int, hash_: str) -> None:
        """Event ``seq`` is committed. Where that cannot be written the store serves on, and its log says so."""
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT
                self._file = address.open_private(self.path, flags, store=self.store)
            os.pwrite(self._file, encoded(Known(store_id, seq, hash_)), 0)
        except (OSError, StoreError) as error:
            if not self._told:
                log.warning("the head could not be written: %s", error)
            self._told = True

    def close(self) -> None:
        """Put it on the disk and close it."""
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None
