"""The duplicates queue: verified near-duplicate pairs, the largest group first, in it those with the text that is kept.

A member's ``other`` packs what every question about pairs needs: the group's number in the run (1 is the largest), and
per end whether it stands for others and whether it is the test's. So no question looks these up row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.canonical import content_id
from store.grammar import Column
from store.queue_kind import HEAD, REVIEWED, Kind, Member, Search, Seen, Shown, View, both_ends, by_key
from store.records import SEQ_BITS

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
FLAGS = 16  # other = number of the group * 16 + 8 left stands + 4 right stands + 2 left is the test's + 1 right is
# Of the runs that are named (ids with blanks between) the newest that compared each field: a run over the outputs
# leaves the pairs of prompts where they are, as a freeze does.
RUNS = """(select arg_max(c.run_no, c.closed_seq) as run_no, f.field
    from closed_run c, (values ('prompt'), ('output')) f(field) where c.project = ?
    and list_contains(string_split(?, ' '), c.run_id) and json_exists(c.summary, '$.result.' || f.field)
    group by f.field)"""
# Texts and clusters are one integer each here, of either field: a join of two columns takes three times as long.
# A prompt is the test's that arrived in the test split, or that the newest frozen evaluation set has.
_PAIRS = f"""(with r as materialized {RUNS}, k as materialized (
    select cluster * 2 + (field = 'prompt')::int as cluster, subject_key * 2 + (field = 'prompt')::int as at,
        if(field = 'prompt', subject_id, null) as id, representative as stands
    from cluster_member where run_no in (select run_no from r) and (run_no, field) in (select run_no, field from r)),
g as (select cluster, count(*) as size, row_number() over (order by count(*) desc, cluster) as number
    from k group by cluster),
t as (select prompt_id as id from arrivals where project = ? and split = 'test' and prompt_id in (select id from k)
    union select prompt_id from set_member where run_no = (select arg_max(run_no, closed_seq) from closed_run
        where project = ? and stage = 'evaluation')),
m as materialized (select k.at, k.stands, t.id is not null as test, g.size, g.number
    from k join g using (cluster) left join t on t.id = k.id)
select e.*, l.number, l.size, l.stands as left_stands, r.stands as right_stands, l.test as left_test,
    r.test as right_test
from edge e join m l on l.at = e.left_key * 2 + (e.field = 'prompt')::int
    join m r on r.at = e.right_key * 2 + (e.field = 'prompt')::int
where e.run_no in (select run_no from r) and (e.run_no, e.field) in (select run_no, field from r)) e"""  # noqa: S608 - no data
_STANDS = "case when e.left_stands then e.left_key when e.right_stands then e.right_key end"


@dataclass(frozen=True, slots=True)
class Facts:
    """What ``other`` says: the group's number, and per end (left, right) who stands for others and who is the test's."""

    group: int
    stands: tuple[bool, bool]
    test: tuple[bool, bool]

    @property
    def leak(self) -> bool:
        """Whether one is the test's and the other is not."""
        return self.test[0] != self.test[1]

    @property
    def kept_first(self) -> bool:
        """Whether the left text is the one to be read as kept: it stands for others, or neither does."""
        return self.stands[0] or not self.stands[1]


def facts_of(other: int | None) -> Facts:
    """Unpack a member's ``other``.

    >>> facts_of(3 * 16 + 4 + 2)
    Facts(group=3, stands=(False, True), test=(True, False))
    """
    packed = other or 0
    return Facts(
        packed // FLAGS,
        (bool(packed & 8), bool(packed & 4)),
        (bool(packed & 2), bool(packed & 1)),
    )


@dataclass(frozen=True, slots=True)
class _Edge:
    """The texts of an edge's two ends, the splits of their first arrivals, and its columns."""

    texts: tuple[str, str]
    splits: tuple[str, str]
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
    ends = both_ends(cursor, edges.values(), lambda field: [text, "split" if field == "prompt" else "''"])
    found = {}
    for edge_key, edge in edges.items():
        left, right = ends[edge[0], edge[1]], ends[edge[0], edge[2]]
        found[edge_key] = _Edge((left[0], right[0]), (left[1], right[1]), *edge)
    return found


def _subjects(cursor: DuckDBPyConnection, members: Sequence[Member]) -> list[str]:
    found = by_key(cursor, "edge", "edge_key", ("left_id", "right_id"), [key for key, _ in members])
    return [edge_subject(*found[key]) for key, _ in members]


