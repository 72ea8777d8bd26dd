"""The near-duplicate index: a DuckDB file beside the store, one for each corpus that is compared.

It is no evidence: derived from the store, outside verify and backup, made anew wherever it is missing, damaged, of
another store, of another format or of other parameters. Only the process that compares opens it, one at a time; the
hub never does. Whatever is added is one transaction, with what it says of itself: after a kill there is the old
state or the new one.

Three tables. ``text``: every text by its key, and the row of what it is signed as. ``signed``: each distinct text
once, under the key of the oldest: 64 bits of its normalised content, how many shingles, 32 bits of each band's key,
and four bits of each permutation, from which a pair's similarity is estimated before its texts are fetched.
``edge``: what was found, before anybody's word on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb
import msgspec

from store import address
from store.canonical import digest
from store.errors import StoreError
from store.faults import is_full
from store.opening import quoted
from store.rows import one_value

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1  # of tables and meta: another one means that the index is made anew
MEMORY = 1 << 30  # bytes that DuckDB may hold of it; the page cache keeps the rest
EDGE_COLUMNS = (
    "left_key", "right_key", "left_id", "right_id", "jaccard", "containment", "kind", "spans",
)  # fmt: skip


class IndexUnusable(StoreError):  # noqa: N818 - what it is, for those who make it anew
    """The file cannot be used: it is made anew, or done without."""


class IndexBusy(StoreError):  # noqa: N818 - what it is
    """Another run is comparing with it."""


class About(msgspec.Struct, frozen=True):
    """What an index says of itself."""

    format: int
    store_id: str
    params: dict[str, Any]  # all that signatures and edges depend on, as whoever compares records them
    bands: int
    permutations: int
    signing: str = ""  # SHA-256 of the permutations themselves
    seq: int = 0  # the ledger's head when it was last added to …
    hash: str = ""  # … and its hash, by which a store restored from an older backup is seen
    texts: int = 0
    distinct: int = 0
    edges: int = 0
    counts: dict[str, int] = {}  # of all that was added, summed


def index_path(store: Path, *names: str) -> Path:
    """The index of a corpus, by what names it (project, field, model), of this account's own."""
    name = digest("\x1f".join((str(os.getuid()), *names)).encode())[:32]
    return address.near_path(store) / f"{name}.duckdb"


