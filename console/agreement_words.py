"""Agreement between reviewers, and what each of them judged, in words: for the sheet and the report. No Textual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.standings import plans_of, progress_of
from console.text import counted
from store import read

if TYPE_CHECKING:
    from engine.context import Context


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient with its counts and its meaning; ``value`` None: undefined, and ``why``."""

    name: str
    value: float | None
    counts: str
    meaning: str
    why: str


@dataclass(frozen=True, slots=True)
class Reviewer:
    """What one person judged of the teacher's outputs."""

    who: str
    judged: int
    ok: int
    bad: int
    unsure: int
    after_reveal: int
    bulk: int
    settled: int


def coefficients(units: Sequence[dict[str, str]]) -> list[Coefficient]:
    """Three coefficients, never one alone: with rare flags one is high while nobody shares any."""
    from engine.audit import agreement
    from engine.audit.report import FLAG

    raw, positive = agreement.raw_agreement(units), agreement.positive_agreement(units, FLAG)
    alpha, ac1 = agreement.krippendorff_alpha(units), agreement.gwet_ac1(units)
    pairs = f"{raw.agreed:,} of {counted(raw.pairs, 'pair')} alike"
    return [
        Coefficient("alpha", alpha.value, f"{counted(alpha.units, 'sample')}, {pairs}",
                    "1: always alike, 0: as chance would have it", alpha.why),
        Coefficient("AC1", ac1.value, f"{counted(ac1.units, 'sample')}, {pairs}",
                    "the same, kinder where one verdict is rare", ac1.why),
        Coefficient("positive", positive.value, f"{positive.both:,} both said bad, {positive.one:,} only one did",
                    "of what somebody calls bad, how much others do", positive.why),
    ]  # fmt: skip


def reviewers_of(context: Context) -> list[Reviewer]:
    """Per person what was judged, most first."""
    found: dict[str, dict[str, int]] = {}
    for row in context.store.ask(read.REVIEWERS, project=context.project):
        own = found.setdefault(row.actor, {})
        if row.queue == "adjudicate":
            own["settled"] = own.get("settled", 0) + row.count
            continue
        for name, n in (
            ("judged", row.count), (row.verdict, row.count), ("after_reveal", row.revealed), ("bulk", row.bulk)
        ):  # fmt: skip
            own[name] = own.get(name, 0) + n
    names = ("judged", "ok", "bad", "unsure", "after_reveal", "bulk", "settled")
    people = [Reviewer(who, *(own.get(name, 0) for name in names)) for who, own in found.items()]
    return sorted(people, key=lambda person: (-person.judged, person.who))


def agreement_document(context: Context) -> dict[str, Any]:
    """Agreement, people and overlap as one document: what ``report agreement`` prints."""
    from engine.audit.report import agreement_payload, units

    shown = [
        {"name": c.name, "value": None if c.value is None else f"{c.value:.4f}", "counts": c.counts,
         "meaning": c.meaning, "why_undefined": c.why or None}
        for c in coefficients(units(context))
    ]  # fmt: skip
    people = [
        {name: getattr(person, name) for name in Reviewer.__dataclass_fields__}
        for person in reviewers_of(context)
    ]
    overlap = [
        {"plan": p.id, "judged_twice": found.standing.overlapped, "planned": f"{p.locked.overlap * p.locked.n:.0f}"}
        for p in plans_of(context)
        if (found := progress_of(context, p)) is not None
    ]  # fmt: skip
    return agreement_payload(context) | {"coefficients": shown, "people": people, "overlap": overlap}
