"""Opening a store's file: settings that shut every door, numbered schema files, views."""

from __future__ import annotations

import contextlib
import threading
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from store import acts, address, places
from store.canonical import digest
from store.errors import StoreError
from store.faults import BACKUP, is_full
from store.records import ROW_GROUP
from store.rows import one_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

SCHEMA_VERSION = 4
# Rows of a row group or more bypass the log, so it holds acts and small appends. A checkpoint stalls acts while it
# writes: 10 to 30 ms for what these leave. And so a log is never long to replay after a crash.
CHECKPOINT_THRESHOLD = "8MB"
# Of a new store's blocks; a store keeps the size that it was made with. A scattered row is read with the whole blocks
# that hold its texts. Of 300,000 rows, 200 took 26 to 35 ms of processor time with DuckDB's own 256 KiB, about 19 with
# 128, 12 to 17 with 64. Appending takes as much with 128 as with 256, a third more with 64; the file is an eighth less.
BLOCK_BYTES = 128 << 10
# What DuckDB may hold, in bytes. Looking at rows needs little, and what it would keep beyond that the page cache
# keeps too; building a queue or answering a stage may take more for as long as it lasts. The rest goes to disk.
CALM_MEMORY = 224 << 20
ROOMY_MEMORY = 2 << 30


def open_file(path: Path) -> DuckDBPyConnection:
    """Open with every door shut: no other file, no extension, no variable of this process.

    Raises StoreError for what is no DuckDB file, is damaged, not readable, or open elsewhere.
    """
    config: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "checkpoint_threshold": CHECKPOINT_THRESHOLD,
        "temp_directory": f"{path}.tmp",  # what does not fit in memory is beside the store, as private as it
    }
    connection = duckdb.connect(":memory:", config=config)
    try:
        blocks = "" if path.exists() else f", block_size {BLOCK_BYTES}"
        attach = f"attach '{quoted(path)}' as store (type duckdb, row_group_size {ROW_GROUP}{blocks})"
        connection.execute(attach)
    except duckdb.Error as error:
        connection.close()
        raise unopened(path, str(error)) from error
    connection.execute("attach ':memory:' as scratch")
    connection.execute("set enable_external_access=false")
    connection.execute("use store")
    connection.execute(places.SCRATCH)
    connection.execute("set allowed_configs = ['memory_limit']")  # the rest is locked once the store is open
    return connection


def quoted(path: Path) -> str:
    """A path within an SQL string: ATTACH takes no parameter."""
    return str(path).replace("'", "''")


def new_cursor(connection: DuckDBPyConnection) -> DuckDBPyConnection:
    """A cursor that looks at the store: DuckDB's own looks at the database that was connected to, which is empty."""
    cursor = connection.cursor()
    cursor.execute("use store")
    return cursor


class Memory:
    """How much DuckDB may hold: little, and more while somebody needs it."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        whole = one_value(connection, "select parse_formatted_bytes(current_setting('memory_limit'))")
        self._roomy = min(whole, ROOMY_MEMORY)
        self._calm = min(self._roomy, CALM_MEMORY)
        self._cursor, self._lock, self._needing = connection.cursor(), threading.Lock(), 0
        self._set(self._calm)

    @contextlib.contextmanager
    def roomy(self) -> Iterator[None]:
        """More memory within."""
        with self._lock:
            self._needing += 1
            if self._needing == 1:
                self._set(self._roomy)
        try:
            yield
        finally:
            with self._lock:
                self._needing -= 1
                if not self._needing:
                    with contextlib.suppress(duckdb.Error):  # it is in use just now; the next one tries again
                        self._set(self._calm)

    def _set(self, limit: int) -> None:
        self._cursor.execute(f"set memory_limit = '{limit}B'")


def unopened(path: Path, text: str) -> StoreError:
    """What DuckDB said when the store was opened, as the error that a user is told."""
    if "not a valid DuckDB database" in text:
        return _no_database(path)
    what = text.splitlines()[0]
    if "Could not set lock" in text:
        return StoreError(
            "is open in another process", where=str(path), todo="Close it there: one process holds a store."
        )
    if "Permission denied" in text or "Read-only file system" in text:
        return StoreError(
            "may not be written by you", where=str(path), todo="A store needs a folder of yours."
        )
    if is_full(text):
        return StoreError("cannot be opened: the disk is full", where=str(path), todo="Free some space.")
    if "WAL" in text:
        return _log_fault(path, what)
    return StoreError(f"cannot be opened, it may be damaged: {what}", where=str(path), todo=BACKUP)


def _log_fault(path: Path, what: str) -> StoreError:
    wal = path.with_name(path.name + ".wal")
    if "This WAL was created for" in what:
        todo = f"If you put a backup in the store's place, remove {wal} too. Otherwise keep both. {BACKUP}"
        text = "the log beside it is not its own, but of another time or another store"
        return StoreError(text, where=str(path), todo=todo)
    todo = (
        f"Keep copies of {path.name} and {wal.name}: the newest acts are in them. {BACKUP}"
        f" Or move {wal.name} away: the next start then says how much is missing."
    )
    return StoreError(f"its log is damaged: {what}", where=str(wal), todo=todo)


def _no_database(path: Path) -> StoreError:
    if address.head_path(path).exists():
        return StoreError("is no store any more, though it was one", where=str(path), todo=BACKUP)
    what = "is no spiritsafe store" if path.stat().st_size else "is an empty file"
    return StoreError(what, where=str(path), todo="Name another file with --store.")


def migrate(con: DuckDBPyConnection, path: Path, owner: str) -> int:
    """Bring schema and views up to date, in one transaction; the schema's version. ``owner`` owns a new store.

    Raises StoreError where the file is somebody else's database, of a newer version, or damaged.
    """
    try:
        return _migrated(con, path, owner)
    except duckdb.Error as error:
        raise unopened(path, str(error)) from error


def _migrated(con: DuckDBPyConnection, path: Path, owner: str) -> int:
    mine = "from duckdb_tables() where database_name = current_database()"
    fresh = not one_value(con, f"select count(*) {mine} and table_name = 'meta'")
    if fresh and one_value(con, f"select count(*) {mine}"):
        raise StoreError(
            "is a DuckDB file, but no spiritsafe store", where=str(path), todo="Name another file."
        )
    found = 0 if fresh else int(one_value(con, "select value from meta where key = 'schema'") or 0)
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"was written by a newer spiritsafe (schema {found}, this one knows {SCHEMA_VERSION})",
            where=str(path),
            todo="Upgrade spiritsafe.",
        )
    con.execute("begin")
    for number in range(found + 1, SCHEMA_VERSION + 1):
        con.execute((files("store.schema") / f"{number:04}.sql").read_text())
    if fresh:
        con.execute("insert into meta values ('store_id', ?), ('owner', ?)", [acts.new_id(), owner])
    if found < SCHEMA_VERSION:
        _set(con, "schema", str(SCHEMA_VERSION))
    views = "\n".join(
        file.read_text()
        for file in sorted(files("store.views").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
    )
    if digest(views.encode()) != one_value(con, "select value from meta where key = 'views'"):
        con.execute(views)
        _set(con, "views", digest(views.encode()))
    con.execute("commit")
    return SCHEMA_VERSION


def _set(con: DuckDBPyConnection, key: str, value: str) -> None:
    con.execute("insert or replace into meta values (?, ?)", [key, value])
