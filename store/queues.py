"""Queues: an ordered, frozen list of what to look at; the verdict marks in it are live.

Inside the hub. Import order is never materialised: positions map onto ranges of packed keys (extents).
A filter, a sort or a draw stores (pos, key, other) once, in scratch. Membership and order stay as they were
when the queue was opened; what is new since is only counted.
"""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store import grammar
from store.errors import GrammarError, InputError, RuleError
from store.queue_kinds import Kind, QueueSpec, kind_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MANY_EXTENTS = 4096
SCAN = 4096  # positions looked at a time when seeking
LETTERS = {
    "ok": "a", "unsure": "z", "left": "<", "right": ">", "both": "=", "keep": "a", "choose": "r", "distinct": "n",
}  # fmt: skip


def letter(verdict: str, reason: int | None) -> str:
    """The mark of a verdict in the gutter: never only a colour."""
    return str(reason) if reason is not None else LETTERS[verdict]


Extent = tuple[int, int, int]  # first position, first key, count


@dataclass(slots=True)
class Queue:
    """One open queue of one reviewer."""

    id: str
    spec: QueueSpec
    kind: Kind
    reviewer: str
    length: int
    ledger_seq: int
    extents: list[Extent] | None = None
    table: str = ""

    def members(self, cursor: DuckDBPyConnection, low: int, high: int) -> list[tuple[int, int | None]]:
        """The (key, other) pairs at positions low … high - 1, cut to the queue."""
        low, high = max(0, low), min(self.length, high)
        if low >= high:
            return []
        if self.extents is None:
            sql = f"select key, other from scratch.{self.table} where pos between ? and ? order by pos"  # noqa: S608
            return cursor.execute(sql, [low, high - 1]).fetchall()
        found: list[tuple[int, int | None]] = []
        at = bisect.bisect_right(self.extents, low, key=lambda e: e[0]) - 1
        for first, key, count in itertools.islice(self.extents, at, None):
            if first >= high:
                break
            start, stop = max(low, first), min(high, first + count)
            found += [(key + position - first, None) for position in range(start, stop)]
        return found


