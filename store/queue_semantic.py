"""The queue of pairs that may mean the same: suggested by a model, not verified; what is new first, then by cosine.

They are no near-duplicates: a subject has another name here than in the queue of verified pairs, and no verdict of
one queue counts in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.canonical import content_id
from store.grammar import Column
from store.queue_kind import (
    HEAD,
    REASON,
    REVIEWED,
    Kind,
    Member,
    Search,
    Seen,
    Shown,
    View,
    both_ends,
    by_key,
)
from store.rows import one_value

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def meaning_subject(left_id: str, right_id: str) -> str:
    """The subject of a verdict on a suggested pair, whichever way round it is named."""
    return content_id("meaning", *sorted((left_id, right_id)))


# The same in SQL (ids are hex, so the JSON needs no escapes).
_SUBJECT = (
    """left(sha256('["meaning","' || least(s.left_id, s.right_id) || '","' || greatest(s.left_id, s.right_id)"""
    """ || '"]'), 32)"""
)
_COLUMNS = ("field", "left_key", "right_key", "left_id", "right_id", "cosine", "near", "leak")


@dataclass(frozen=True, slots=True)
class _Pair:
    """The texts of a pair and its columns."""

    texts: tuple[str, str]
    field: str
    left_key: int
    right_key: int
    left_id: str
    right_id: str
    cosine: float
    near: bool
    leak: bool


def _pairs(cursor: DuckDBPyConnection, members: Sequence[Member], text: str) -> dict[int, _Pair]:
    found = by_key(cursor, "suggestion", "suggestion_key", _COLUMNS, [key for key, _ in members])
    ends = both_ends(cursor, found.values(), lambda _field: [text])
    return {
        key: _Pair((ends[pair[0], pair[1]][0], ends[pair[0], pair[2]][0]), *pair)
        for key, pair in found.items()
    }


def _subjects(cursor: DuckDBPyConnection, members: Sequence[Member]) -> list[str]:
    found = by_key(cursor, "suggestion", "suggestion_key", ("left_id", "right_id"), [k for k, _ in members])
    return [meaning_subject(*found[key]) for key, _ in members]


def _rows(cursor: DuckDBPyConnection, view: View, members: Sequence[Member]) -> list[Shown]:
    del view
    pairs, shown = _pairs(cursor, members, f"left(text, {HEAD})"), []
    for key, _ in members:
        pair = pairs[key]
        about = f"{pair.cosine:.3f} {'known' if pair.near else 'new':<5} {'LEAK' if pair.leak else '':<4}"
        shown.append(Shown(meaning_subject(pair.left_id, pair.right_id), (about, *pair.texts)))
    return shown


def _details(
    cursor: DuckDBPyConnection, view: View, members: Sequence[Member], seen: Seen
) -> list[dict[str, Any]]:
    del seen
    pairs = _pairs(cursor, members, "text")
    return [_detail(cursor, view.spec.project, pairs[key]) for key, _ in members]


def _detail(cursor: DuckDBPyConnection, project: str, pair: _Pair) -> dict[str, Any]:
    ids = [pair.left_id, pair.right_id]
    splits = [_splits(cursor, project, pair.field, i) for i in ids]
    return {
        "subject": meaning_subject(*ids),
        "field": pair.field,
        "ids": ids,
        "keys": [pair.left_key, pair.right_key],
        "texts": list(pair.texts),
        "cosine": pair.cosine,
        "near": pair.near,
        "splits": splits,
        "leak": pair.leak,
        # Whoever calls them the same keeps this one: the test's, else the older.
        "kept": int("test" in splits[1] and "test" not in splits[0]),
    }


def _splits(cursor: DuckDBPyConnection, project: str, field: str, of: str) -> list[str]:
    """In which splits a prompt stands, or the prompt of an output."""
    prompt = "?" if field == "prompt" else "(select any_value(prompt_id) from output where output_id = ?)"
    sql = (
        "select list(distinct split order by split) from arrivals"  # noqa: S608 - names of ours
        f" where project = ? and prompt_id = {prompt}"
    )
    found: list[str] = one_value(cursor, sql, [project, of]) or []
    return found


KIND = Kind(
    keys="s.suggestion_key, null::bigint",
    source="from suggestion s join closed_run r using (run_no) {mine} where r.project = ? and r.run_id = ?",
    values=lambda view: [view.spec.project, view.spec.run_id],
    order="s.suggestion_key",
    subject=_SUBJECT,
    columns=REVIEWED
    | REASON
    | {
        "verdict": Column("m.verdict", "text"),
        "cosine": Column("s.cosine", "number"),
        "near": Column("s.near", "bool"),
        "leak": Column("s.leak", "bool"),
        "field": Column("s.field", "text"),
    },
    search=Search(
        "with q as ({source}) select {best}(q.pos) from q join suggestion s on s.suggestion_key = q.key"
        " left join arrival a on s.field = 'prompt' and a.arrival_key = s.left_key"
        " left join arrival b on s.field = 'prompt' and b.arrival_key = s.right_key"
        " left join output o on s.field = 'output' and o.output_key = s.left_key"
        " left join output p on s.field = 'output' and p.output_key = s.right_key where {found}",
        ("a.text", "b.text", "o.text", "p.text"),
    ),
    subjects=_subjects,
    rows=_rows,
    details=_details,
    drawn=False,
)
