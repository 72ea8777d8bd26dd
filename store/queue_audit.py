"""The audit queue: the outputs of one model, in the order they came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from store.difficulty import OF_OUTPUT
from store.grammar import Column
from store.queue_kind import (
    HEAD,
    MINE,
    PROMPT,
    Kind,
    Member,
    Search,
    Seen,
    Shown,
    View,
    by_key,
    prompt_details,
    prompt_heads,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ARRIVAL = " join arrival a using (arrival_key)"  # every output has one
_OUTPUT = (
    "output_id", "arrival_key", "model", "text", "finish_reason", "tokens_out", "latency_us", "logprobs",
)  # fmt: skip


def _subjects(cursor: DuckDBPyConnection, members: Sequence[Member]) -> list[str]:
    found = by_key(cursor, "output", "output_key", ["output_id"], [key for key, _ in members])
    return [found[key][0] for key, _ in members]


def _rows(cursor: DuckDBPyConnection, view: View, members: Sequence[Member]) -> list[Shown]:
    del view
    columns = ("output_id", "arrival_key", f"left(text, {HEAD})")
    outputs = by_key(cursor, "output", "output_key", columns, [key for key, _ in members])
    prompts = prompt_heads(cursor, [row[1] for row in outputs.values()])
    return [Shown(outputs[key][0], (prompts[outputs[key][1]], outputs[key][2])) for key, _ in members]


def _details(
    cursor: DuckDBPyConnection, view: View, members: Sequence[Member], seen: Seen
) -> list[dict[str, Any]]:
    rows = by_key(cursor, "output", "output_key", _OUTPUT, [key for key, _ in members])
    outputs = {key: dict(zip(_OUTPUT, row, strict=True)) for key, row in rows.items()}
    revealed = {key: seen(output["output_id"]) for key, output in outputs.items()}
    shown: dict[int, bool] = {}
    for key, output in outputs.items():  # an arrival of two outputs tells nothing while one of them is blind
        shown[output["arrival_key"]] = shown.get(output["arrival_key"], True) and revealed[key]
    prompts = prompt_details(cursor, shown, view=view)
    checks = _checks(cursor, [key for key in outputs if revealed[key]])
    found = []
    for key, _ in members:
        output = {name: value for name, value in outputs[key].items() if name != "arrival_key"}
        if not revealed[key]:
            output["model"] = output["latency_us"] = None
        found.append({
            "subject": output["output_id"],
            "prompt": prompts[outputs[key]["arrival_key"]],
            "outputs": [output],
            "checks": checks.get(key, []) if revealed[key] else None,
        })  # fmt: skip
    return found


def _checks(cursor: DuckDBPyConnection, keys: Sequence[int]) -> dict[int, list[tuple[str, bool, str]]]:
    """(name, passed, detail) of every check of outputs, in the order they ran."""
    if not keys:
        return {}
    found: dict[int, list[tuple[str, bool, str]]] = {}
    for key, *check in cursor.execute(
        "select c.output_key, c.name, c.passed, c.detail from check_result c join closed_run r using (run_no)"
        " join output o on o.output_key = c.output_key and o.output_id = c.output_id"
        " where c.output_key in (select unnest(?::bigint[])) and o.output_key between ? and ? order by c.check_key",
        [list(keys), min(keys), max(keys)],
    ).fetchall():
        found.setdefault(key, []).append((check[0], check[1], check[2]))
    return found


KIND = Kind(
    keys="o.output_key, null::bigint",
    source=f"from output o{ARRIVAL}"  # noqa: S608 - ours
    " {mine} where o.run_no in (select run_no from closed_run where project = ?) and o.model = ?",
    values=lambda view: [view.spec.project, view.spec.model],
    order="o.output_key",
    subject="o.output_id",
    columns=PROMPT
    | MINE
    | OF_OUTPUT
    | {"output": Column("o.text", "text"), "tokens": Column("o.tokens_out", "number")},
    open_columns={
        "source": Column("a.source", "text"),
        "latency_ms": Column("o.latency_us / 1000.0", "number"),
        "checked": Column(
            "(select bool_and(c.passed) from check_result c join closed_run r using (run_no)"
            " where c.output_key = o.output_key)",
            "bool",
        ),
    },
    metadata="a.metadata",
    # Bounds are stated twice over, since only they let the scans skip what lies outside of this stretch.
    search=Search(
        "with q as materialized ({source}), o as materialized (select q.pos, f.arrival_key, f.text"
        "   from q join output f on f.output_key = q.key"
        "   where f.output_key between (select min(key) from q) and (select max(key) from q))"
        " select {best}(o.pos) from o join arrival a using (arrival_key)"
        " where arrival_key between (select min(arrival_key) from o) and (select max(arrival_key) from o)"
        " and ({found})",
        ("o.text", "a.text"),
    ),
    subjects=_subjects,
    rows=_rows,
    details=_details,
    spare=((ARRIVAL, "a"),),
)
