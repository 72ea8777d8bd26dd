"""The adjudication queue: samples on which reviewers contradict each other, or were unsure, and nobody settled yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from store.queue_audit import KIND as AUDIT
from store.queue_kind import Member, Seen, View

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FALLBACK = (("ok", None), ("bad", 1))  # what can be taken where nobody said it

# What oneself settled stays in sight; what others settled does not. Of a plan, only what it drew.
_CONTESTED = """
    select min(o.output_key) as output_key from (
        select subject from verdicts_then(?, null) where queue = 'audit' and not bulk group by subject
        having count(distinct verdict) > 1 or bool_or(verdict = 'unsure')) c
    join outputs o on o.output_id = c.subject
    where o.project = ? and not exists (
        select 1 from current_verdict s where s.project = o.project and s.queue = 'adjudicate' and s.subject = c.subject
            and s.verdict <> 'escalate' and s.actor <> ?)
        and (? = '' or c.subject in (select output_id from draws where run_id = ?))
    group by c.subject
"""


def _values(view: View) -> list[Any]:
    spec = view.spec
    return [spec.project, spec.project, view.reviewer, spec.plan, spec.plan]


def _detail(cursor: DuckDBPyConnection, view: View, member: Member, seen: Seen) -> dict[str, Any]:
    found = AUDIT.detail(cursor, view, member, seen)
    said = cursor.execute(
        "select verdict, reason, count(*) from current_verdict where project = ? and queue = 'audit' and subject = ?"
        " and not bulk and verdict <> 'unsure' group by all order by count(*) desc, verdict desc, reason",
        [view.spec.project, found["subject"]],
    ).fetchall()
    options = list(said)
    for verdict, reason in FALLBACK:
        if all(verdict != given for given, _, _ in said):
            options.append((verdict, reason, 0))
    unsure = cursor.execute(
        "select count(*) from current_verdict where project = ? and queue = 'audit' and subject = ?"
        " and not bulk and verdict = 'unsure'",
        [view.spec.project, found["subject"]],
    ).fetchall()[0][0]
    return found | {"options": options, "unsure": unsure}


KIND = replace(
    AUDIT,
    source=f"from ({_CONTESTED}) c join output o on o.output_key = c.output_key"
    " join arrival a using (arrival_key) {mine} where true",
    values=_values,
    detail=_detail,
    drawn=False,
)
