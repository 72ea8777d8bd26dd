"""The duplicates queue: verified near-duplicate pairs, largest cluster first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.canonical import content_id
from store.grammar import Column
from store.queue_kind import HEAD, REVIEWED, Kind, Member, Search, Seen, Shown, View, by_key
from store.rows import one_value

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def edge_subject(left_id: str, right_id: str) -> str:
    """The subject of a verdict on a pair, whichever way round it is named."""
    return content_id("edge", *sorted((left_id, right_id)))


# The same in SQL (ids are hex, so the JSON needs no escapes).
_SUBJECT = (
    """left(sha256('["edge","' || least(e.left_id, e.right_id) || '","' || greatest(e.left_id, e.right_id)"""
    """ || '"]'), 32)"""
)
_EDGE = ("field", "left_key", "right_key", "left_id", "right_id", "jaccard", "containment", "kind", "spans")
_TABLES = {"prompt": ("arrival", "arrival_key"), "output": ("output", "output_key")}


@dataclass(frozen=True, slots=True)
class _Edge:
    """The texts of an edge's two ends, and its columns."""

    texts: tuple[str, str]
    field: str
    left_key: int
    right_key: int
    left_id: str
    right_id: str
    jaccard: float
    containment: float
    kind: str
    spans: str


def _edges(cursor: DuckDBPyConnection, members: Sequence[Member], text: str) -> dict[int, _Edge]:
    edges = by_key(cursor, "edge", "edge_key", _EDGE, [key for key, _ in members])
    texts: dict[tuple[str, int], str] = {}
    for field, (table, key) in _TABLES.items():
        wanted = [end for edge in edges.values() if edge[0] == field for end in edge[1:3]]
        texts |= {(field, k): row[0] for k, row in by_key(cursor, table, key, [text], wanted).items()}
    return {
        edge_key: _Edge((texts[edge[0], edge[1]], texts[edge[0], edge[2]]), *edge)
        for edge_key, edge in edges.items()
    }


def _subjects(cursor: DuckDBPyConnection, members: Sequence[Member]) -> list[str]:
    found = by_key(cursor, "edge", "edge_key", ("left_id", "right_id"), [key for key, _ in members])
    return [edge_subject(*found[key]) for key, _ in members]


def _rows(cursor: DuckDBPyConnection, view: View, members: Sequence[Member]) -> list[Shown]:
    del view
    edges, shown = _edges(cursor, members, f"left(text, {HEAD})"), []
    for key, cluster in members:
        edge = edges[key]
        about = f"{cluster:>5} {edge.jaccard:.2f} {edge.kind:<10}"
        shown.append(Shown(edge_subject(edge.left_id, edge.right_id), (about, *edge.texts)))
    return shown


def _detail(cursor: DuckDBPyConnection, view: View, member: Member, seen: Seen) -> dict[str, Any]:
    del seen
    edge = _edges(cursor, [member], "text")[member[0]]
    found = cursor.execute(
        "select m.subject_id, m.representative from cluster_member m join closed_run r using (run_no)"
        " where r.run_id = ? and m.cluster = ? and m.field = ? order by m.member_key",
        [view.spec.run_id, member[1], edge.field],
    ).fetchall()
    ids = [edge.left_id, edge.right_id]
    splits = [_splits(cursor, view.spec.project, i) for i in ids]
    return {
        "subject": edge_subject(*ids),
        "field": edge.field,
        "ids": ids,
        "keys": [edge.left_key, edge.right_key],
        "texts": list(edge.texts),
        "jaccard": edge.jaccard,
        "containment": edge.containment,
        "edit": edge.kind,
        "spans": edge.spans,
        "cluster": member[1],
        "size": len(found),
        "representative": [dict(found).get(i, False) for i in ids],
        "splits": splits,
        "leak": edge.field == "prompt"
        and "test" in splits[0] + splits[1]
        and set(splits[0]) != set(splits[1]),
    }


def _splits(cursor: DuckDBPyConnection, project: str, prompt_id: str) -> list[str]:
    sql = "select list(distinct split order by split) from arrivals where project = ? and prompt_id = ?"
    found: list[str] = one_value(cursor, sql, [project, prompt_id]) or []
    return found


KIND = Kind(
    keys="e.edge_key, c.cluster::bigint",
    source="from edge e join closed_run r using (run_no)"
    " join (select *, count(*) over (partition by run_no, field, cluster) as size from cluster_member) c"
    "   on c.run_no = e.run_no and c.field = e.field and c.subject_key = e.left_key"
    " {mine} where r.project = ? and r.run_id = ?",
    values=lambda view: [view.spec.project, view.spec.run_id],
    order="c.size desc, c.field, c.cluster, e.edge_key",
    subject=_SUBJECT,
    columns=REVIEWED
    | {
        "jaccard": Column("e.jaccard", "number"),
        "containment": Column("e.containment", "number"),
        "edit": Column("e.kind", "text"),
        "field": Column("e.field", "text"),
        "size": Column("c.size", "number"),
    },
    search=Search(
        "with q as ({source}) select {best}(q.pos) from q join edge e on e.edge_key = q.key"
        " left join arrival a on e.field = 'prompt' and a.arrival_key = e.left_key"
        " left join arrival b on e.field = 'prompt' and b.arrival_key = e.right_key"
        " left join output o on e.field = 'output' and o.output_key = e.left_key"
        " left join output p on e.field = 'output' and p.output_key = e.right_key where {found}",
        ("a.text", "b.text", "o.text", "p.text"),
    ),
    subjects=_subjects,
    rows=_rows,
    details=lambda cursor, view, members, seen: [_detail(cursor, view, m, seen) for m in members],
    drawn=False,
)
