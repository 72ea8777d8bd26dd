"""The DuckDB file as the hub holds it: settings, schema, views, and the three kinds of writes.

Acts and artifacts go through one write lock, one transaction each; reads run on a cursor a connection.
Scratch lives in the attached ``:memory:`` database ``scratch``: never evidence, gone with the hub.
"""

from __future__ import annotations

import threading
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from store import acts, records
from store.canonical import digest
from store.errors import InputError, RoleError, RuleError, StoreError
from store.ledger import EVENT_COLUMNS, Ledger, reviewer
from store.records import Event

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
# Evidence: large transactions bypass the log, and a checkpoint of a large log stalls acts; a small one is brief.
CHECKPOINT_THRESHOLD = "64MB"


class Database:
    """The one open handle of a store file. Thread-safe: writes are serialised, reads take a cursor each."""

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.connection = _open(path)
        self.schema = self._migrate(owner)
        meta = dict(self.connection.execute("select key, value from meta").fetchall())
        self.store_id, self.owner = meta["store_id"], meta["owner"]
        self.root = digest(self.store_id.encode())
        self.connection.execute("set lock_configuration=true")
        self.ledger = Ledger(self.connection, self.root)
        self.next_run = self._scalar("select coalesce(max(run_no), 0) + 1 from run_opened")
        self._next_seq: dict[tuple[int, str], int] = {}

    # ---- opening
    def _migrate(self, owner: str) -> int:
        con = self.connection
        fresh = not self._scalar("select count(*) from duckdb_tables() where table_name = 'meta'")
        if fresh and self._scalar("select count(*) from duckdb_tables() where not temporary"):
            raise StoreError(
                "is a DuckDB file, but no spiritsafe store", where=str(self.path), todo="Name another file."
            )
        found = 0 if fresh else int(self._scalar("select value from meta where key = 'schema'"))
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"was written by a newer spiritsafe (schema {found}, this one knows {SCHEMA_VERSION})",
                where=str(self.path),
                todo="Upgrade spiritsafe.",
            )
        con.execute("begin")
        for number in range(found + 1, SCHEMA_VERSION + 1):
            con.execute((files("store.schema") / f"{number:04}.sql").read_text())
        if fresh:
            con.execute(
                "insert into meta values ('store_id', ?), ('owner', ?), ('schema', '1')",
                [acts.new_id(), owner],
            )
        views = "\n".join(
            f.read_text()
            for f in sorted(files("store.views").iterdir(), key=lambda f: f.name)
            if f.name.endswith(".sql")
        )
        if (
            digest(views.encode())
            != (con.execute("select value from meta where key = 'views'").fetchone() or [""])[0]
        ):
            con.execute(views)
            con.execute("delete from meta where key = 'views'")
            con.execute("insert into meta values ('views', ?)", [digest(views.encode())])
        con.execute("commit")
        return SCHEMA_VERSION

    def _scalar(self, sql: str, values: list[Any] | None = None) -> Any:
        row = self.connection.execute(sql, values).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Checkpoint and close."""
        with self.lock:
            self.connection.close()

    # ---- acts
    def apply(
        self, act_id: str, project: str, kind: str, payload: dict[str, Any], actor: str, claimed: str | None
    ) -> Event:
        """Put one act on the ledger, exactly once; the event it made (or had made before).

        Raises InputError (not an act), RuleError and its kin (not allowed), ReusedIdError.
        """
        with self.lock:
            done = self.ledger.earlier(self.connection, act_id, project, kind, payload)
            if done is not None:
                return self.event(done)
            act = acts.parse(kind, payload)
            self._allow(project, kind, act, actor)
            who = reviewer(actor, claimed)
            if isinstance(act, acts.Undo):
                target = self.ledger.target(kind, project, who)
                payload = {"target": target}
            event = self.ledger.next_event(act_id, project, kind, actor, claimed, payload)
            self._commit(event, act, who)
            self.ledger.record(event, payload.get("target"))
            return event

    def _commit(self, event: Event, act: acts.Act, who: str) -> None:
        con = self.connection
        con.execute("begin")
        try:
            self.ledger.insert(con, event)
            self._project(con, event, act, who)
            con.execute("commit")
        except duckdb.Error as error:
            con.execute("rollback")
            raise StoreError(f"the act was not written: {error}", where=str(self.path)) from error

    def _project(self, con: duckdb.DuckDBPyConnection, event: Event, act: acts.Act, who: str) -> None:
        """Write the typed copy of the event, where views need one."""
        match act:
            case acts.GiveVerdict():
                earlier = "select count(*) from verdict_event where project = ? and queue = ? and subject = ? and actor = ?"
                first = not self._scalar(earlier, [event.project, act.queue, act.subject, who])
                values = [
                    event.seq,
                    event.project,
                    who,
                    event.at_us,
                    act.queue,
                    act.subject,
                    act.verdict,
                    act.reason,
                    first,
                ]
                con.execute("insert into verdict_event values (?,?,?,?,?,?,?,?,?)", values)
            case acts.Undo():
                con.execute(
                    "insert into undo_event values (?, ?)",
                    [event.seq, msgspec.json.decode(event.payload)["target"]],
                )
            case acts.OpenRun():
                values = [event.seq, self.next_run, act.run_id, event.project, act.stage, who, event.at_us]
                con.execute("insert into run_opened values (?,?,?,?,?,?,?)", values)
                self.next_run += 1
            case acts.CloseRun():
                con.execute(
                    "insert into run_closed values (?,?,?,?)",
                    [event.seq, act.run_no, event.at_us, event.payload],
                )
            case _:
                pass

    def _allow(self, project: str, kind: str, act: acts.Act, actor: str) -> None:
        """Roles, existence and locks: what the hub enforces (the stages enforce the rest)."""
        exists = self._scalar(
            "select count(*) from event where kind = 'project.create' and project = ?", [project]
        )
        if kind == "project.create" and exists:
            raise RuleError(f"project {project!r} exists already", todo="Choose another name, or use it.")
        if kind != "project.create" and not exists:
            raise InputError(
                f"no project {project!r} in this store",
                todo="`spiritsafe init` makes one; `spiritsafe projects` lists them.",
            )
        if kind in acts.OWNER_ONLY and actor != self.owner:
            raise RoleError(
                f"{kind} needs the owner's role; {actor} is a reviewer", todo=f"Ask {self.owner}."
            )
        if isinstance(act, acts.CloseRun):
            self._allow_close(project, act)

    def _allow_close(self, project: str, act: acts.CloseRun) -> None:
        found = "select project, (select count(*) from run_closed c where c.run_no = o.run_no) from run_opened o where run_no = ?"
        row = self.connection.execute(found, [act.run_no]).fetchone()
        if row is None or row[0] != project:
            raise InputError(f"project {project!r} has no run {act.run_no}")
        if row[1]:
            raise RuleError(f"run {act.run_no} is closed already")
        for table in records.ARTIFACTS:
            rows, stated = self.next_seq(act.run_no, table), act.tables.get(table)
            if rows != (stated.rows if stated else 0):
                raise RuleError(
                    f"run {act.run_no} closes with {stated.rows if stated else 0} rows of {table}, the store has {rows}"
                )

    def event(self, seq: int) -> Event:
        """The event number ``seq``."""
        row = self.connection.execute(f"select {EVENT_COLUMNS} from event where seq = ?", [seq]).fetchone()  # noqa: S608
        if row is None:
            raise InputError(f"no event {seq}")
        return Event(*row)

    # ---- artifacts
    def next_seq(self, run_no: int, table: str) -> int:
        """How many rows of ``table`` run ``run_no`` has stored: the seq of the next one."""
        if (run_no, table) not in self._next_seq:
            key = records.key_column(table)
            top = self._scalar(f"select max({key}) from {table} where run_no = ?", [run_no])  # noqa: S608 - our names
            self._next_seq[run_no, table] = 0 if top is None else (top & (1 << records.SEQ_BITS) - 1) + 1
        return self._next_seq[run_no, table]

    def append(self, run_no: int, table: str, first_seq: int, batch: pa.Table, who: str) -> int:
        """Append rows of an open run; rows that are there already (a resend) are skipped. Returns the next seq."""
        if table not in records.ARTIFACTS:
            raise InputError(f"no artifact table {table!r}")
        with self.lock:
            self._allow_append(run_no, who)
            have = self.next_seq(run_no, table)
            if first_seq > have:
                raise InputError(f"run {run_no}: rows of {table} from {first_seq} leave a gap after {have}")
            batch = batch.slice(min(have - first_seq, batch.num_rows))
            if batch.num_rows:
                self._check_keys(run_no, table, have, batch)
                self._insert(table, batch)
            self._next_seq[run_no, table] = have + batch.num_rows
            return have + int(batch.num_rows)

    def _allow_append(self, run_no: int, who: str) -> None:
        found = "select actor, (select count(*) from run_closed c where c.run_no = o.run_no) from run_opened o where run_no = ?"
        row = self.connection.execute(found, [run_no]).fetchone()
        if row is None:
            raise InputError(f"no run {run_no}")
        if row[1]:
            raise RuleError(f"run {run_no} is closed: its rows are frozen")
        if row[0] != who:
            raise RoleError(f"run {run_no} is {row[0]}'s")

    def _check_keys(self, run_no: int, table: str, have: int, batch: pa.Table) -> None:
        import pyarrow.compute as pc

        keys = batch.column(records.key_column(table))
        low, high = records.key_of(run_no, have), records.key_of(run_no, have + batch.num_rows - 1)
        bounds = pc.min_max(keys).as_py()
        if bounds != {"min": low, "max": high} or pc.count_distinct(keys).as_py() != batch.num_rows:
            raise InputError(f"run {run_no}: keys of {table} are not {low}…{high} in order")

    def _insert(self, table: str, batch: pa.Table) -> None:
        names = ", ".join(records.columns_of(table))
        cursor = self.connection.cursor()
        cursor.register("incoming", batch)
        try:
            cursor.execute(f"insert into {table} ({names}) select {names} from incoming")  # noqa: S608 - our names
        except duckdb.Error as error:
            raise InputError(f"rows do not fit table {table}: {error}") from error
        finally:
            cursor.unregister("incoming")
            cursor.close()


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    """Open with every door shut: no other file, no extension, no variable of this process."""
    config: dict[str, Any] = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "checkpoint_threshold": CHECKPOINT_THRESHOLD,
    }
    try:
        connection = duckdb.connect(str(path), config=config)
    except duckdb.IOException as error:
        if "lock" in str(error):
            raise StoreError(
                "is open in another process",
                where=str(path),
                todo="Close it there: one process holds a store.",
            ) from error
        raise StoreError(
            f"cannot be opened: {error}", where=str(path), todo="Is it a store? Restore it from a backup."
        ) from error
    except duckdb.Error as error:
        raise StoreError(
            f"cannot be opened: {error}", where=str(path), todo="Restore it from a backup."
        ) from error
    connection.execute("set python_enable_replacements=false")
    connection.execute("attach ':memory:' as scratch")
    return connection
