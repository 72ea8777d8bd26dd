"""Following the store: one thread of the hub that puts the outputs of closed runs into the text index.

It works in small batches and rests as long as it worked, so that people are served first; tantivy's own threads
are of low priority. It never raises: where nothing can be indexed, it says so in the log and searches scan.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from store import address
from store.faults import gave_up
from store.records import SEQ_BITS
from store.rows import one_value
from store.text_index import FORMAT, IndexDamaged, Mark, Row, Snapshot, TextIndex, throw_away
from store.text_words import FOLD

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from store.database import Database

log = logging.getLogger("spiritsafe.hub")

LEAST_ROWS = int(os.environ.get("SPIRITSAFE_TEXT_ROWS", "5000"))  # fewer are scanned as fast
LOOK_SECONDS = 0.5
BATCH_ROWS, BATCH_CHARACTERS = 500, 2_000_000
COMMIT_ROWS = int(os.environ.get("SPIRITSAFE_TEXT_COMMIT_ROWS", "100000"))
COMMIT_SECONDS = 5.0
REST = 1.0  # seconds of rest for each second of work
LEAVE_SECONDS = 5.0
NICE = 10
BACKOFF_SECONDS, LONGEST_BACKOFF = 30.0, 600.0


class Closed(NamedTuple):
    """A closed run, as the follower meets it."""

    seq: int
    run_no: int
    project: str
    hash: str


_CLOSED = """
    select r.closed_seq, r.run_no, r.project, e.hash from closed_run r join event e on e.seq = r.closed_seq
    where r.closed_seq >= ? order by r.closed_seq
"""
_TOTAL = """
    select coalesce(sum((summary::json->'tables'->'output'->>'rows')::bigint), 0)::bigint from closed_run
"""
_ROWS = f"""
    with o as materialized (
        select output_key, arrival_key, model, {FOLD.format("text")} as text from output
        where output_key between ? and ?)
    select o.output_key, o.model, coalesce({FOLD.format("a.text")}, ''), o.text
    from o left join (select arrival_key, text from arrival
        where arrival_key between (select min(arrival_key) from o) and (select max(arrival_key) from o)) a
    using (arrival_key) order by 1
"""  # noqa: S608 - ours


class Follower:
    """Keeps the text index of a store. ``start`` it with the hub, ``leave`` before the database is closed."""

    def __init__(self, database: Database, *, least_rows: int | None = None) -> None:
        """``least_rows``: outputs that a store must have before an index is worth its folder."""
        self.database, self.folder = database, address.text_path(database.path)
        self._least = LEAST_ROWS if least_rows is None else least_rows
        self._stop = threading.Event()
        self._index: TextIndex | None = None
        self._broken = threading.Event()  # somebody who searched found it so
        self._reopened = -1  # the commit at which a search failed last
        self._seen = -1  # the last closing event that we know of
        self._total = 0
        self.why = ""  # why nothing is indexed now
        self._thread = threading.Thread(target=self._run, name="text-index", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def leave(self) -> None:
        """Stop within a batch or a commit; what was not committed is added another time."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(
                LEAVE_SECONDS
            )  # a merge may take longer: it reads no database, and is not needed

    @property
    def snapshot(self) -> Snapshot | None:
        """The last commit, None while there is none."""
        index = self._index
        return index.snapshot if index is not None else None

    def damaged(self, error: IndexDamaged) -> None:
        """Somebody who searched met a fault: the index is opened anew, or made anew."""
        log.warning("the text index is opened anew: %s", error)
        self._broken.set()

    def status(self) -> dict[str, Any]:
        """How far it is: rows indexed and in all, the run indexed last, and why nothing is indexed."""
        found = self.snapshot
        mark = found.mark if found is not None else None
        return {
            "rows": mark.rows if mark else 0,
            "total": self._total,
            "run_no": mark.run_no if mark else 0,
            "seq": mark.seq if mark else 0,
            "why": self.why,
        }

    # ---- the thread
    def _run(self) -> None:
        cursor, backoff = self.database.cursor(), BACKOFF_SECONDS
        try:
            while not self._stop.is_set():
                if self._tried(cursor):
                    backoff = BACKOFF_SECONDS
                    self._stop.wait(LOOK_SECONDS)
                else:
                    self._stop.wait(backoff)
                    backoff = min(LONGEST_BACKOFF, backoff * 2)
        finally:
            if self._index is not None:
                self._index.close()
            cursor.close()

    def _tried(self, cursor: DuckDBPyConnection) -> bool:
        """Look for something new and index it; False where that failed."""
        try:
            self._look(cursor)
        except (IndexDamaged, OSError, ImportError) as error:
            self.why = str(error)
            log.warning("nothing is indexed for search: %s", error)
        except duckdb.Error as error:
            self.why = str(error)
            log.warning("nothing is indexed for search: %s", error)
            if gave_up(error):  # the next client's request says so, and ends the hub
                self._stop.set()
        else:
            self.why = ""
            return True
        self._drop()
        return False

    def _drop(self) -> None:
        index, self._index, self._seen = self._index, None, -1
        if index is not None:
            index.close()

    def _look(self, cursor: DuckDBPyConnection) -> None:
        if self._broken.is_set():
            self._broken.clear()
            self._reopen()
        seq = one_value(cursor, "select coalesce(max(seq), 0) from run_closed")
        if seq == self._seen:
            return
        self._total = one_value(cursor, _TOTAL)
        if self._index is None:
            if self._total < self._least and not self.folder.exists():
                self._seen = seq
                return
            self._index = self._opened(cursor)
        index = self._index
        runs = [Closed(*row) for row in cursor.execute(_CLOSED, [index.mark.seq]).fetchall()]
        if index.mark.whole:
            runs = [run for run in runs if run.seq > index.mark.seq]
        if runs and self._catch_up(cursor, index, runs):
            index.rest()
        if not self._stop.is_set():
            self._seen = seq

    def _reopen(self) -> None:
        """Open what a search found broken anew; throw it away where that was done before."""
        commits = self._index.mark.commits if self._index is not None else 0
        self._drop()
        if commits == self._reopened:
            throw_away(self.folder)
        self._reopened = commits

    def _opened(self, cursor: DuckDBPyConnection) -> TextIndex:
        """The index as it is, or made anew where it is not this store's."""
        store_id = self.database.store_id
        try:
            index = TextIndex(self.folder, store_id)
        except IndexDamaged as error:
            log.info("the text index is made anew: %s", error)
            return TextIndex(self.folder, store_id, fresh=True)
        mark = index.mark
        if (one_value(cursor, "select hash from event where seq = ?", [mark.seq]) or "") == mark.hash:
            return index
        log.info("the text index is made anew: it is of another history of this store")
        index.close()
        return TextIndex(self.folder, store_id, fresh=True)

    def _catch_up(self, cursor: DuckDBPyConnection, index: TextIndex, runs: list[Closed]) -> bool:
        """Index these runs in the order they were closed; False where we were asked to leave meanwhile."""
        work = _Work(index, self._stop)
        for run in runs:
            resumed = run.run_no == index.mark.run_no and not index.mark.whole
            first = index.mark.key + 1 if resumed else run.run_no << SEQ_BITS
            if not work.run(cursor, run, first):
                return False
        work.commit()
        return True