def _rows(cursor: DuckDBPyConnection, view: View, members: Sequence[Member]) -> list[Shown]:
    """Cells: about (group, Jaccard, kind, LEAK), the text that is kept, the other."""
    del view
    edges, shown = _edges(cursor, members, f"left(text, {HEAD})"), []
    for key, other in members:
        edge, facts = edges[key], facts_of(other)
        leak = " LEAK" if facts.leak else ""
        about = f"{facts.group:>5} {_floored(edge.jaccard)} {edge.kind:<10}{leak}"
        texts = edge.texts if facts.kept_first else edge.texts[::-1]
        shown.append(Shown(edge_subject(edge.left_id, edge.right_id), (about, *texts)))
    return shown


def _floored(jaccard: float) -> str:
    """Two digits that never say more than there is.

    >>> _floored(0.9996), _floored(1.0), _floored(0.29)
    ('0.99', '1.00', '0.29')
    """
    return f"{int(round(jaccard * 1e6) // 1e4) / 100:.2f}"


def _details(
    cursor: DuckDBPyConnection, view: View, members: Sequence[Member], seen: Seen
) -> list[dict[str, Any]]:
    del view, seen
    edges = _edges(cursor, members, "text")
    sizes = _sizes(cursor, edges)
    return [_detail(key, edges[key], facts_of(other), sizes[key]) for key, other in members]


def _detail(key: int, edge: _Edge, facts: Facts, sizes: tuple[int, int]) -> dict[str, Any]:
    return {
        "subject": edge_subject(edge.left_id, edge.right_id),
        "key": key,
        "field": edge.field,
        "ids": [edge.left_id, edge.right_id],
        "keys": [edge.left_key, edge.right_key],
        "texts": list(edge.texts),
        "jaccard": edge.jaccard,
        "containment": edge.containment,
        "edit": edge.kind,
        "spans": edge.spans,
        "cluster": facts.group,
        "size": sizes[0],
        "goes": sizes[1],
        "representative": list(facts.stands),
        "splits": list(edge.splits),
        "test": list(facts.test),
        "leak": facts.leak,
    }


def _sizes(cursor: DuckDBPyConnection, edges: dict[int, _Edge]) -> dict[int, tuple[int, int]]:
    """By edge key: how many texts its group has, and for how many of them another one stands."""
    found: dict[int, tuple[int, int]] = {}
    for run_no in {key >> SEQ_BITS for key in edges}:
        mine = {key: edge for key, edge in edges.items() if key >> SEQ_BITS == run_no}
        ends = cursor.execute(
            "select field, subject_key, cluster from cluster_member"
            " where run_no = ? and subject_key in (select unnest(?::bigint[]))",
            [run_no, [edge.left_key for edge in mine.values()]],
        ).fetchall()
        sizes = cursor.execute(
            "select field, cluster, count(*), count(*) filter (where not representative) from cluster_member"
            " where run_no = ? and cluster in (select unnest(?::integer[])) group by field, cluster",
            [run_no, [cluster for _, _, cluster in ends]],
        ).fetchall()
        of = {(field, cluster): (size, goes) for field, cluster, size, goes in sizes}
        group = {(field, key): of[field, cluster] for field, key, cluster in ends}
        found |= {key: group[edge.field, edge.left_key] for key, edge in mine.items()}
    return found


KIND = Kind(
    keys=(
        f"e.edge_key, e.number * {FLAGS} + e.left_stands::int * 8 + e.right_stands::int * 4"
        " + e.left_test::int * 2 + e.right_test::int"
    ),
    source=f" from {_PAIRS} {{mine}} where true",
    values=lambda view: [
        *[view.spec.project, view.spec.run_id],
        *[view.spec.project, view.spec.project],
    ],
    order=f"e.number, e.left_stands = e.right_stands, ({_STANDS}) is null, {_STANDS}, e.edge_key",
    subject=_SUBJECT,
    columns=REVIEWED
    | {
        "jaccard": Column("e.jaccard", "number"),
        "containment": Column("e.containment", "number"),
        "edit": Column("e.kind", "text"),
        "field": Column("e.field", "text"),
        "size": Column("e.size", "number"),
        "cluster": Column("e.number", "number"),
        "leak": Column("(e.left_test <> e.right_test)", "bool"),
        "removes": Column("(e.left_stands <> e.right_stands)", "bool"),
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
    details=_details,
    drawn=False,
)
