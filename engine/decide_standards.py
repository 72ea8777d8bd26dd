"""What a decision's record carries beside its evidence: the why notes, and how it stands to the team's standards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.context import Context
from engine.standards import Standards, against_contract, against_ship, from_standards
from store.errors import RuleError, UsageError
from store.read_standards import CHOICES, SIGNATURES, STANDARDS, Signature
from store.standards_rules import checklist_of, decision_faults, signatures_wanted, signed_by, subject_of


def chosen(context: Context) -> list[dict[str, Any]]:
    """Every why note up to the context's seq: each choice that is not obvious, its reason, what was rejected."""
    rows = context.store.ask(CHOICES, project=context.project)
    return [
        {"choice": c.choice, "reason": c.reason, "rejected": msgspec.json.decode(c.rejected), "by": c.actor}
        for c in rows
        if context.seq is None or c.seq <= context.seq
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the team's standards ask before a student ships, and how it stands."""

    version: int
    subject: str  # evaluation run and student: what signatures and answers are about
    checklist: tuple[str, ...]
    signatures: int  # different people
    signed: tuple[str, ...]  # those of them who count
    short: tuple[str, ...]  # what else is missing


def asked_to_ship(context: Context, found: Mapping[str, Any]) -> Asked | None:
    """The same of an ``evidence``; None where no standards are locked."""
    locked = context.store.ask(STANDARDS)
    if not locked:
        return None
    payload = msgspec.json.decode(locked[-1].standards)
    subject = subject_of({"evidence": found})
    names = [s.actor for s in _signed(context, "ship", subject)]
    return Asked(
        locked[-1].version,
        subject,
        tuple(checklist_of(payload)),
        signatures_wanted(payload)[0],
        tuple(sorted(signed_by(names, payload))),
        tuple(_short(context, from_standards(payload), found)),
    )


def _signed(context: Context, outcome: str, subject: str) -> list[Signature]:
    rows = context.store.ask(SIGNATURES, project=context.project)
    return [s for s in rows if s.outcome == outcome and s.subject == subject]


def _short(context: Context, standards: Standards, found: Mapping[str, Any]) -> list[str]:
    """In what contract and work fall short of the standards."""
    short = [p.what for p in against_contract(standards, context.contract())]
    return [*short, *against_ship(standards, found["audit"]["plans"], {r.stage for r in context.runs()})]


def under_standards(
    context: Context, record: Mapping[str, Any], checked: Mapping[str, str]
) -> dict[str, Any]:
    """Version, hash, answered checklist, signatures, and in what it falls short; {} where no standards are locked.

    Raises UsageError for an answer to what is not asked, RuleError where ship falls short.
    """
    locked = context.store.ask(STANDARDS)
    if not locked:
        if checked:
            raise UsageError("no standards are locked, so there is no checklist")
        return {}
    payload = msgspec.json.decode(locked[-1].standards)
    standards = from_standards(payload)
    asked = checklist_of(payload)
    if unknown := sorted(set(checked) - set(asked)):
        raise UsageError(
            f"the checklist has no item {unknown[0]!r}", todo="It has: " + ("; ".join(asked) or "none")
        )
    signed = _signed(context, record["outcome"], subject_of(record))
    told: dict[str, Any] = {
        "version": locked[-1].version,
        "hash": locked[-1].hash,
        "checklist": [{"item": item, "answer": checked[item]} for item in asked if item in checked],
        "signatures": [{"by": s.actor, "event": s.seq, "note": s.note} for s in signed],
    }
    short = _short(context, standards, record["evidence"])
    told["falls_short"] = short
    faults = [
        *short,
        *decision_faults(locked[-1].hash, payload, {**record, "standards": told}, [s.actor for s in signed]),
    ]
    if record["outcome"] == "ship" and faults:
        raise RuleError(
            f"ship is refused by the team's standards: {'; '.join(faults)}", todo="spiritsafe standards show"
        )
    return told
