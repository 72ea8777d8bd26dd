"""The DuckDB file as the hub holds it: the three kinds of writes.

Acts and artifacts go through one write lock, one transaction each; reads run on a cursor a connection.
Scratch lives in the attached ``:memory:`` database ``scratch``: never evidence, gone with the hub.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from store import acts, records
from store.canonical import digest, digest_of
from store.errors import InputError, RoleError, RuleError, StoreError
from store.ledger import EVENT_COLUMNS, Ledger, reviewer
from store.opening import SCHEMA_VERSION, migrate, open_file
from store.records import Event
from store.rows import one_row, one_value

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SCHEMA_VERSION", "Applied", "Database"]

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
        self.connection = open_file(path)
        try:
            self.schema = migrate(self.connection, path, owner)
        except BaseException:
            self.connection.close()
            raise
        meta = dict(self.connection.execute("select key, value from meta").fetchall())
        self.store_id, self.owner = meta["store_id"], meta["owner"]
        self.root = digest(self.store_id.encode())
        self.connection.execute("set lock_configuration=true")
        self.ledger = Ledger(self.connection, self.root)
        self.next_run = self._scalar("select coalesce(max(run_no), 0) + 1 from run_opened")
        self._next_seq: dict[tuple[int, str], int] = {}

    def _scalar(self, sql: str, values: list[Any] | None = None) -> Any:
        return one_value(self.connection, sql, values)

    def close(self) -> None:
        """Checkpoint and close."""
        with self.lock:
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
            self._allow(project, kind, act, actor, who)
            if isinstance(act, acts.Undo):
                payload = {"target": self._target(kind, act, project, who)}
            event = self.ledger.next_event(act_id, project, kind, payload, actor=actor, claimed=claimed)
            self._commit(event, act, who)
            self.ledger.record(event)
            return Applied(event, fresh=True)

    def _as_stored(self, act_id: str, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
        """A resent verdict's payload with the ``revealed`` of the first time, which is the hub's to say."""
        seq = self.ledger.ids.get(act_id)
        if kind != "verdict" or seq is None:
            return payload
        stored = msgspec.json.decode(self.event(seq).payload)
        rest = {name: value for name, value in payload.items() if name != "revealed"}
        return rest | {"revealed": stored["revealed"]} if "revealed" in stored else rest

    def _target(self, kind: str, act: acts.Undo, project: str, who: str) -> int:
        target = self.ledger.target(kind, project, who)
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
            self._project(con, event, act, who)
            con.execute("commit")
        except BaseException as error:  # whatever it was, nothing half-written stands
            with contextlib.suppress(duckdb.Error):  # a failed commit has rolled back already
                con.execute("rollback")
            if not isinstance(error, duckdb.Error):
                raise
            raise StoreError(f"the act was not written: {error}", where=str(self.path)) from error

    def _project(self, con: duckdb.DuckDBPyConnection, event: Event, act: acts.Act, who: str) -> None:
        """Write the typed copy of the event, where views need one."""
        seq, project, at_us = event.seq, event.project, event.at_us
        match act:
            case acts.GiveVerdict(queue=queue, subject=subject):
                earlier = (
                    "select count(*) from verdict_event"
                    " where project = ? and queue = ? and subject = ? and actor = ?"
                )
                first = not self._scalar(earlier, [project, queue, subject, who])
                values = [seq, project, who, at_us, queue, subject, act.verdict, act.reason, first]
                con.execute("insert into verdict_event values (?,?,?,?,?,?,?,?,?)", values)
            case acts.Undo():
                target = msgspec.json.decode(event.payload)["target"]
                con.execute("insert into undo_event values (?, ?)", [seq, target])
            case acts.OpenRun():
                run = [seq, self.next_run, act.run_id, project, act.stage, who, at_us]
                con.execute("insert into run_opened values (?,?,?,?,?,?,?)", run)
                self.next_run += 1
            case acts.CloseRun():
                con.execute(
                    "insert into run_closed values (?,?,?,?)", [seq, act.run_no, at_us, event.payload]
                )
            case _:
                pass

    def _allow(self, project: str, kind: str, act: acts.Act, actor: str, who: str) -> None:
        """Roles, existence and locks: what the hub enforces (the stages enforce the rest)."""
        exists = project in self.ledger.projects
        if kind in acts.OWNER_ONLY and actor != self.owner:
            raise RoleError(
                f"{kind} needs the owner's role; {actor} is a reviewer", todo=f"Ask {self.owner}."
            )
        if kind == "project.create" and exists:
            raise RuleError(f"project {project!r} exists already", todo="Choose another name, or use it.")
        if kind != "project.create" and not exists:
            raise InputError(
                f"no project {project!r} in this store",
                todo="`spiritsafe init` makes one; `spiritsafe projects` lists them.",
            )
        if isinstance(act, acts.OpenRun) and act.stage in acts.OWNER_STAGES and actor != self.owner:
            raise RoleError(
                f"a run of {act.stage} needs the owner's role; {actor} is a reviewer",
                todo=f"Ask {self.owner}.",
            )
        if isinstance(act, acts.CloseRun):
            self._allow_close(project, act, who)
        if isinstance(act, acts.Decide):
            self._allow_decision(project, act, who)

    def _allow_decision(self, project: str, act: acts.Decide, who: str) -> None:
        """The record must be the decision's own, whole, and rest on this ledger as it is."""
        record = act.record
        evidence = record.get("evidence")
        evidence = evidence if isinstance(evidence, dict) else {}
        ledger = evidence.get("ledger")
        ledger = ledger if isinstance(ledger, dict) else {}
        seq = ledger.get("seq")
        hash_ = digest_of({name: value for name, value in record.items() if name != "sha256"})
        faults = (
            (act.record_sha256 != hash_ or record.get("sha256") != hash_, "its hash is not that of the record"),
            (record.get("outcome") != act.outcome, "the record has another outcome"),
            (record.get("rationale") != act.rationale, "the record has another rationale"),
            (record.get("decided_by") != who, f"the record was not decided by {who}"),
            (evidence.get("project") != project, "the record is of another project"),
            (type(seq) is not int or not self._is_event(seq, ledger.get("hash")), "no event as the record's evidence names it"),
            (act.outcome == "ship" and evidence.get("passes") is not True, "ship needs evidence that passes"),
        )  # fmt: skip
        for wrong, what in faults:
            if wrong:
                raise RuleError(
                    f"the decision is refused: {what}", todo="`spiritsafe decide` makes its record."
                )

    def _is_event(self, seq: int, hash_: object) -> bool:
        if not 0 < seq <= self.ledger.seq:
            return False
        return bool(self._scalar("select hash from event where seq = ?", [seq]) == hash_)

    def _allow_close(self, project: str, act: acts.CloseRun, who: str) -> None:
        of_project, actor, closed = self._run(act.run_no)
        if of_project != project:
            raise InputError(f"project {project!r} has no run {act.run_no}")
        if closed:
            raise RuleError(f"run {act.run_no} is closed already")
        if actor != who:
            raise RoleError(f"run {act.run_no} is {actor}'s")
        if unknown := sorted(act.tables.keys() - records.ARTIFACTS.keys()):
            raise InputError(f"run {act.run_no} closes with rows of {unknown[0]!r}, which is no table")
        for table in records.ARTIFACTS:
            rows, stated = self.next_seq(act.run_no, table), act.tables.get(table)
            if rows != (stated.rows if stated else 0):
                raise RuleError(
                    f"run {act.run_no} closes with {stated.rows if stated else 0} rows of {table},"
                    f" the store has {rows}"
                )
            if stated and tuple(stated.columns) != records.columns_of(table):
                raise InputError(f"run {act.run_no}: the digest of {table} does not cover its columns")

    def _run(self, run_no: int) -> tuple[str, str, bool]:
        """Project and actor of a run, and whether it is closed."""
        found = (
            "select project, actor, exists (select 1 from run_closed c where c.run_no = o.run_no)"
            " from run_opened o where run_no = ?"
        )
        row = one_row(self.connection, found, [run_no])
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
            top = self._scalar(f"select max({key}) from {table} where run_no = ?", [run_no])  # noqa: S608 - our names
            self._next_seq[run_no, table] = 0 if top is None else (top & (1 << records.SEQ_BITS) - 1) + 1
        return self._next_seq[run_no, table]

    def append(self, run_no: int, table: str, first_seq: int, batch: pa.Table, *, who: str) -> int:
        """Append rows of an open run; rows that are there already (a resend) are skipped. Returns the next seq."""
        if table not in records.ARTIFACTS:
            raise InputError(f"no artifact table {table!r}")
        if tuple(batch.column_names) != records.columns_of(table):
            raise InputError(f"rows for {table} do not have its columns")
        with self.lock:
            _, actor, closed = self._run(run_no)
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
                self._insert(table, batch)
            self._next_seq[run_no, table] = have + batch.num_rows
            return have + int(batch.num_rows)

    def _insert(self, table: str, batch: pa.Table) -> None:
        names = ", ".join(records.columns_of(table))
        cursor = self.connection.cursor()
        cursor.register("incoming", batch)
        try:
            cursor.execute(f"insert into {table} ({names}) select {names} from incoming")  # noqa: S608 - our names
        except _ROWS_AT_FAULT as error:
            raise InputError(f"rows do not fit table {table}: {error}") from error
        except duckdb.Error as error:
            raise StoreError(f"the rows were not written: {error}", where=str(self.path)) from error
        finally:
            cursor.close()


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