class Queues:
    """All open queues of a hub, and everybody's verdict marks."""

    def __init__(self, cursor: DuckDBPyConnection) -> None:
        self._cursor = cursor
        self._lock = threading.Lock()
        self._open: dict[str, Queue] = {}
        self._numbers = itertools.count(1)
        self._marks: dict[tuple[str, str, str], dict[str, str]] = {}

    # ---- opening
    def open(self, cursor: DuckDBPyConnection, spec: QueueSpec, reviewer: str, seq: int) -> Queue:
        """Build a queue. Raises GrammarError for a filter, RuleError where it would tell a blind source."""
        kind = kind_of(spec)
        number = next(self._numbers)
        queue = Queue(f"q{number}", spec, kind, reviewer, 0, seq)
        plain = not (spec.filter.strip() or spec.sort.strip() or spec.seed) and spec.kind == "audit"
        extents = self._extents(cursor, spec) if plain else None
        if extents is not None:
            queue.extents = extents
            queue.length = sum(count for _, _, count in extents)
        else:
            self._materialise(cursor, queue, number)
        with self._lock:
            self._open[queue.id] = queue
        return queue

    def _extents(self, cursor: DuckDBPyConnection, spec: QueueSpec) -> list[Extent] | None:
        runs = "from output where model = ? and run_no in (select run_no from closed_run where project = ?)"
        values = [spec.model, spec.project]
        whole = cursor.execute(
            f"select run_no, min(output_key), max(output_key), count(*) {runs} group by run_no order by run_no",
            values,  # noqa: S608
        ).fetchall()
        ranges = [(low, n) for _, low, high, n in whole]
        if any(high - low + 1 != n for _, low, high, n in whole):
            ranges = cursor.execute(
                "select min(k), count(*) from (select output_key as k,"  # noqa: S608
                f" output_key - row_number() over (order by output_key) as island {runs}) group by island order by 1",
                values,
            ).fetchall()
        if len(ranges) > MANY_EXTENTS:
            return None
        firsts = itertools.accumulate((n for _, n in ranges), initial=0)
        return [(first, low, n) for first, (low, n) in zip(firsts, ranges, strict=False)]

    def _materialise(self, cursor: DuckDBPyConnection, queue: Queue, number: int) -> None:
        spec, kind = queue.spec, queue.kind
        queue.table, mine = f"queue_{number}", f"scratch.mine_{number}"
        cursor.execute(
            f"create table {mine} as select subject, verdict, reason from current_verdict"  # noqa: S608
            " where project = ? and queue = ? and actor = ?",
            [spec.project, spec.kind, queue.reviewer],
        )
        try:
            where, values = _compiled(spec.filter, spec, kind)
            order, order_values = _order(spec, kind)
            members = kind.members.replace("{mine}", mine)
            cursor.execute(
                f"create table scratch.{queue.table} as select row_number() over () - 1 as pos, * from"  # noqa: S608
                f" (select * from ({members} and {where} order by {order}) as m(key, other))",
                [*kind.values(spec), *values, *order_values],
            )
        finally:
            cursor.execute(f"drop table {mine}")
        row = cursor.execute(f"select count(*) from scratch.{queue.table}").fetchone()  # noqa: S608
        queue.length = row[0] if row else 0

    def get(self, queue_id: str, reviewer: str) -> Queue:
        """An open queue of this reviewer; raises InputError after a hub restart (the client opens it anew)."""
        queue = self._open.get(queue_id)
        if queue is None or queue.reviewer != reviewer:
            raise InputError(f"queue {queue_id} is not open", todo="Open it again.")
        return queue

    def any_blind(self) -> bool:
        """Whether anybody is judging blind right now."""
        return any(queue.spec.blind and queue.spec.kind != "ledger" for queue in list(self._open.values()))

    def close_all(self, cursor: DuckDBPyConnection, ids: set[str]) -> None:
        """Forget the queues of a client that left."""
        for queue_id in ids:
            self.close(cursor, queue_id)

    def close(self, cursor: DuckDBPyConnection, queue_id: str) -> None:
        """Forget a queue."""
        with self._lock:
            queue = self._open.pop(queue_id, None)
        if queue is not None and queue.table:
            cursor.execute(f"drop table if exists scratch.{queue.table}")

    # ---- marks
    def marks(self, cursor: DuckDBPyConnection, project: str, kind: str, reviewer: str) -> dict[str, str]:
        """Subject → letter for everything this reviewer has judged in queues of this kind."""
        key = (project, kind, reviewer)
        if key not in self._marks:
            rows = cursor.execute(
                "select subject, verdict, reason from current_verdict where project = ? and queue = ? and actor = ?",
                key,
            ).fetchall()
            self._marks[key] = {subject: letter(verdict, reason) for subject, verdict, reason in rows}
        return self._marks[key]

    def judged(self, project: str, kind: str, reviewer: str, subject: str, mark: str) -> None:
        """A verdict was committed: keep the marks true without asking again."""
        marks = self._marks.get((project, kind, reviewer))
        if marks is not None:
            marks[subject] = mark

    def forget(self, project: str, reviewer: str) -> None:
        """An undo or redo was committed: this reviewer's marks are read anew."""
        for key in [k for k in self._marks if k[0] == project and k[2] == reviewer]:
            del self._marks[key]

    # ---- looking
    def window(
        self, cursor: DuckDBPyConnection, queue: Queue, low: int, high: int
    ) -> list[tuple[int, str, str, tuple[str, ...]]]:
        """Rows (position, subject, mark, cells) at positions low … high - 1."""
        members = queue.members(cursor, low, high)
        shown = queue.kind.rows(cursor, queue.spec, members, queue.reviewer)
        marks = self.marks(cursor, queue.spec.project, queue.spec.kind, queue.reviewer)
        first = max(0, low)
        return [
            (first + i, row.subject, marks.get(row.subject, ""), row.cells) for i, row in enumerate(shown)
        ]

    def detail(self, cursor: DuckDBPyConnection, queue: Queue, position: int) -> dict[str, Any]:
        """Everything the reviewer may see of one subject; more once it is judged, or in an open queue."""
        members = queue.members(cursor, position, position + 1)
        if not members:
            raise InputError(f"the queue has {queue.length:,} positions; {position + 1:,} is none of them")
        marks = self.marks(cursor, queue.spec.project, queue.spec.kind, queue.reviewer)
        found = queue.kind.detail(cursor, queue.spec, members[0], queue.reviewer, not queue.spec.blind)
        subject = found["subject"]
        revealed = not queue.spec.blind or subject in marks
        if revealed and queue.spec.blind:
            found = queue.kind.detail(cursor, queue.spec, members[0], queue.reviewer, True)
        others = "select actor, verdict, reason, at_us from current_verdict where project = ? and queue = ? and subject = ? order by seq"
        found["verdicts"] = (
            cursor.execute(others, [queue.spec.project, queue.spec.kind, subject]).fetchall()
            if revealed
            else None
        )
        found["comments"] = cursor.execute(
            "select actor, at_us, text from comment where project = ? and subject = ? and (? or actor = ?) order by seq",
            [queue.spec.project, subject, revealed, queue.reviewer.split("/")[0]],
        ).fetchall()
        return found | {"position": position, "mark": marks.get(subject, ""), "revealed": revealed}

    def unreviewed(self, cursor: DuckDBPyConnection, queue: Queue, position: int, step: int) -> int | None:
        """The next (step 1) or previous (-1) position after ``position`` that this reviewer has not judged."""
        marks = self.marks(cursor, queue.spec.project, queue.spec.kind, queue.reviewer)
        at = position + step
        while 0 <= at < queue.length:
            low, high = (at, at + SCAN) if step > 0 else (at - SCAN + 1, at + 1)
            members = queue.members(cursor, low, high)
            subjects = self._subjects(cursor, queue, members)
            low = max(0, low)
            order = range(len(subjects)) if step > 0 else range(len(subjects) - 1, -1, -1)
            for i in order:
                if subjects[i] not in marks:
                    return low + i
            at = low + len(subjects) if step > 0 else low - 1
        return None

    def _subjects(
        self, cursor: DuckDBPyConnection, queue: Queue, members: Sequence[tuple[int, int | None]]
    ) -> list[str]:
        return [row.subject for row in queue.kind.rows(cursor, queue.spec, members, queue.reviewer)]

    def find(
        self, cursor: DuckDBPyConnection, queue: Queue, text: str, position: int, step: int
    ) -> int | None:
        """The next position after ``position`` whose shown texts contain ``text`` (case-insensitive), wrapping."""
        members, values = _searchable(queue)
        needle = text.lower()
        sql = (
            f"select pos from ({members}) where {'pos > ?' if step > 0 else 'pos < ?'}"  # noqa: S608
            f" order by pos {'' if step > 0 else 'desc'} limit 1"
        )
        row = cursor.execute(sql, [*values, needle, needle, position]).fetchone()
        if row is None:
            row = cursor.execute(sql, [*values, needle, needle, -1 if step > 0 else queue.length]).fetchone()
        return row[0] if row else None

    def reviewed(self, cursor: DuckDBPyConnection, queue: Queue) -> int:
        """How many of the queue's subjects this reviewer has judged."""
        marks = self.marks(cursor, queue.spec.project, queue.spec.kind, queue.reviewer)
        if not marks:
            return 0
        if queue.extents is not None:
            row = cursor.execute(
                "select count(*) from output where model = ? and output_id in (select unnest(?::varchar[]))",
                [queue.spec.model, list(marks)],
            ).fetchone()
            return row[0] if row else 0
        return sum(
            subject in marks
            for low in range(0, queue.length, SCAN)
            for subject in self._subjects(cursor, queue, queue.members(cursor, low, low + SCAN))
        )


