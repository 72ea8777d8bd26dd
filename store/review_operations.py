"""What a client may ask around a review: selections, whole texts, what is new, who is here, a sample's history."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from store import queue_sql
from store.acts import MAX_SUBJECTS, VERDICTS
from store.errors import InputError
from store.ledger import reviewer
from store.query import BULK_ROWS
from store.queue_kind import QueueSpec
from store.queue_kinds import kind_of
from store.queue_operations import kept_blind, refuse_while_blind
from store.queue_split import WHOLE, split_of
from store.queues import Queues
from store.rows import one_value
from store.session import Bulk, Session

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 50_000  # rows of a list that are joined and put in order at one time, to be sent
HERE_SECONDS = 90.0  # somebody who said nothing for so long is not here any more
Name = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


def subjects(session: Session, queue: str, ranges: list[tuple[int, int]], unjudged: bool = True) -> list[str]:
    """Subjects at positions low … high - 1 of each range, in order, each once; by default those not judged yet.

    Raises InputError where they are more than one bulk verdict may have.
    """
    queues: Queues = session.shared.queues
    found = queues.get(queue, session.who)
    marks = queues.marks(session.cursor, found) if unjudged else {}
    chosen: dict[str, None] = {}
    for low, high in ranges:
        for start in range(max(0, low), min(high, found.length), BULK_ROWS):
            members = found.members(session.cursor, start, min(high, start + BULK_ROWS))
            chosen |= dict.fromkeys(s for s in found.kind.subjects(session.cursor, members) if s not in marks)
            if len(chosen) > MAX_SUBJECTS:
                raise InputError(
                    f"more than {MAX_SUBJECTS:,} samples", todo="Narrow the filter, and take them in parts."
                )
    return list(chosen)


def fresh(session: Session, queue: str) -> int:
    """How many rows the queue would have more, were it opened again."""
    found = session.shared.queues.get(queue, session.who)
    ledger = session.shared.database.ledger
    if found.ledger_seq == ledger.seq:
        return 0
    spec = found.view.spec
    if spec.kind == "ledger" and not spec.filter.strip():
        counted = "select count(*) from event where project = ?"
        return max(0, int(one_value(session.cursor, counted, [spec.project])) - found.length)
    closed = "select count(*) from closed_run where project = ? and closed_seq > ?"
    if not one_value(session.cursor, closed, [spec.project, found.ledger_seq]):
        return 0
    queues: Queues = session.shared.queues
    return max(0, queues.count(session.cursor, found) - found.length)


def evaluate(session: Session, spec: dict[str, Any], expressions: list[str]) -> Bulk:
    """Of every output in an audit queue: its key, its id and the values of expressions in the filter grammar, as Arrow.

    Columns are ``key``, ``subject``, ``e0``, ``e1``, … (text). Raises GrammarError; RoleError and RuleError where it
    would tell what a blind reviewer may not know, or speak of the caller's own verdicts.
    """
    wanted = msgspec.convert(spec, QueueSpec)
    if wanted.kind != "audit":
        raise InputError("only an audit queue's members are evaluated")
    if not wanted.blind:
        refuse_while_blind(session, "an open queue")
    queues: Queues = session.shared.queues
    view = queues.view(session.cursor, wanted, session.who)
    queue_sql.refuse_telling_in(expressions, view.models)
    kind = kind_of(wanted)
    split = split_of(kind)
    (sql, values), parted = queue_sql.values(view, kind, expressions, split)
    parts = queues.parts(session.cursor, view, split, AT_ONCE) if split is not None and parted else [()]
    room = session.shared.database.memory.roomy if parts in ([()], [WHOLE]) else nullcontext
    with room():
        return Bulk(_InParts(session, sql, [[*values, *part] for part in parts]), room)


class _InParts:
    """The rows of a statement that is asked for part by part, as of one moment: DuckDB holds one part at a time."""

    def __init__(self, session: Session, sql: str, bounds: list[list[Any]]) -> None:
        self._cursor, self._sql, self._bounds = session.cursor, sql, bounds
        self._cursor.execute("begin transaction")
        try:
            self._first = self._rows(bounds[0])
        except BaseException:
            self._cursor.execute("rollback")
            raise
        self.schema = self._first.schema

    def _rows(self, values: list[Any]) -> pa.RecordBatchReader:
        return self._cursor.sql(self._sql, params=values).to_arrow_reader(BULK_ROWS)  # straight to Arrow

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._first
            for values in self._bounds[1:]:
                yield from self._rows(values)
        finally:
            self._cursor.execute("rollback")  # nothing was written


def history(session: Session, project: Name, subject: Name) -> list[tuple[int, int, str, str, str]]:
    """(seq, time, who, act, what) of everything that was said of a subject; while somebody judges blind, a reviewer
    sees of each queue only what he said himself, until he has judged the subject there."""
    own = session.who
    judged = session.cursor.execute(
        "select distinct queue from current_verdict where project = ? and subject = ? and actor = ?",
        [project, subject, own],
    ).fetchall()
    open_ = {queue for (queue,) in judged}
    rows = session.cursor.execute(
        "select e.seq, e.at_us, e.actor, e.claimed, e.kind, coalesce(v.queue, ''),"
        " case when e.kind = 'comment' then e.payload->>'text'"
        "   else concat_ws(' ', v.queue, v.verdict, v.reason, case when v.bulk then '(bulk)' end,"
        "     case when v.revealed then '(after reveal)' end, case when not v.live then '(undone)' end) end"
        " from event e left join verdict v on v.seq = e.seq and v.subject = $subject"
        " where e.project = $project and (v.seq is not null"
        "   or (e.kind = 'comment' and e.payload->>'subject' = $subject)) order by e.seq",
        {"project": project, "subject": subject},
    ).fetchall()
    hides, told = kept_blind(session), []
    for seq, at_us, actor, claimed, kind, queue, what in rows:
        who = reviewer(actor, claimed)
        if who == own or not hides or (queue in open_ if queue else bool(open_)):
            told.append((seq, at_us, who, kind, what))
    if any(who != own for _, _, who, _, _ in told):  # an undo would bring no blindness back
        for kind in VERDICTS:
            session.shared.queues.seen(project, kind, own, [subject])
    return told


def here(session: Session, project: Name, screen: Name) -> list[tuple[str, str]]:
    """Say on which screen the caller is ("" leaves); (who, screen) of the others on this project."""
    now, present = time.monotonic(), session.shared.present
    if screen:
        present[session.caller.instance] = (session.who, project, screen, now)
    else:
        present.pop(session.caller.instance, None)
    return sorted(
        {
            (who, there)
            for who, of, there, at in list(present.values())
            if who != session.who and of == project and now - at < HERE_SECONDS
        }
    )


REVIEW_OPERATIONS: dict[str, Callable[..., Any]] = {
    "subjects": subjects,
    "fresh": fresh,
    "evaluate": evaluate,
    "history": history,
    "here": here,
}
