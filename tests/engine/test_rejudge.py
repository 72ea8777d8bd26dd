"""The rules of the ledger judged again: what the hub would have refused is named, what it took is not."""

from __future__ import annotations

from typing import Any

import pytest

from engine.rejudge import faults
from store.answers import ActRow
from store.canonical import canonical_text

Given = tuple[str, str, dict[str, Any]]  # who, act, payload

START: list[Given] = [("ada", "project.create", {})]


def said(
    who: str, verdict: str, reason: int | None = None, kind: str = "verdict", subject: str = "s"
) -> Given:
    """A verdict on a sample."""
    queue = "adjudicate" if kind == "adjudicate" else "audit"
    payload = {"queue": queue, "subject": subject, "verdict": verdict}
    return who, kind, payload | ({"reason": reason} if reason else {})


def judged(*given: Given) -> list[tuple[int, str]]:
    """What is wrong with a ledger of these acts in the project ``demo`` of ada's store."""
    rows = [
        ActRow(seq, "demo", kind, who, None, canonical_text(payload), f"hash {seq}")
        for seq, (who, kind, payload) in enumerate([*START, *given], 1)
    ]
    return list(faults(rows, "ada"))


def test_what_the_hub_takes_has_no_fault() -> None:
    assert not judged(
        ("ada", "run.open", {"run_id": "r", "stage": "audit"}),
        ("ada", "run.close", {"run_no": 1, "tables": {}}),
        said("bob", "ok"), said("cid", "bad", 2), said("eve", "ok", kind="adjudicate"),
        ("bob", "comment", {"subject": "s", "text": "x"}), ("bob", "undo", {"target": 7}),
        ("bob", "redo", {"target": 8}),
        ("bob", "verdicts", {"queue": "audit", "subjects": ["t", "u"], "verdict": "ok"}), ("bob", "undo", {"target": 10}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([("bob", "contract.lock", {"hash": "h", "contract": {}})], "owner's to do, not bob's"),
        ([("bob", "run.open", {"run_id": "r", "stage": "gate"})], "run of gate is the owner's"),
        ([("ada", "project.create", {})], "was there already"),
        ([("bob", "run.close", {"run_no": 1, "tables": {}})], "closes run 1"),
        ([said("bob", "ok"), ("cid", "undo", {"target": 2})], "event None was meant"),
        ([said("bob", "ok"), said("bob", "bad", 1), ("bob", "undo", {"target": 2})], "event 3 was meant"),
        ([said("bob", "ok"), said("eve", "ok", kind="adjudicate")], "reviewers agree"),
        ([said("bob", "ok"), said("cid", "bad", 1), said("cid", "ok", kind="adjudicate")], "a conflict of his own"),
        (
            [said("bob", "ok"), said("cid", "unsure"), said("eve", "ok", kind="adjudicate"), ("bob", "undo", {"target": 2})],
            "event None was meant",
        ),
        ([said("bob", "ok"), said("cid", "unsure"), said("eve", "ok", kind="adjudicate"), said("fay", "ok", kind="adjudicate")],
         "settles anew"),
        ([("bob", "run.open", {"run_id": "r", "stage": "import"}), ("cid", "run.open", {"run_id": "r", "stage": "import"})],
         "was opened before"),
        ([("bob", "verdict", {"queue": "audit", "subject": "s", "verdict": "left"})], "is no verdict"),
        (
            [("ada", "decide", {"outcome": "ship", "rationale": "r", "record_sha256": "x", "record": {}})],
            "hash is not that of its record",
        ),
        *(
            ([("ada", "decide", {"outcome": "ship", "rationale": "r", "record_sha256": "x", "record": {}})], fault)
            for fault in ("not what its record says", "another project", "names no event", "does not pass")
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_an_act_that_the_rules_forbid_is_named(given: list[Given], fault: str) -> None:
    found = judged(*given)
    assert found
    assert found[0][0] == len(given) + 1
    assert any(fault in what for _, what in found)


def test_an_act_of_a_project_that_is_not_there_is_named() -> None:
    rows = [ActRow(1, "nowhere", "comment", "bob", None, '{"subject":"s","text":"x"}')]
    assert [what for _, what in faults(rows, "ada")] == ["project nowhere was not there"]


def test_an_undo_passes_over_what_was_adjudicated() -> None:
    assert not judged(
        said("bob", "ok", subject="t"), said("bob", "ok"), said("cid", "unsure"), said("eve", "ok", kind="adjudicate"),
        ("bob", "undo", {"target": 2}),
    )  # fmt: skip


def test_reasons_that_a_plan_reads_otherwise_are_a_conflict() -> None:
    plan = {"run_id": "p", "stage": "audit", "params": {"replaced": [9], "forgiven": [8]}}
    locked: list[Given] = [("ada", "run.open", plan), ("ada", "run.close", {"run_no": 1, "tables": {}})]
    two = [said("bob", "bad", 9), said("cid", "bad", 1), said("eve", "bad", 1, kind="adjudicate")]
    assert judged(*two)
    assert not judged(*locked, *two)
