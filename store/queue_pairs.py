"""Questions about an open queue of pairs: how many groups, leaks and removals; the next group; where a pair stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import duckdb

from store.errors import InputError
from store.one_queue import Queue, stretches
from store.queue_duplicates import FLAGS, KIND, RUNS, facts_of
from store.session import Session

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_STEPS = 100  # groups that one question goes on


def pair_counts(session: Session, queue: str) -> dict[str, int]:
    """Of the pairs of a queue: groups, leaks, texts that go along them; and ``of``, the groups of the whole runs."""
    found = _pairs(session, queue)
    rows = _asked(
        session.cursor, found,
        f"select count(distinct other // {FLAGS}), count(*) filter (where other & 2 <> 2 * (other & 1)) from {{pairs}}",  # noqa: S608 - no data
    )  # fmt: skip
    gone = _asked(
        session.cursor, found,
        "select count(distinct (e.field, if(q.other & 8 = 8, e.right_key, e.left_key))) from {pairs} q"
        " join edge e on e.edge_key = q.key where (q.other & 8 = 8) <> (q.other & 4 = 4)",
    )  # fmt: skip
    spec = found.view.spec
    sql = f"select count(distinct (field, cluster)) from cluster_member where (run_no, field) in (select run_no, field from {RUNS})"  # noqa: S608 - no data
    every = session.cursor.execute(sql, [spec.project, spec.run_id]).fetchall()
    return {"groups": rows[0], "leaks": rows[1], "goes": gone[0], "of": every[0][0]}


def next_group(session: Session, queue: str, position: int, step: int) -> int | None:
    """The first row of the next group (``step`` 1); of this one, or from there of the one before it (-1).

    More steps at once go as far as there are groups; None where there is none that way.
    """
    found = _pairs(session, queue)
    at: int | None = None
    for _ in range(min(abs(step), MOST_STEPS)):
        further = _begin(session.cursor, found, position if at is None else at, 1 if step > 0 else -1)
        if further is None:
            break
        at = further
    return at


def _begin(cursor: DuckDBPyConnection, queue: Queue, position: int, step: int) -> int | None:
    """The nearest first row of a group beyond a position."""
    for low, high in stretches(queue.length, position, step, first=256, most=16_384):
        start = max(0, low - 1)
        groups = [facts_of(other).group for _, other in queue.members(cursor, start, high)]
        begins = [start + i for i in range(1, len(groups)) if groups[i] != groups[i - 1]]
        begins = [0, *begins] if low == 0 and step < 0 else begins
        if begins:
            return begins[0] if step > 0 else begins[-1]
    return None


def pair_place(session: Session, queue: str, key: int, group: int) -> int:
    """Where a pair stands in a queue; where it is not there, its group or what comes after that."""
    sql = f"select min(pos) filter (where key = ?), min(pos) filter (where other // {FLAGS} >= ?) from {{pairs}}"  # noqa: S608 - no data
    here, near = _asked(session.cursor, _pairs(session, queue), sql, [key, group])
    return int(near or 0) if here is None else int(here)


def _pairs(session: Session, queue: str) -> Queue:
    found = session.shared.queues.get(queue, session.who)
    if found.kind is not KIND:
        raise InputError(f"queue {queue} is not of pairs", todo="Open one of kind duplicates.")
    return found


def _asked(
    cursor: DuckDBPyConnection, queue: Queue, sql: str, values: list[Any] | None = None
) -> tuple[Any, ...]:
    """The one row of a question over ``{pairs}``. Raises InputError where the queue was closed meanwhile."""
    try:
        row: tuple[Any, ...] = cursor.execute(sql.format(pairs=queue.table), values or []).fetchall()[0]
    except duckdb.CatalogException as error:
        raise InputError(f"queue {queue.id} is not open", todo="Open it again.") from error
    return row


PAIR_OPERATIONS: dict[str, Callable[..., Any]] = {
    "pair_counts": pair_counts,
    "next_group": next_group,
    "pair_place": pair_place,
}
