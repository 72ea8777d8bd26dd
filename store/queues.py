"""Queues: an ordered, frozen list of what to look at; the verdict marks in it are live.

Inside the hub. Import order is never materialised: positions map onto ranges of packed keys (extents).
A filter, a sort or a draw stores (pos, key, other) once, in scratch. Membership and order stay as they were
when the queue was opened.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from store import queue_sql, slices
from store.errors import InputError
from store.one_queue import Extents, Queue, extents_of, stretches
from store.queue_audit import KIND as AUDIT
from store.queue_build import Begin, build, drop
from store.queue_kind import QueueSpec, View
from store.queue_kinds import kind_of
from store.queue_letters import letter
from store.queue_split import Part, Parts, Split, split_of
from store.rows import one_value

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a queue is built: with more memory, and beside the session."""

    roomy: Callable[[], AbstractContextManager[None]]
    begin: Begin


QUEUES_A_CLIENT = 16  # opening one more closes the client's oldest


class Queues:
    """All open queues of a hub, and everybody's verdict marks."""

    def __init__(self, salt: str) -> None:
        """``salt``: the store's own id, from which every reviewer's left and right are drawn."""
        self._salt = salt
        self._lock = threading.Lock()
        self._open: dict[str, Queue] = {}
        self._numbers = itertools.count(1)
        self._marks: dict[tuple[str, str, str, str], dict[str, str]] = {}
        self._extents: dict[tuple[str, str], tuple[list[int], Extents | None]] = {}
        self._parts = Parts()
        self._looked: set[str] = set()
        self._unblinded: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)

    # ---- opening and closing
    def open(
        self,
        cursor: DuckDBPyConnection,
        spec: QueueSpec,
        *,
        reviewer: str,
        instance: str,
        seq: int,
        desk: Desk,
        near: Sequence[int] = (),
    ) -> Queue:
        """Build a queue. ``near``: the keys that ``spec.similar`` found.

        Raises GrammarError for a filter, RuleError where it would tell a blind source.
        """
        kind = kind_of(spec)
        number = next(self._numbers)
        view = replace(self.view(cursor, spec, reviewer), near=tuple(near))
        spec = view.spec
        queue = Queue(f"q{number}-{secrets.token_hex(4)}", kind, view, instance, seq)
        marks = self.marks(cursor, queue)
        plain = kind is AUDIT and not (spec.filter.strip() or spec.sort.strip() or spec.seed)
        extents = self._import_order(cursor, spec) if plain else None
        if extents is not None:
            queue.extents, queue.length = extents, extents.length
            queue.reviewed = extents.count(cursor, spec.model, list(marks)) if marks else 0
        else:
            self._materialise(cursor, queue, number, marks, desk)
        with self._lock:
            self._open[queue.id] = queue
            own = [q for q in self._open.values() if q.instance == instance]
        for old in own[:-QUEUES_A_CLIENT]:
            self.close(cursor, old.id)
        return queue

    def view(self, cursor: DuckDBPyConnection, spec: QueueSpec, reviewer: str) -> View:
        """How ``reviewer`` would see a queue. Raises RuleError where its filter would tell a blind source."""
        models = _models(cursor, spec.project) if spec.blind and kind_of(spec).secret else ()
        if slices.NAME in spec.filter:
            whole = slices.expanded(spec.filter, slices.named(cursor, spec.project))
            spec = msgspec.structs.replace(spec, filter=whole)
        queue_sql.refuse_telling(spec, models)
        return View(spec, reviewer, self._salt, models)

    def count(self, cursor: DuckDBPyConnection, queue: Queue) -> int:
        """How many members a queue would have now; as many as it has where its filter asks for verdicts."""
        if queue.extents is not None:
            extents = self._import_order(cursor, queue.view.spec)
            return extents.length if extents is not None else queue.length
        if queue_sql.asks_mine(queue.view.spec) or queue.view.spec.similar:
            return queue.length
        split = split_of(queue.kind)
        (sql, values), parted = queue_sql.count(queue.view, queue.kind, split)
        parts = self.parts(cursor, queue.view, split) if split is not None and parted else [()]
        return sum(int(one_value(cursor, sql, [*values, *part])) for part in parts)

    def _import_order(self, cursor: DuckDBPyConnection, spec: QueueSpec) -> Extents | None:
        """The key ranges of a model's outputs; found anew only when a run was closed meanwhile."""
        runs = _runs(cursor, spec.project)
        known = self._extents.get((spec.project, spec.model))
        if known is None or known[0] != runs:
            known = self._extents[spec.project, spec.model] = (runs, extents_of(cursor, spec.model, runs))
        return known[1]

    def _materialise(
        self, cursor: DuckDBPyConnection, queue: Queue, number: int, marks: dict[str, str], desk: Desk
    ) -> None:
        spec = queue.view.spec
        queue.table = f"scratch.queue_{number}"
        mine = f"scratch.mine_{number}" if marks else None
        split = split_of(queue.kind)
        if mine:
            cursor.execute(
                f"create table {mine} as select subject, verdict, reason from {_said_in(spec)}"  # noqa: S608 - our names
                " where project = ? and queue = ? and actor = ?",
                [spec.project, spec.kind, queue.view.reviewer],
            )
        try:
            if split is not None:
                self._in_parts(cursor, queue, split, mine, desk)
            else:
                self._at_once(cursor, queue, mine, desk)
        finally:
            if mine:
                cursor.execute(f"drop table {mine}")

    def _in_parts(
        self, cursor: DuckDBPyConnection, queue: Queue, split: Split, mine: str | None, desk: Desk
    ) -> None:
        """What may be long."""
        table = f"{queue.table}_members"
        stored = queue_sql.stored(queue.view, queue.kind, split, mine)
        parts = self.parts(cursor, queue.view, split) if stored.parted else []
        shown = queue_sql.positions(queue.kind, table, queue.table)
        order = build(cursor, stored, table, parts, shown=shown, roomy=desk.roomy, begin=desk.begin)
        queue.length, queue.reviewed = order.length, order.judged
        queue.first, queue.work = order.first, order.work

    def parts(
        self, cursor: DuckDBPyConnection, view: View, split: Split, rows: int | None = None
    ) -> list[Part]:
        """The parts of a list, in order (``queue_split.py``)."""
        return self._parts.of(cursor, split, view, _runs(cursor, view.spec.project), rows)

    def _at_once(self, cursor: DuckDBPyConnection, queue: Queue, mine: str | None, desk: Desk) -> None:
        """Whatever a kind's source gives, by one statement."""
        table = f"{queue.table}_members"
        with desk.roomy():
            cursor.execute(*queue_sql.members(queue.view, queue.kind, table, mine))
        cursor.execute(queue_sql.positions(queue.kind, table, queue.table))
        counts = f"select count(*), count(*) filter (where judged) from {table}"  # noqa: S608 - our name
        queue.length, queue.reviewed = cursor.execute(counts).fetchall()[0]

    def get(self, queue_id: str, reviewer: str) -> Queue:
        """An open queue of this reviewer; raises InputError after a hub restart (the client opens it anew)."""
        queue = self._open.get(queue_id)
        if queue is None or queue.view.reviewer != reviewer:
            raise InputError(f"queue {queue_id} is not open", todo="Open it again.")
        return queue

    def any_blind(self) -> bool:
        """Whether anybody is judging blind right now."""
        with self._lock:
            return any(queue.view.spec.blind and queue.kind.secret for queue in self._open.values())

    def leave(self, cursor: DuckDBPyConnection, instance: str) -> None:
        """Forget the queues of a client that is gone."""
        for queue in [q for q in list(self._open.values()) if q.instance == instance]:
            self.close(cursor, queue.id)

    def close(self, cursor: DuckDBPyConnection, queue_id: str) -> None:
        """Forget a queue."""
        with self._lock:
            queue = self._open.pop(queue_id, None)
        if queue is not None and queue.table:
            if queue.work is not None:
                queue.work.cancel()
            cursor.execute(f"drop view if exists {queue.table}")
            drop(cursor, f"{queue.table}_members")

    # ---- marks
    def marks(self, cursor: DuckDBPyConnection, queue: Queue) -> dict[str, str]:
        """Subject → letter for everything this reviewer has judged in queues of this kind."""
        spec = queue.view.spec
        key = (spec.project, spec.kind, queue.view.reviewer, _said_in(spec))
        with self._lock:  # held while reading, so that a verdict committed meanwhile is put in afterwards
            if key not in self._marks:
                rows = cursor.execute(
                    f"select subject, verdict, reason from {key[3]}"  # noqa: S608 - our names
                    " where project = ? and queue = ? and actor = ?",
                    key[:3],
                ).fetchall()
                self._marks[key] = {subject: letter(verdict, reason) for subject, verdict, reason in rows}
            return self._marks[key]

    def judged(self, project: str, kind: str, reviewer: str, *, subject: str, mark: str) -> None:
        """A verdict was committed: keep the marks true without asking again."""
        with self._lock:
            for key, marks in self._marks.items():
                if key[:3] == (project, kind, reviewer):
                    marks[subject] = mark

    def forget(self, project: str, reviewer: str) -> None:
        """An undo or redo was committed: this reviewer's marks are read anew."""
        with self._lock:
            for key in [k for k in self._marks if k[0] == project and k[2] == reviewer]:
                del self._marks[key]

    # ---- what has been seen
    def _served(self, view: View, subjects: Iterable[str]) -> None:
        self.seen(view.spec.project, view.spec.kind, view.reviewer, subjects)

    def seen(self, project: str, kind: str, reviewer: str, subjects: Iterable[str]) -> None:
        """Somebody has seen what others said of subjects, or where they come from: his verdicts are blind no more."""
        with self._lock:
            self._unblinded[project, kind, reviewer].update(subjects)

    def looked(self, reviewer: str) -> None:
        """Somebody has read what tells of any sample: none of his verdicts in this hub is blind from here on."""
        with self._lock:
            self._looked.add(reviewer)

    def stamped(self, project: str, payload: dict[str, Any], reviewer: str) -> dict[str, Any]:
        """A verdict's payload, ``revealed`` where the reviewer has seen the subject unblinded in this hub."""
        kind, subject = payload.get("queue"), payload.get("subject")
        if payload.get("revealed", False) is not False or not (
            isinstance(kind, str) and isinstance(subject, str)
        ):
            return payload  # said already, or no verdict
        with self._lock:
            known = reviewer in self._looked or subject in self._unblinded.get((project, kind, reviewer), ())
        return payload | {"revealed": True} if known else payload

    # ---- looking
    def window(
        self, cursor: DuckDBPyConnection, queue: Queue, low: int, high: int
    ) -> list[tuple[int, str, str, tuple[str, ...]]]:
        """Rows (position, subject, mark, cells) at positions low … high - 1."""
        shown = queue.kind.rows(cursor, queue.view, queue.members(cursor, low, high))
        marks, first = self.marks(cursor, queue), max(0, low)
        if queue.kind.secret and not queue.view.spec.blind:
            self._served(queue.view, (row.subject for row in shown))
        return [
            (first + i, row.subject, marks.get(row.subject, ""), row.cells) for i, row in enumerate(shown)
        ]

    def detail(self, cursor: DuckDBPyConnection, queue: Queue, position: int) -> dict[str, Any]:
        """Everything the reviewer may see of one subject; more once it is judged, or in an open queue."""
        found = self.details(cursor, queue, position, position + 1)
        if not found:
            raise InputError(f"the queue has {queue.length:,} positions; {position + 1:,} is none of them")
        return found[0]

    def details(self, cursor: DuckDBPyConnection, queue: Queue, low: int, high: int) -> list[dict[str, Any]]:
        """The same of positions low … high - 1, cut to the queue."""
        members = queue.members(cursor, low, high)
        marks, spec = self.marks(cursor, queue), queue.view.spec

        def seen(subject: str) -> bool:
            return not spec.blind or subject in marks

        found = queue.kind.details(cursor, queue.view, members, seen)
        subjects = [one["subject"] for one in found]
        revealed = [subject for subject in subjects if seen(subject)]
        if queue.kind.secret:
            self._served(queue.view, revealed)
        if spec.kind == "adjudicate":  # it shows what was said, if not by whom
            self.seen(spec.project, "audit", queue.view.reviewer, subjects)
        verdicts, comments = self._said(cursor, queue, subjects, revealed)
        for at, one in enumerate(found, max(0, low)):
            subject = one["subject"]
            one |= {
                "verdicts": verdicts.get(subject, []) if seen(subject) else None,
                "comments": comments.get(subject, []),
                "position": at, "mark": marks.get(subject, ""), "revealed": seen(subject),
            }  # fmt: skip
        return found

    @staticmethod
    def _said(
        cursor: DuckDBPyConnection, queue: Queue, subjects: list[str], revealed: list[str]
    ) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """(actor, verdict, reason, time) and (actor, time, text) by subject: of what is revealed, and one's own comments."""
        spec = queue.view.spec
        verdicts: dict[str, list[Any]] = {}
        for subject, *row in cursor.execute(
            "select subject, actor, verdict, reason, at_us from current_verdict"
            " where project = ? and queue = ? and subject in (select unnest(?::varchar[])) order by seq",
            [spec.project, spec.kind, revealed],
        ).fetchall():
            verdicts.setdefault(subject, []).append(tuple(row))
        comments: dict[str, list[Any]] = {}
        for subject, *row in cursor.execute(
            "select subject, actor, at_us, text from comment where project = ?"
            " and (subject in (select unnest(?::varchar[])) or (actor = ? and subject in (select unnest(?::varchar[]))))"
            " order by seq",
            [spec.project, revealed, queue.view.reviewer, subjects],
        ).fetchall():
            comments.setdefault(subject, []).append(tuple(row))
        return verdicts, comments

    def unreviewed(self, cursor: DuckDBPyConnection, queue: Queue, position: int, step: int) -> int | None:
        """The next (step 1) or previous (-1) position after ``position`` that this reviewer has not judged."""
        marks = self.marks(cursor, queue)
        for low, high in stretches(queue.length, position, step, first=256, most=16_384):
            subjects = queue.kind.subjects(cursor, queue.members(cursor, low, high))
            numbered = list(enumerate(subjects, low))
            for at, subject in numbered if step > 0 else reversed(numbered):
                if subject not in marks:
                    return at
        return None

    def find(
        self, cursor: DuckDBPyConnection, queue: Queue, text: str, position: int, step: int
    ) -> int | None:
        """The next position after ``position`` whose texts contain ``text`` (case-insensitive), wrapping around."""
        needle = queue_sql.substring(queue.kind, text)
        around = -1 if step > 0 else queue.length
        inside = 0 <= position < queue.length
        for start, stop in ((position, None), (around, position))[: 1 + inside]:
            for low, high in stretches(queue.length, start, step, first=16_384, most=1 << 18):
                found = queue.nearest(cursor, needle, low, high, forward=step > 0)
                if found is not None:
                    return found
                if stop is not None and low <= stop < high:
                    return None
        return None


def _said_in(spec: QueueSpec) -> str:
    """The view of a reviewer's own verdicts that a queue goes by: under a plan only what he has read counts."""
    return "reading" if spec.plan or spec.kind == "adjudicate" else "current_verdict"


def _runs(cursor: DuckDBPyConnection, project: str) -> list[int]:
    """The closed runs of a project, ascending."""
    sql = "select list(run_no order by run_no) from closed_run where project = ?"
    return one_value(cursor, sql, [project]) or []


def _models(cursor: DuckDBPyConnection, project: str) -> tuple[str, ...]:
    rows = cursor.execute("select distinct model from model where project = ?", [project]).fetchall()
    return tuple(model for (model,) in rows)
