"""The kinds of queue there are.

To add a kind: a module ``queue_NAME.py`` with one ``KIND`` (see ``queue_kind.Kind`` for its parts), a line in
``KINDS`` below, and where people judge in it a line in ``acts.VERDICTS``.
"""

from __future__ import annotations

from store import (
    queue_adjudicate,
    queue_audit,
    queue_disagreements,
    queue_duplicates,
    queue_ledger,
    queue_plan,
    queue_semantic,
    queue_similar,
)
from store.errors import InputError
from store.queue_kind import Kind, QueueSpec

KINDS: dict[str, Kind] = {
    "adjudicate": queue_adjudicate.KIND,
    "audit": queue_audit.KIND,
    "disagreements": queue_disagreements.KIND,
    "duplicates": queue_duplicates.KIND,
    "ledger": queue_ledger.KIND,
    "semantic": queue_semantic.KIND,
}


def kind_of(spec: QueueSpec) -> Kind:
    """The kind of a queue; raises InputError where there is none of that name."""
    if spec.kind not in KINDS:
        raise InputError(f"no queue of kind {spec.kind!r}", todo="Known: " + ", ".join(KINDS))
    if spec.kind == "audit" and spec.similar:
        return queue_similar.KIND
    return queue_plan.KIND if spec.kind == "audit" and spec.plan else KINDS[spec.kind]
