"""The audit queue of what is most like a text, nearest first."""

from __future__ import annotations

from dataclasses import replace

from store.queue_audit import KIND as AUDIT

KIND = replace(
    AUDIT,
    source="from (select unnest(v.keys) as output_key, unnest(range(len(v.keys))) as rank"
    " from (select ?::bigint[] as keys) v) d join output o on o.output_key = d.output_key"
    " join arrival a using (arrival_key) {mine} where true",
    values=lambda view: [list(view.near)],
    order="d.rank",
    drawn=False,
)