class NearIndex:
    """An index, open for one process. Its tables go in and out as Arrow."""

    def __init__(self, path: Path, store: Path, fresh: About | None = None) -> None:
        """Open it; ``fresh``: throw away what there is, and begin an empty one that says this of itself.

        Raises IndexBusy where another run holds it, IndexUnusable where it cannot be used as it is.
        """
        self.path = path
        self._lock = _locked(path, store)
        try:
            if fresh is not None:
                throw_away(path)
            self._con = _opened(path, made=fresh is not None)
            try:
                with self._guarded("opened"):
                    if fresh is not None:
                        self._make(fresh)
                    self._about = self._read_about()
            except BaseException:
                self._con.close()
                raise
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def about(self) -> About:
        """What it says of itself, as of the last addition."""
        return self._about

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; what was added stands."""
        with contextlib.suppress(duckdb.Error):
            self._con.close()
        os.close(self._lock)

    @contextlib.contextmanager
    def _guarded(self, doing: str) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            if is_full(str(error)):
                raise StoreError(
                    "the disk is full", where=str(self.path), todo="Free some space, then do it again."
                ) from error
            what = str(error).splitlines()[0]
            raise IndexUnusable(f"cannot be {doing}: {what}", where=str(self.path)) from error

    # ---- making
    def _make(self, about: About) -> None:
        con = self._con
        con.execute("begin")
        con.execute("create table meta (about varchar not null)")
        con.execute("create table text (key bigint not null, row integer not null)")
        keys = ", ".join(f"{name} uinteger not null" for name in self.band_columns(about))
        bits = ", ".join(f"{name} ubigint not null" for name in self.sketch_columns(about))
        con.execute(
            "create table signed (row integer not null, key bigint not null, digest ubigint not null,"
            f" shingles uinteger not null, {keys}, {bits})"
        )
        con.execute(
            "create table edge (left_key bigint, right_key bigint, left_id varchar, right_id varchar,"
            " jaccard double, containment double, kind varchar, spans varchar)"
        )
        con.execute("insert into meta values (?)", [msgspec.json.encode(about).decode()])
        con.execute("commit")

    def _read_about(self) -> About:
        try:
            about = msgspec.json.decode(one_value(self._con, "select about from meta") or "", type=About)
        except msgspec.DecodeError as error:
            raise IndexUnusable("does not say what it is", where=str(self.path)) from error
        if about.format != FORMAT:
            raise IndexUnusable(f"is of format {about.format}, not {FORMAT}", where=str(self.path))
        held = [self._count(table) for table in ("text", "signed", "edge")]
        if held != [about.texts, about.distinct, about.edges]:
            raise IndexUnusable("does not hold what it says", where=str(self.path))
        return about

    def _count(self, table: str) -> int:
        return int(one_value(self._con, f"select count(*) from {table}"))  # noqa: S608 - our names

    @staticmethod
    def band_columns(about: About) -> list[str]:
        """Names of the columns of bands' keys."""
        return [f"b{i}" for i in range(about.bands)]

    @staticmethod
    def sketch_columns(about: About) -> list[str]:
        """Names of the columns of the sketch, 16 permutations a column."""
        return [f"s{i}" for i in range(-(-about.permutations // 16))]

    # ---- asking
    def _table(self, sql: str, incoming: pa.Table | None = None) -> pa.Table:
        with self._guarded("read"):
            if incoming is not None:
                self._con.register("incoming", incoming)
            try:
                return self._con.sql(sql).to_arrow_table()
            finally:
                if incoming is not None:
                    self._con.unregister("incoming")

    def keys(self) -> pa.ChunkedArray:
        """Keys of all texts in it, ascending: int64."""
        return self._table("select key from text order by key").column("key")

    def same_content(self, digests: pa.Table) -> pa.Table:
        """Of distinct ``digest`` (uint64), the oldest text that has each: digest, row, key."""
        sql = (
            "select digest, min(row) as row, arg_min(key, row) as key from signed"
            " semi join incoming using (digest) group by digest"
        )
        return self._table(sql, digests)

    def in_bands(self, keys: pa.Table) -> pa.Table:
        """Rows that have one of the values (uint32) in a column of ``keys``, named b0, b1, …: band, value, row."""
        every = self.band_columns(self._about)
        asked = [
            f"select {every.index(name)}::utinyint as band, signed.{name} as value, row"  # noqa: S608 - our names
            f" from signed semi join incoming on signed.{name} = incoming.{name}"
            for name in keys.column_names
        ]
        return self._table(" union all ".join(asked), keys)

    def signed(self, rows: pa.Table) -> pa.Table:
        """Of distinct ``row`` (int32): row, key, shingles, s0, s1, … in order of rows."""
        names = ", ".join(("row", "key", "shingles", *self.sketch_columns(self._about)))
        return self._table(f"select {names} from signed semi join incoming using (row) order by row", rows)  # noqa: S608 - our names

    def edges(self) -> pa.Table:
        """All that was found (EDGE_COLUMNS), by the keys of left and right."""
        return self._table("select * from edge order by left_key, right_key")

    # ---- adding
    def add(
        self,
        texts: pa.Table,
        signed: pa.Table,
        edges: pa.Table,
        counts: dict[str, int],
        head: tuple[int, str],
    ) -> None:
        """Add new texts, distinct ones signed, and their edges, whole or not at all.

        Columns as the tables have them. ``counts`` are summed up in ``about``; ``head``: seq and hash of the ledger.
        """
        summed = {name: self._about.counts.get(name, 0) + count for name, count in counts.items()}
        about = msgspec.structs.replace(
            self._about,
            seq=head[0],
            hash=head[1],
            texts=self._about.texts + texts.num_rows,
            distinct=self._about.distinct + signed.num_rows,
            edges=self._about.edges + edges.num_rows,
            counts=summed,
        )
        with self._guarded("written"):
            self._con.execute("begin")
            try:
                for table, rows in (("text", texts), ("signed", signed), ("edge", edges)):
                    self._con.register("incoming", rows)
                    self._con.execute(f"insert into {table} by name select * from incoming")  # noqa: S608 - our names
                    self._con.unregister("incoming")
                self._con.execute("update meta set about = ?", [msgspec.json.encode(about).decode()])
                self._con.execute("commit")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    self._con.execute("rollback")
                raise
        self._about = about

    def size(self) -> int:
        """Bytes that it takes on the disk, once all is written in its place."""
        with self._guarded("written"):
            self._con.execute("checkpoint near")
        return self.path.stat().st_size


def throw_away(path: Path) -> None:
    """Remove an index. Raises IndexUnusable where it may not be removed."""
    try:
        for name in (path, path.with_name(path.name + ".wal")):
            name.unlink(missing_ok=True)
    except OSError as error:
        raise IndexUnusable(f"cannot be removed: {error.strerror}", where=str(path)) from error


def _locked(path: Path, store: Path) -> int:
    """The lock that keeps a second run out: a descriptor, to be closed."""
    folder = path.parent
    try:
        folder.mkdir(mode=0o770, exist_ok=True)
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise IndexUnusable("is no folder, and is not used", where=str(folder))
        lock = address.open_private(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, store=store)
    except OSError as error:
        raise IndexUnusable(f"cannot be made: {error.strerror}", where=str(folder)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_symlink() or path.exists():
            os.close(address.open_private(path, os.O_RDWR, store=store))
    except BlockingIOError as error:
        os.close(lock)
        todo = "Wait for it to end, or compare without the index: --index off."
        raise IndexBusy(
            "another run is comparing these texts just now", where=str(path), todo=todo
        ) from error
    except BaseException:
        os.close(lock)
        raise
    return lock


def _opened(path: Path, *, made: bool) -> duckdb.DuckDBPyConnection:
    """The file with every door shut: no other file, no extension, no variable of this process."""
    if not made and not path.exists():
        raise IndexUnusable("there is none yet", where=str(path))
    config: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "preserve_insertion_order": "false",
        "memory_limit": f"{MEMORY}B",
        "temp_directory": f"{path}.tmp",
    }
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.execute(f"attach '{quoted(path)}' as near (type duckdb)")
        path.chmod(0o600)
        connection.execute("set enable_external_access=false")
        connection.execute("use near")
        connection.execute("set lock_configuration=true")
    except (duckdb.Error, OSError) as error:
        connection.close()
        raise IndexUnusable(f"cannot be opened: {str(error).splitlines()[0]}", where=str(path)) from error
    return connection
