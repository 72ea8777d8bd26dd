"""The audit queue by plan: the locked draw in its order, each reviewer's own share of it.

A sample whose prompt itself is bad is replaced: the next of the reserve, in the same stratum, joins the queue when it
is opened again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from store.grammar import Column
from store.queue_audit import KIND as AUDIT
from store.queue_kind import View

_MINE = """
    (? or not list_contains((select reviewers from audit_plan where run_id = ?), ?)
     or list_contains(from_json(d.assigned, '["VARCHAR"]'), ?))
"""


def _values(view: View) -> list[Any]:
    spec = view.spec
    return [spec.plan, spec.project, spec.everyone, spec.plan, view.reviewer, view.reviewer]


KIND = replace(
    AUDIT,
    source="from sampled_then(?, null) d join output o on o.output_key = d.output_key"
    f" join arrival a using (arrival_key) {{mine}} where d.project = ? and {_MINE}",
    values=_values,
    order="d.draw_key",
    columns=dict(AUDIT.columns) | {"stratum": Column("d.stratum", "text")},
    drawn=False,
)
