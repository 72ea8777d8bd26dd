"""The DuckDB file as the hub holds it: the three kinds of writes.

Acts and artifacts go through one write lock, one transaction each; reads run on a cursor a connection.
Scratch lives in the attached ``:memory:`` database ``scratch``: never evidence, gone with the hub.
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from store import acts, records
from store.aside import Aside
from store.canonical import digest
from store.copies import write_copies
from store.errors import InputError, RoleError, RuleError, StoreError
from store.faults import fault_of, gave_up
from store.head import Head
from store.ledger import EVENT_COLUMNS, Ledger, reviewer
from store.opening import SCHEMA_VERSION, Memory, migrate, new_cursor, open_file, unopened
from store.records import Event
from store.rows import one_row, one_value
from store.rules import allow, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

__all__ = ["SCHEMA_VERSION", "Applied", "Database"]

# Operations that do with little memory, however large the store.
LIGHT = frozenset(
    {"act", "append", "open_queue", "window", "detail", "status", "progress", "jobs", "close_queue", "stop"}
    | {"evaluate"}  # in parts; where that cannot be, it asks for more itself
)
PIECE_BYTES = 3 << 20  # through the log at once: about 10 ms in which acts wait
# What DuckDB says when it is the rows that do not fit, and not the store that fails.
_ROWS_AT_FAULT = (duckdb.ConstraintException, duckdb.ConversionException, duckdb.BinderException)


@dataclass(frozen=True, slots=True)
class Applied:
    """An act on the ledger: its event, and whether it came just now (False: its id was there before)."""

    event: Event
    fresh: bool


class Database:
    """The one open handle of a store file. Thread-safe: writes are serialised, reads take a cursor each."""

    def __init__(self, path: Path, owner: str) -> None:
        """Open or make the store; raises StoreError where the file is none, or of a newer version."""
        self.path = path
        self.lock = threading.RLock()
        self.copying = threading.Lock()  # held by the one backup at a time
        self.head = Head(path)  # before DuckDB sees the file
        made = not path.exists()
        try:
            self.connection = open_file(path)
        except StoreError:
            if made:  # half of a new store, on a disk that is full
                path.unlink(missing_ok=True)
            raise
        try:
            self.head.check(self.connection)
            self.schema = migrate(self.connection, path, owner)
            self._load()
        except duckdb.Error as error:
            self.connection.close()
            raise unopened(path, str(error)) from error
        except BaseException:
            self.connection.close()
            raise
        self.head.note(self.store_id, self.ledger.seq, self.ledger.head)
        self._next_seq: dict[tuple[int, str], int] = {}
        self._appending: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)  # by run

    def _load(self) -> None:
        meta = dict(self.connection.execute("select key, value from meta").fetchall())
        self.store_id, self.owner = meta["store_id"], meta["owner"]
        self.root = digest(self.store_id.encode())
        self.memory = Memory(self.connection)
        self.aside = Aside(self.cursor)
        self.connection.execute("set lock_configuration=true")
        self.ledger = Ledger(self.connection, self.root)
        self.next_run = self.scalar("select coalesce(max(run_no), 0) + 1 from run_opened")

    def scalar(self, sql: str, values: list[Any] | None = None) -> Any:
        """One value of a query on the writing connection."""
        return one_value(self.connection, sql, values)

    def cursor(self) -> DuckDBPyConnection:
        """A cursor of one's own, for one thread at a time."""
        return new_cursor(self.connection)

    def room_for(self, operation: str) -> contextlib.AbstractContextManager[None]:
        """The memory that an operation may take."""
        return contextlib.nullcontext() if operation in LIGHT else self.memory.roomy()

    def close(self) -> None:
        """Checkpoint and close."""
        self.aside.close()
        with self.lock:
            self.head.close()
            self.connection.close()

    # ---- acts
    def apply(
        self,
        act_id: str,
        project: str,
        kind: str,
        payload: dict[str, Any],
        *,
        actor: str,
        claimed: str | None,
    ) -> Applied:
        """Put one act on the ledger, exactly once; the event it made (or had made before).

        Raises InputError (not an act), RuleError and its kin (not allowed), ReusedIdError.
        """
        who = reviewer(actor, claimed)
        with self.lock:
            payload = self._as_stored(act_id, kind, payload)
            done = self.ledger.earlier(self.connection, act_id, project, kind, payload, who=who)
            if done is not None:
                return Applied(self.event(done), fresh=False)
            act = acts.parse(kind, payload)
            with self._no_appends(act):
                allow(self, project, kind, act, actor=actor, who=who)
                if isinstance(act, acts.Undo):
                    payload = {"target": self._target(kind, act, project, who)}
                event = self.ledger.next_event(act_id, project, kind, payload, actor=actor, claimed=claimed)
                self._commit(event, act, who)
            self.ledger.record(event, payload["target"] if isinstance(act, acts.Undo) else None)
            self.head.note(self.store_id, event.seq, event.hash)
            return Applied(event, fresh=True)

    @contextlib.contextmanager
    def _no_appends(self, act: acts.Act) -> Iterator[None]:
        """While a run is being closed nothing is appended to it; refused where an append is under way."""
        if not isinstance(act, acts.CloseRun):
            yield
            return
        lock = self._appending[act.run_no]
        if not lock.acquire(blocking=False):  # waiting would make everybody's acts wait
            raise RuleError(f"rows of run {act.run_no} are on their way", todo="Close it once they are in.")
        try:
            yield
        finally:
            lock.release()

    def _as_stored(self, act_id: str, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
        """A resent verdict's payload with the ``revealed`` of the first time, which is the hub's to say."""
        seq = self.ledger.ids.get(act_id)
        if kind not in ("verdict", "adjudicate") or seq is None:
            return payload
        stored = msgspec.json.decode(self.event(seq).payload)
        rest = {name: value for name, value in payload.items() if name != "revealed"}
        return rest | {"revealed": stored["revealed"]} if "revealed" in stored else rest

    def _target(self, kind: str, act: acts.Undo, project: str, who: str) -> int:
        target = self.ledger.target(kind, project, who, lambda seq: frozen(self, project, seq))
        if act.target not in (0, target):
            raise RuleError(
                f"event {act.target} is not what {kind} would mean now: that is event {target}",
                todo="Something was done or undone meanwhile. Look again.",
            )
        return target

    def _commit(self, event: Event, act: acts.Act, who: str) -> None:
        con = self.connection
        try:
            con.execute("begin")
            self.ledger.insert(con, event)
            write_copies(self, con, event, act, who)
            con.execute("commit")
        except BaseException as error:  # whatever it was, nothing half-written stands
            with contextlib.suppress(duckdb.Error):  # a failed commit has rolled back already
                con.execute("rollback")
            if not isinstance(error, duckdb.Error) or gave_up(error):
                raise  # it may well be written; the next hub knows
            raise fault_of(error, self.path, "the act was not written") from error

    def run(self, run_no: int, cursor: DuckDBPyConnection | None = None) -> tuple[str, str, bool]:
        """Project and actor of a run, and whether it is closed."""
        found = (
            "select project, actor, exists (select 1 from run_closed c where c.run_no = o.run_no)"
            " from run_opened o where run_no = ?"
        )
        row = one_row(cursor or self.connection, found, [run_no])
        if row is None:
            raise InputError(f"no run {run_no}")
        return row[0], row[1], row[2]

    def event(self, seq: int) -> Event:
        """The event number ``seq``."""
        with self.lock:
            row = one_row(self.connection, f"select {EVENT_COLUMNS} from event where seq = ?", [seq])  # noqa: S608 - a constant
        if row is None:
            raise InputError(f"no event {seq}")
        return Event(*row)

    # ---- artifacts
    def next_seq(self, run_no: int, table: str) -> int:
        """How many rows of ``table`` run ``run_no`` has stored: the seq of the next one."""
        if (run_no, table) not in self._next_seq:
            key = records.key_column(table)
            with contextlib.closing(self.cursor()) as cursor:
                top = one_value(cursor, f"select max({key}) from {table} where run_no = ?", [run_no])  # noqa: S608 - our names
            self._next_seq[run_no, table] = 0 if top is None else (top & (1 << records.SEQ_BITS) - 1) + 1
        return self._next_seq[run_no, table]

    def append(self, run_no: int, table: str, first_seq: int, batch: pa.Table, *, who: str) -> int:
        """Append rows of an open run; rows that are there already (a resend) are skipped. Returns the next seq.

        Holds the run's own lock, never the acts': an act commits while rows pour in. A row group or more is one
        transaction, which bypasses the log; fewer rows go through it, in pieces small enough that an act does not
        wait long behind one. Should a later piece fail, what was written counts (``next_seq``).
        """
        if table not in records.ARTIFACTS:
            raise InputError(f"no artifact table {table!r}")
        if tuple(batch.column_names) != records.columns_of(table):
            raise InputError(f"rows for {table} do not have its columns")
        with self._appending[run_no], contextlib.closing(self.cursor()) as cursor:
            _, actor, closed = self.run(run_no, cursor)
            if closed:
                raise RuleError(f"run {run_no} is closed: its rows are frozen")
            if actor != who:
                raise RoleError(f"run {run_no} is {actor}'s")
            have = self.next_seq(run_no, table)
            if not 0 <= first_seq <= have:
                raise InputError(f"run {run_no}: rows of {table} from {first_seq} leave a gap after {have}")
            batch = batch.slice(min(have - first_seq, batch.num_rows))
            if batch.num_rows:
                _check_keys(run_no, table, have, batch)
            for piece in _pieces(batch):
                self._insert(cursor, run_no, table, piece)
                have += int(piece.num_rows)
                self._next_seq[run_no, table] = have
            return have

    def _insert(self, cursor: DuckDBPyConnection, run_no: int, table: str, batch: pa.Table) -> None:
        names = ", ".join(records.columns_of(table))
        cursor.register("incoming", batch)
        self._next_seq.pop((run_no, table), None)  # asked anew, should this fail halfway
        try:
            cursor.execute(f"insert into {table} ({names}) select {names} from incoming")  # noqa: S608 - our names
        except _ROWS_AT_FAULT as error:
            raise InputError(f"rows do not fit table {table}: {error}") from error
        except duckdb.Error as error:
            if gave_up(error):
                raise
            raise fault_of(error, self.path, "the rows were not written") from error
        finally:
            cursor.unregister("incoming")


def _pieces(batch: pa.Table) -> Iterator[pa.Table]:
    """What is inserted in one transaction each."""
    rows = batch.num_rows
    if rows < records.ROW_GROUP:
        rows = max(1, min(rows, rows * PIECE_BYTES // max(1, batch.nbytes)))
    for start in range(0, batch.num_rows, max(1, rows)):
        yield batch.slice(start, rows)


def _check_keys(run_no: int, table: str, have: int, batch: pa.Table) -> None:
    """The batch's keys must be the run's next ones, each one above the one before."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch.column(records.key_column(table))
    low, count = records.key_of(run_no, have), batch.num_rows
    keys = pc.cast(column, pa.int64()).combine_chunks() if pa.types.is_integer(column.type) else None
    fits = (
        keys is not None
        and keys[0].as_py() == low
        and pc.all(
            pc.equal(pc.subtract(keys.slice(1), keys.slice(0, count - 1)), 1), skip_nulls=False, min_count=0
        ).as_py()
        and pc.all(pc.equal(batch.column("run_no"), run_no), skip_nulls=False).as_py()
    )
    if not fits:
        raise InputError(f"run {run_no}: keys of {table} are not {low}…{low + count - 1} in order")
