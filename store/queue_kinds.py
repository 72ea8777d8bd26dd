"""The kinds of queue: which rows are members, which columns a filter may name, what a row and a detail show.

To add one: a ``Kind`` here, and a line in ``KINDS``. Members are (key, other) pairs of packed keys in order;
windows and details then fetch their rows by key, so that zone maps prune the scan.

A blind queue names no column that tells the source of an output, and its details hold none until the
caller has judged the subject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from store.canonical import content_id
from store.errors import InputError
from store.grammar import Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HEAD = 240  # characters of a text that a list row can show

Rows = dict[int, tuple[Any, ...]]


class QueueSpec(msgspec.Struct, frozen=True):
    """What a queue is of. ``filter`` and ``sort`` are in the grammar; ``seed`` > 0 draws a random order."""

    kind: str
    project: str
    filter: str = ""
    sort: str = ""
    seed: int = 0
    blind: bool = True
    model: str = ""  # audit: whose outputs; disagreements: the student
    teacher: str = ""  # disagreements
    metric: str = ""  # disagreements
    run_id: str = ""  # duplicates, disagreements: which run


@dataclass(frozen=True, slots=True)
class Shown:
    """A list row before the marks: its subject and its cells."""

    subject: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of queue; every SQL text takes ``?`` parameters only."""

    members: str  # … where {filter} order by {order}
    values: Callable[[QueueSpec], list[Any]]
    order: str  # default order; named, because it is also what makes import order cheap
    subject_sql: str  # the id that verdicts name, where a column holds it
    columns: dict[str, Column]
    open_columns: dict[str, Column]  # only where the queue is not blind
    rows: Callable[[DuckDBPyConnection, QueueSpec, Sequence[tuple[int, int | None]], str], list[Shown]]
    detail: Callable[[DuckDBPyConnection, QueueSpec, tuple[int, int | None], str, bool], dict[str, Any]]


