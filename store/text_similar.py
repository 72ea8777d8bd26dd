"""What is like a text: the nearest outputs of a model, by the index, or by a scan of the first rows without one."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

from store.rows import one_row
from store.text_index import Snapshot
from store.text_query import SIMILAR_TERMS, Scope, nearest_outputs
from store.text_words import FOLD, folded, words_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_SIMILAR = 200
MOST_SCANNED = 50_000
LONGEST_SAMPLE = 20_000  # characters of a sample that are looked at
_id = re.compile(r"[0-9a-f]{32}")
_SAMPLE = FOLD.format("coalesce(a.text, '') || ' ' || o.text")
_SCAN = f"""
    with o as materialized (
        select output_key, arrival_key, text from output
        where model = ? and run_no in (select run_no from closed_run where project = ?) order by output_key limit ?),
    t as materialized (
        select output_key, {_SAMPLE} as text from o left join (
            select arrival_key, text from arrival
            where arrival_key between (select min(arrival_key) from o) and (select max(arrival_key) from o)) a
        using (arrival_key)),
    w as (select unnest(?::varchar[]) as word, unnest(?::double[]) as weight)
    select output_key, sum(weight) / ? as score from t join w on contains(t.text, w.word)
    group by all order by score desc, output_key limit ?
"""  # noqa: S608 - ours


def similar_keys(
    cursor: DuckDBPyConnection,
    snapshot: Snapshot | None,
    *,
    project: str,
    model: str,
    text: str,
    limit: int = MOST_SIMILAR,
) -> list[tuple[int, float]]:
    """Outputs of a model most like ``text``, best first: (output key, score from 0 to 1), at most 200.

    ``text``: an output's id, which means that output with its prompt, itself left out; or any text. Without an
    index the first 50,000 outputs are compared. Raises IndexDamaged.
    """
    limit = min(limit, MOST_SIMILAR)
    own, sample = _sample(cursor, project, text)
    words = folded(cursor, sample[:LONGEST_SAMPLE])
    if snapshot is not None:
        found = nearest_outputs(snapshot, Scope(project, (model,)), words, limit + 1)
    else:
        found = _scanned(cursor, project, model, words, limit + 1)
    return [pair for pair in found if pair[0] != own][:limit]


def _sample(cursor: DuckDBPyConnection, project: str, text: str) -> tuple[int, str]:
    """Key and texts of the output that an id names; 0 and the text itself where it names none."""
    if _id.fullmatch(text):
        found = one_row(
            cursor,
            "select o.output_key, coalesce(a.text, '') || ' ' || o.text from outputs o"
            " left join arrival a on a.arrival_key = o.arrival_key where o.project = ? and o.output_id = ?"
            " order by 1 limit 1",
            [project, text],
        )
        if found is not None:
            return found[0], found[1]
    return 0, text


def _scanned(
    cursor: DuckDBPyConnection, project: str, model: str, text: str, limit: int
) -> list[tuple[int, float]]:
    """The share of the sample's words that an output has, long words and those that it repeats counting for more."""
    counts = Counter(word for word in words_of(text) if len(word) > 1)
    weights = {word: (1 + math.log(n)) * math.log(1 + len(word)) for word, n in counts.items()}
    best = sorted(weights, key=lambda word: (-weights[word], word))[:SIMILAR_TERMS]
    whole = sum(weights[word] for word in best)
    if not best:
        return []
    rows = cursor.execute(
        _SCAN, [model, project, MOST_SCANNED, best, [weights[word] for word in best], whole, limit]
    ).fetchall()
    return [(key, min(1.0, score)) for key, score in rows]