def _compiled(text: str, spec: QueueSpec, kind: Kind) -> tuple[str, list[Any]]:
    """A filter as SQL over the kind's columns; what a blind queue may not name is refused by name."""
    if not text.strip():
        return "true", []
    expression = grammar.parse(text)
    hidden = sorted(grammar.names(expression) & kind.open_columns.keys()) if spec.blind else []
    if hidden:
        raise RuleError(
            f"a blind queue cannot be filtered or sorted by {', '.join(hidden)}",
            todo="It would tell the source before the verdict. Open the queue unblinded; the record will say so.",
        )
    columns = kind.columns | ({} if spec.blind else kind.open_columns)
    metadata = "a.metadata" if "arrival a" in kind.members else None
    if metadata is None and (unknown := sorted(grammar.names(expression) - columns.keys())):
        raise GrammarError(f"no column {unknown[0]!r}", todo="Columns: " + ", ".join(sorted(columns)))
    return grammar.compile_sql(expression, columns.get, metadata=metadata or "'{}'")


def _order(spec: QueueSpec, kind: Kind) -> tuple[str, list[Any]]:
    if spec.sort.strip():
        text, _, direction = spec.sort.strip().rpartition(" ")
        if direction not in ("asc", "desc"):
            text, direction = spec.sort, "asc"
        sql, values = _compiled(text, spec, kind)
        return f"{sql} {direction} nulls last, {kind.order}", values
    if spec.seed and spec.kind == "audit":
        return f"md5(concat(?::varchar, {kind.subject_sql})), {kind.order}", [str(spec.seed)]
    return kind.order, []


def _searchable(queue: Queue) -> tuple[str, list[Any]]:
    """SQL of (pos) for members whose texts contain two needles' worth of the same text."""
    match queue.spec.kind:
        case "audit" | "disagreements":
            texts = "contains(lower(o.text), ?) or contains(lower(a.text), ?)"
            join = "join output o on o.output_key = q.key join arrival a using (arrival_key)"
        case "duplicates":
            texts = (
                "contains(lower(coalesce(a.text, o.text)), ?) or contains(lower(coalesce(b.text, p.text)), ?)"
            )
            join = (
                "join edge e on e.edge_key = q.key"
                " left join arrival a on e.field = 'prompt' and a.arrival_key = e.left_key"
                " left join arrival b on e.field = 'prompt' and b.arrival_key = e.right_key"
                " left join output o on e.field = 'output' and o.output_key = e.left_key"
                " left join output p on e.field = 'output' and p.output_key = e.right_key"
            )
        case _:
            texts = "contains(lower(e.payload), ?) or contains(lower(e.kind || ' ' || e.actor), ?)"
            join = "join event e on e.seq = q.key"
    if queue.extents is None:
        return f"select q.pos from scratch.{queue.table} q {join} where ({texts})", []  # noqa: S608
    source = " union all ".join(
        ["select output_key - ? + ? as pos, output_key as key from output where output_key between ? and ?"]
        * len(queue.extents)
    )
    values = [v for first, key, count in queue.extents for v in (key, first, key, key + count - 1)]
    return f"select q.pos from ({source}) q {join} where ({texts})", values  # noqa: S608