def by_key(cursor: DuckDBPyConnection, table: str, key: str, columns: str, keys: Sequence[int]) -> Rows:
    """Rows of ``table`` by packed key. Bounds first (zone maps), then membership unless the keys are a range."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    sql = f"select {key}, {columns} from {table} where {key} between ? and ?"  # noqa: S608 - our names only
    values: list[Any] = [wanted[0], wanted[-1]]
    if wanted[-1] - wanted[0] + 1 != len(wanted):
        sql += f" and {key} in (select unnest(?::bigint[]))"
        values.append(wanted)
    return {row[0]: row[1:] for row in cursor.execute(sql, values).fetchall()}


# ---- audit: the outputs of one model
def _audit_rows(
    cursor: DuckDBPyConnection, spec: QueueSpec, members: Sequence[tuple[int, int | None]], me: str
) -> list[Shown]:
    del spec, me
    outputs = by_key(
        cursor, "output", "output_key", f"output_id, arrival_key, left(text, {HEAD})", [k for k, _ in members]
    )
    prompts = by_key(
        cursor, "arrival", "arrival_key", f"left(text, {HEAD})", [row[1] for row in outputs.values()]
    )
    return [Shown(outputs[k][0], (prompts[outputs[k][1]][0], outputs[k][2])) for k, _ in members]


ARRIVAL_COLUMNS = "text, messages, reference, source, split, metadata, prompt_id, file_row"


def _output_dict(row: tuple[Any, ...]) -> dict[str, Any]:
    names = (
        "output_id",
        "arrival_key",
        "model",
        "text",
        "finish_reason",
        "tokens_out",
        "latency_us",
        "logprobs",
    )
    return dict(zip(names, row, strict=True))


OUTPUT_COLUMNS = "output_id, arrival_key, model, text, finish_reason, tokens_out, latency_us, logprobs"


def _arrival_dict(row: tuple[Any, ...], revealed: bool) -> dict[str, Any]:
    names = ("text", "messages", "reference", "source", "split", "metadata", "prompt_id", "file_row")
    found = dict(zip(names, row, strict=True))
    if not revealed:
        found["source"] = None
    return found


def _audit_detail(
    cursor: DuckDBPyConnection, spec: QueueSpec, member: tuple[int, int | None], me: str, revealed: bool
) -> dict[str, Any]:
    del spec, me
    output = _output_dict(by_key(cursor, "output", "output_key", OUTPUT_COLUMNS, [member[0]])[member[0]])
    key = output.pop("arrival_key")
    arrival = _arrival_dict(by_key(cursor, "arrival", "arrival_key", ARRIVAL_COLUMNS, [key])[key], revealed)
    checks = None
    if revealed:
        checks = cursor.execute(
            "select c.name, c.passed, c.detail from check_result c join closed_run r using (run_no)"
            " where c.output_key = ? and c.output_id = ? order by c.check_key",
            [member[0], output["output_id"]],
        ).fetchall()
    else:
        output["model"] = output["latency_us"] = None
    return {"subject": output["output_id"], "prompt": arrival, "outputs": [output], "checks": checks}


# ---- disagreements: evaluation prompts on which the metric values differ
def disagreement_subject(prompt_id: str, teacher_output: str, student_output: str) -> str:
    """The subject of a disagreement verdict: the prompt and the exact two outputs."""
    return content_id("disagreement", prompt_id, teacher_output, student_output)


def student_first(seed: int, subject: str, me: str) -> bool:
    """Whether this reviewer sees the student on the left: random, and the same whenever it is shown again."""
    return sha256(f"{seed}:{subject}:{me}".encode()).digest()[0] & 1 == 1


def _disagreement_pairs(
    cursor: DuckDBPyConnection,
    spec: QueueSpec,
    members: Sequence[tuple[int, int | None]],
    columns: str,
    me: str,
) -> list[tuple[str, int, tuple[Any, ...], tuple[Any, ...], bool]]:
    keys = [k for pair in members for k in pair if k is not None]
    rows = by_key(cursor, "output", "output_key", f"output_id, arrival_key, prompt_id, {columns}", keys)
    pairs = []
    for student_key, teacher_key in members:
        student, teacher = rows[student_key], rows[teacher_key or 0]
        subject = disagreement_subject(student[2], teacher[0], student[0])
        swap = student_first(spec.seed, subject, me)
        left, right = (student, teacher) if swap else (teacher, student)
        pairs.append((subject, student[1], left, right, swap))
    return pairs


def _disagreement_rows(
    cursor: DuckDBPyConnection, spec: QueueSpec, members: Sequence[tuple[int, int | None]], me: str
) -> list[Shown]:
    pairs = _disagreement_pairs(cursor, spec, members, f"left(text, {HEAD})", me)
    prompts = by_key(cursor, "arrival", "arrival_key", f"left(text, {HEAD})", [p[1] for p in pairs])
    return [Shown(subject, (prompts[key][0], left[3], right[3])) for subject, key, left, right, _ in pairs]


def _disagreement_detail(
    cursor: DuckDBPyConnection, spec: QueueSpec, member: tuple[int, int | None], me: str, revealed: bool
) -> dict[str, Any]:
    (subject, key, left, right, swap) = _disagreement_pairs(
        cursor, spec, [member], "text, model, latency_us", me
    )[0]
    arrival = _arrival_dict(by_key(cursor, "arrival", "arrival_key", ARRIVAL_COLUMNS, [key])[key], revealed)
    outputs = []
    for row, role in ((left, "student" if swap else "teacher"), (right, "teacher" if swap else "student")):
        shown = {"output_id": row[0], "text": row[3], "model": None, "role": None}
        if revealed:
            shown |= {"model": row[4], "role": role}
        outputs.append(shown)
    return {"subject": subject, "prompt": arrival, "outputs": outputs, "checks": None}


# ---- duplicates: verified edges, largest cluster first
def edge_subject(left_id: str, right_id: str) -> str:
    """The subject of a verdict on a pair, whichever way round it is named."""
    return content_id("edge", *sorted((left_id, right_id)))


def _edge_sides(cursor: DuckDBPyConnection, members: Sequence[tuple[int, int | None]], columns: str) -> Rows:
    edges = by_key(
        cursor, "edge", "edge_key", "field, left_key, right_key, left_id, right_id, jaccard, containment, kind, spans",
        [k for k, _ in members],
    )  # fmt: skip
    tables = {"prompt": ("arrival", "arrival_key"), "output": ("output", "output_key")}
    texts: dict[tuple[str, int], tuple[Any, ...]] = {}
    for field, (table, key) in tables.items():
        wanted = [k for edge in edges.values() if edge[0] == field for k in edge[1:3]]
        texts |= {(field, k): row for k, row in by_key(cursor, table, key, columns, wanted).items()}
    return {k: (*edge, texts[edge[0], edge[1]], texts[edge[0], edge[2]]) for k, edge in edges.items()}


def _edge_rows(
    cursor: DuckDBPyConnection, spec: QueueSpec, members: Sequence[tuple[int, int | None]], me: str
) -> list[Shown]:
    del spec, me
    edges = _edge_sides(cursor, members, f"left(text, {HEAD})")
    shown = []
    for key, cluster in members:
        edge = edges[key]
        about = f"{cluster:>5} {edge[5]:.2f} {edge[7]:<10}"
        shown.append(Shown(edge_subject(edge[3], edge[4]), (about, edge[9][0], edge[10][0])))
    return shown


def _edge_detail(
    cursor: DuckDBPyConnection, spec: QueueSpec, member: tuple[int, int | None], me: str, revealed: bool
) -> dict[str, Any]:
    del me, revealed
    edge = _edge_sides(cursor, [member], "text")[member[0]]
    field, left_key, right_key, left_id, right_id = edge[:5]
    found = cursor.execute(
        "select m.subject_id, m.representative from cluster_member m join closed_run r using (run_no)"
        " where r.run_id = ? and m.cluster = ? and m.field = ? order by m.member_key",
        [spec.run_id, member[1], field],
    ).fetchall()
    split = "select list(distinct split order by split) from arrivals where project = ? and prompt_id = ?"
    splits = [
        (cursor.execute(split, [spec.project, i]).fetchone() or ([],))[0] or [] for i in (left_id, right_id)
    ]
    return {
        "subject": edge_subject(left_id, right_id),
        "field": field,
        "ids": [left_id, right_id],
        "keys": [left_key, right_key],
        "texts": [edge[9][0], edge[10][0]],
        "jaccard": edge[5],
        "containment": edge[6],
        "edit": edge[7],
        "spans": edge[8],
        "cluster": member[1],
        "size": len(found),
        "representative": [dict(found).get(i, False) for i in (left_id, right_id)],
        "splits": splits,
        "leak": field == "prompt" and "test" in splits[0] + splits[1] and set(splits[0]) != set(splits[1]),
    }


# ---- ledger: the events themselves
def _event_rows(
    cursor: DuckDBPyConnection, spec: QueueSpec, members: Sequence[tuple[int, int | None]], me: str
) -> list[Shown]:
    del spec, me
    columns = f"id, at_us, actor, claimed, kind, left(payload, {HEAD})"
    rows = by_key(cursor, "event", "seq", columns, [k for k, _ in members])
    shown = []
    for key, _ in members:
        act_id, at_us, actor, claimed, kind, payload = rows[key]
        shown.append(
            Shown(act_id, (str(key), str(at_us), f"{actor}/{claimed}" if claimed else actor, kind, payload))
        )
    return shown


def _event_detail(
    cursor: DuckDBPyConnection, spec: QueueSpec, member: tuple[int, int | None], me: str, revealed: bool
) -> dict[str, Any]:
    del spec, me, revealed
    names = ("id", "project", "kind", "actor", "claimed", "at_us", "payload", "previous", "hash")
    row = by_key(cursor, "event", "seq", ", ".join(names), [member[0]])[member[0]]
    return {"subject": row[0], "seq": member[0], **dict(zip(names, row, strict=True))}


# The same ids as ``disagreement_subject`` and ``edge_subject``, in SQL (ids are hex, so the JSON needs no escapes).
_DISAGREEMENT_SUBJECT = """left(sha256('["disagreement","' || s.prompt_id || '","' || ot.output_id || '","' || os.output_id || '"]'), 32)"""
_EDGE_SUBJECT = """left(sha256('["edge","' || least(e.left_id, e.right_id) || '","' || greatest(e.left_id, e.right_id) || '"]'), 32)"""

_TEXT = {
    "prompt": Column("a.text", "text"),
    "text": Column("a.text", "text"),
    "reference": Column("a.reference", "text"),
    "split": Column("a.split", "text"),
}
_MINE = {
    "reviewed": Column("m.subject is not null", "bool"),
    "flagged": Column("coalesce(m.verdict = 'bad', false)", "bool"),
    "unsure": Column("coalesce(m.verdict = 'unsure', false)", "bool"),
    "verdict": Column("m.verdict", "text"),
    "reason": Column("m.reason", "number"),
}

KINDS: dict[str, Kind] = {
    "audit": Kind(
        members="select o.output_key, null from output o join arrival a using (arrival_key)"
        " left join {mine} m on m.subject = o.output_id"
        " where o.run_no in (select run_no from closed_run where project = ?) and o.model = ?",
        values=lambda spec: [spec.project, spec.model],
        order="o.output_key",
        subject_sql="o.output_id",
        columns=_TEXT
        | _MINE
        | {"output": Column("o.text", "text"), "tokens": Column("o.tokens_out", "number")},
        open_columns={
            "source": Column("a.source", "text"),
            "latency_ms": Column("o.latency_us / 1000.0", "number"),
            "checked": Column(
                "(select bool_and(c.passed) from check_result c where c.output_key = o.output_key)", "bool"
            ),
        },
        rows=_audit_rows,
        detail=_audit_detail,
    ),
    "disagreements": Kind(
        members="select s.output_key, t.output_key from scores s"
        " join scores t on t.run_id = s.run_id and t.arrival_key = s.arrival_key and t.metric = s.metric"
        " join arrival a on a.arrival_key = s.arrival_key"
        " join output os on os.output_key = s.output_key join output ot on ot.output_key = t.output_key"
        f" left join {{mine}} m on m.subject = {_DISAGREEMENT_SUBJECT}"
        " where s.project = ? and s.run_id = ? and s.model = ? and t.model = ? and s.metric = ? and s.value <> t.value",
        values=lambda spec: [spec.project, spec.run_id, spec.model, spec.teacher, spec.metric],
        order="md5(s.prompt_id)",
        subject_sql=_DISAGREEMENT_SUBJECT,
        columns=_TEXT | {"reviewed": _MINE["reviewed"], "reason": _MINE["reason"]},
        open_columns={
            "teacher_right": Column("t.value > s.value", "bool"),
            "student_right": Column("s.value > t.value", "bool"),
            "source": Column("a.source", "text"),
        },
        rows=_disagreement_rows,
        detail=_disagreement_detail,
    ),
    "duplicates": Kind(
        members="select e.edge_key, c.cluster from edge e join closed_run r using (run_no)"
        " join (select *, count(*) over (partition by run_no, field, cluster) as size from cluster_member) c"
        "   on c.run_no = e.run_no and c.field = e.field and c.subject_key = e.left_key"
        f" left join {{mine}} m on m.subject = {_EDGE_SUBJECT}"
        " where r.project = ? and r.run_id = ?",
        values=lambda spec: [spec.project, spec.run_id],
        order="c.size desc, c.field, c.cluster, e.edge_key",
        subject_sql=_EDGE_SUBJECT,
        columns={
            "jaccard": Column("e.jaccard", "number"),
            "containment": Column("e.containment", "number"),
            "edit": Column("e.kind", "text"),
            "field": Column("e.field", "text"),
            "size": Column("c.size", "number"),
            "reviewed": _MINE["reviewed"],
        },
        open_columns={},
        rows=_edge_rows,
        detail=_edge_detail,
    ),
    "ledger": Kind(
        members="select e.seq, null from event e left join {mine} m on false where e.project = ?",
        values=lambda spec: [spec.project],
        order="e.seq",
        subject_sql="e.id",
        columns={
            "kind": Column("e.kind", "text"),
            "actor": Column("e.actor", "text"),
            "payload": Column("e.payload", "text"),
        },
        open_columns={},
        rows=_event_rows,
        detail=_event_detail,
    ),
}


def kind_of(spec: QueueSpec) -> Kind:
    """The kind of a queue; raises InputError where there is none of that name."""
    if spec.kind not in KINDS:
        raise InputError(f"no queue of kind {spec.kind!r}", todo="Known: " + ", ".join(KINDS))
    return KINDS[spec.kind]