class _Work:
    """One spell of indexing: rows in, a commit now and then."""

    def __init__(self, index: TextIndex, stop: threading.Event) -> None:
        self.index, self.stop = index, stop
        self.at = index.mark  # as far as rows were added
        self.size = BATCH_ROWS
        self.committed = time.monotonic()
        _kindly(index.writer)

    def run(self, cursor: DuckDBPyConnection, run: Closed, first: int) -> bool:
        """Add the outputs of a run from key ``first`` on; False where we were asked to leave."""
        found = "select max(output_key) from output where run_no = ? and output_key >= ?"
        last = one_value(cursor, found, [run.run_no, first])
        while last is not None and first <= last:
            began = time.monotonic()
            stop = min(last, first + self.size - 1)
            rows = cursor.execute(_ROWS, [first, stop]).fetchall()
            added = self.index.add((key, run.project, *rest) for key, *rest in rows)
            self._went(run, stop, whole=stop == last, added=added)
            self._adapt(rows)
            first = stop + 1
            if self.at.rows - self.index.mark.rows >= COMMIT_ROWS or began - self.committed > COMMIT_SECONDS:
                self.commit()
            if self.stop.wait((time.monotonic() - began) * REST):
                return False
        if last is None:
            self._went(run, first - 1, whole=True, added=0)
        return not self.stop.is_set()

    def _went(self, run: Closed, key: int, *, whole: bool, added: int) -> None:
        index, rows = self.index, self.at.rows + added
        commits = index.mark.commits + 1
        self.at = Mark(FORMAT, index.store_id, run.seq, run.hash, run.run_no, key, whole, rows, commits)

    def _adapt(self, rows: list[Row]) -> None:
        """Fewer rows at once where they are long."""
        characters = sum(len(row[2]) + len(row[3]) for row in rows)
        if characters > BATCH_CHARACTERS:
            self.size = max(1, self.size // 4)
        elif characters * 8 < BATCH_CHARACTERS:
            self.size = min(BATCH_ROWS, self.size * 2)

    def commit(self) -> None:
        """Commit what was added, on a thread of low priority: tantivy's writers are its children."""
        if self.at is not self.index.mark:
            _kindly(lambda: self.index.commit(self.at))
        self.committed = time.monotonic()


def _kindly(call: Callable[[], object]) -> None:
    """Do ``call`` on a thread of low priority; what it starts inherits that."""
    problems: list[Exception] = []

    def work() -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # of this thread alone, on Linux
            call()
        except (IndexDamaged, OSError) as error:
            problems.append(error)

    thread = threading.Thread(target=work, name="text-commit")
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
