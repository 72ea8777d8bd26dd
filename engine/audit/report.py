"""Audits and agreement as documents: what ``report``, the screens and the decision record show. No floats.

Everything is as of the context's ledger seq, so that a record can be computed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from engine.audit import agreement
from engine.audit.result import Locked, Standing, locked, standing
from store import read
from store.rules import account

if TYPE_CHECKING:
    from engine.context import Context

FLAG = "bad"


def plans(context: Context) -> list[Locked]:
    """The project's locked plans, oldest first."""
    found = context.store.ask(read.PLANS, project=context.project)
    return [locked(plan) for plan in found if context.seq is None or plan.seq <= context.seq]


def standing_of(context: Context, plan: Locked) -> Standing:
    """A plan's standing."""
    rows = context.store.ask(read.DRAWN, project=context.project, run_id=plan.run_id, seq=context.seq)
    return standing(plan, rows)


def audits(context: Context) -> list[dict[str, Any]]:
    """Every plan with its standing, oldest first: all of them, so that nobody shows only the one that he likes."""
    return [{**plan_payload(plan), **standing_payload(standing_of(context, plan))} for plan in plans(context)]


def plan_payload(plan: Locked) -> dict[str, Any]:
    """A plan in words and text numbers."""
    told: dict[str, Any] = {
        "plan": plan.run_id, "mode": plan.mode, "model": plan.model, "locked_by": plan.actor, "gate": f"{plan.gate:g}",
        "level": f"{plan.level:g}", "population": plan.population, "n": plan.n, "drawn": plan.drawn, "seed": plan.seed,
    }  # fmt: skip
    if plan.mode in ("simple", "stratified") and not plan.weighs:
        told["c"] = plan.c
    return told | ({"where": plan.where} if plan.where else {})


def standing_payload(found: Standing) -> dict[str, Any]:
    """A standing in words and text numbers; what may not be shown yet is null."""
    return {
        "judged": found.judged, "errors": found.errors, "unsettled": found.unsettled, "replaced": found.replaced,
        "remaining": found.remaining, "judged_twice": found.overlapped, "after_reveal": found.revealed,
        "changed": found.changed, "before_the_plan": found.earlier,
        "rate": _text(found.rate), "low": _text(found.low), "high": _text(found.high), "bound": _text(found.bound),
        "verdict": found.verdict, "proven": found.proven, "why": found.why,
    }  # fmt: skip


def units(context: Context) -> list[dict[str, str]]:
    """Every judged sample as reviewer → blind verdict."""
    rows = context.store.ask(read.PATTERNS, project=context.project, seq=context.seq)
    return [dict(msgspec.json.decode(row.pattern)) for row in rows for _ in range(row.count)]


def agreement_payload(context: Context) -> dict[str, Any]:
    """How far reviewers agree over what two or more of them judged blind: three coefficients with their counts.

    No coefficient stands alone: with rare flags AC1 is high while nobody shares one.
    """
    found = units(context)
    raw, positive = agreement.raw_agreement(found), agreement.positive_agreement(found, FLAG)
    alpha, ac1 = agreement.krippendorff_alpha(found), agreement.gwet_ac1(found)
    return {
        "reviewers": sorted({who for unit in found for who in unit}),
        "accounts": len({account(who) for unit in found for who in unit}),
        "samples": len(found),
        "overlapped": raw.units,
        "pairs": raw.pairs,
        "pairs_alike": raw.agreed,
        "alpha": _text(alpha.value),
        "ac1": _text(ac1.value),
        "positive_agreement": _text(positive.value),
        "flagged_by_both": positive.both,
        "flagged_by_one": positive.one,
        "why": alpha.why or ac1.why or positive.why,
        "pair_table": [
            {"first": p.first, "second": p.second, "shared": p.shared, "alike": p.agreed, "both_flag": p.both,
             "only_first": p.only_first, "only_second": p.only_second}
            for p in agreement.pair_table(found, FLAG)
        ],
    }  # fmt: skip


def _text(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
