"""An audit's standing and people's agreement in words: what header, sheets, decision and reports say. No Textual.

A number never stands alone: counts beside every rate, the interval or the bound beside every estimate, and where
no rate may be shown yet, none is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from console.text import cells, counted
from store import read
from store.errors import InputError, RoleError, RuleError

if TYPE_CHECKING:
    from engine.audit.result import Locked, Standing
    from engine.context import Context

Part = tuple[int, str]  # how important (0: the last to go), text
SEPARATOR = " · "
SHORTEST_ID = 8  # characters of a plan's id that may stand for it
CHEAP = 60  # cells up to which a pace may stand: with every verdict the line is sent up to where it changes
ROOMY = 100  # … except on a screen so wide
SHORTER = re.compile(r"at most (.*) whenever looked at")
EXACT = ("simple", "stratified")  # modes with a plan (n, c)


@dataclass(frozen=True, slots=True)
class Plan:
    """A locked plan as people name it: by its number in the order of locking."""

    number: int
    locked: Locked
    replaced: frozenset[int]  # digits of reasons that replace a sample

    @property
    def id(self) -> str:
        return self.locked.run_id

    @property
    def about(self) -> str:
        """What it is, in a few words."""
        p = self.locked
        size = f"at most {p.n:,}" if p.mode == "sequential" else f"n {p.n:,}"
        allowed = f", c {p.c}" if p.mode in EXACT and not p.weighs else ""
        where = f", {p.where}" if p.where else ""
        return f"{p.mode}, gate {percent(p.gate)} %, {size}{allowed}{where}"


@dataclass(frozen=True, slots=True)
class Progress:
    """A plan and how it stands; ``first``: how many samples from the draw's beginning the rate is of."""

    plan: Plan
    standing: Standing
    first: int


# ---- asking
def plans_of(context: Context) -> list[Plan]:
    """The project's locked plans, oldest first."""
    from engine.audit.result import locked

    found = context.store.ask(read.PLANS, project=context.project)
    return [
        Plan(n, locked(plan), frozenset(msgspec.json.decode(plan.params).get("replaced", ())))
        for n, plan in enumerate(found, 1)
    ]


def plan_named(context: Context, name: str) -> Plan:
    """The plan of a number, of an id or of the beginning of one; ``newest`` is the teacher's newest.

    Raises InputError where there is none such.
    """
    plans = plans_of(context)
    if name == "newest":
        found = [plan] if (plan := newest_of_teacher(context, plans)) is not None else []
    else:
        found = [p for p in plans if name == str(p.number)]
        found = found or [p for p in plans if len(name) >= SHORTEST_ID and p.id.startswith(name)]
    if len(found) != 1:
        known = ", ".join(f"{p.number} ({p.about})" for p in plans)
        raise InputError(
            f"no audit plan {name!r}",
            todo=f"There are {known}." if known else "spiritsafe audit plan locks one.",
        )
    return found[0]


def newest_of_teacher(context: Context, plans: Sequence[Plan]) -> Plan | None:
    """The newest plan on the project's teacher, None where there is none."""
    if not plans:
        return None
    try:
        teacher = context.model("teacher")
    except RuleError:
        return None
    return next((plan for plan in reversed(plans) if plan.locked.model == teacher), None)


def progress_of(context: Context, plan: Plan) -> Progress | None:
    """How a plan stands now; None where the hub does not say, because the caller is to judge blind."""
    from engine.audit.result import standing

    try:
        rows = context.store.ask(read.DRAWN, project=context.project, run_id=plan.id, seq=None)
    except RoleError:
        return None
    first = sum(row.count for row in rows if row.unbroken and row.outcome != "replaced")
    return Progress(plan, standing(plan.locked, rows), first)


# ---- numbers
def percent(share: float) -> str:
    """A share as a number of percent, as exact as a reader can use it.

    >>> percent(0), percent(0.0256), percent(0.5614), percent(0.02), percent(0.999)
    ('0', '2.6', '56', '2', '99.9')
    """
    value = 100 * share
    fine = value < 10 or value > 99
    return f"{value:.1f}".removesuffix(".0") if fine else f"{value:.0f}"


def span(low: float, high: float) -> str:
    """An interval in percent.

    >>> span(0, 0.561)
    '0–56 %'
    """
    return f"{percent(low)}–{percent(high)} %"


def errors_of(found: Standing) -> str:
    """How many errors, and how many of them are not settled."""
    unsettled = f" ({found.unsettled} unsettled)" if found.unsettled else ""
    return f"{counted(found.errors, 'error')}{unsettled}"


def rate_of(plan: Locked, found: Standing, first: int) -> str:
    """The rate that may be shown with its interval; empty where none may be."""
    if found.rate is None or found.low is None or found.high is None:
        return ""
    if plan.weighs:
        return f"weighted {percent(found.rate)} % ({span(found.low, found.high)})"
    if plan.mode == "sequential":  # it is looked at again and again, where only the bound holds
        return ""
    of = f" of the first {first:,}" if first != found.judged else ""
    return f"Wilson {span(found.low, found.high)}{of}"


def bound_of(plan: Locked, found: Standing) -> str:
    """The upper bound that is valid now, in words."""
    if found.bound is None:
        return ""
    when = " whenever looked at" if plan.mode == "sequential" else ""
    return f"at most {percent(found.bound)} %{when}"


def verdict_of(plan: Locked, found: Standing, *, short: bool = False) -> str:
    """The verdict and what is missing to it.

    ``short``: as few words as say the same.
    """
    if found.verdict != "insufficient":
        return found.verdict if short else f"{found.verdict}: {found.why}"
    if plan.mode == "sequential":
        return "insufficient" if short else "insufficient: go on"
    if plan.weighs and found.remaining:
        return f"insufficient: {found.remaining:,} to go" + ("" if short else ", no rate before that")
    if found.errors <= plan.c and found.judged < plan.n and found.remaining:
        left = "spare" if short else "more errors allowed"
        return f"insufficient: {plan.n - found.judged:,} to go, {plan.c - found.errors} {left}"
    return f"insufficient: {found.why}"


def header_parts(progress: Progress, width: int, *, mine: str = "", pace: str = "") -> list[Part]:
    """An audit's standing for a header, in words that fit ``width`` if any do.

    ``mine``: the reviewer's own share of the plan; ``pace``: what stands at the end.
    """
    for short in (False, True):
        parts = _parts(progress, mine=mine, short=short)
        size = cells(SEPARATOR.join(text for _, text in parts if text))
        if short or size <= width:
            break
    whole = size + len(SEPARATOR) + len(pace)
    cheap = width if width >= ROOMY else CHEAP
    return [*parts, (5, pace)] if whole <= cheap else parts


def _parts(progress: Progress, *, mine: str, short: bool) -> list[Part]:
    plan, found = progress.plan.locked, progress.standing
    replaced = f"{found.replaced} replaced" if found.replaced else ""
    bound = bound_of(plan, found) if plan.mode == "sequential" or found.verdict == "pass" else ""
    return [
        (0, f"audit · plan {found.judged:,}/{plan.n:,}"),
        (1, errors_of(found)),
        (1, rate_of(plan, found, progress.first)),
        (1, SHORTER.sub(r"≤ \1 any time", bound) if short else bound),
        (0, verdict_of(plan, found, short=short)),
        (3, replaced),
        (4, mine),
    ]


def plan_line(progress: Progress) -> str:
    """One plan as a line of a list: what it is and how it stands."""
    plan, found = progress.plan, progress.standing
    parts = [
        f"plan {plan.number}", plan.about, f"judged {found.judged:,}", errors_of(found),
        rate_of(plan.locked, found, progress.first), bound_of(plan.locked, found),
        found.verdict.upper(),
    ]  # fmt: skip
    return SEPARATOR.join(part for part in parts if part)


def plan_text(progress: Progress) -> str:
    """One plan, whole: what it is, how it stands and what that means."""
    plan, found = progress.plan.locked, progress.standing
    rate, bound = rate_of(plan, found, progress.first), bound_of(plan, found)
    if not rate and not bound:
        rate = "no rate may be shown yet"
    overlap = overlap_of(plan, found)
    seen = f"{counted(found.revealed, 'verdict')} given after the source was seen"
    lines = [
        f"plan {progress.plan.number} on {plan.model}: {progress.plan.about}",
        f"locked by {plan.actor}; {plan.drawn:,} drawn of {plan.population:,}, seed {plan.seed}, level {plan.level:g}",
        "",
        f"{found.verdict.upper()}: {found.why}",
        f"judged {found.judged:,}, {errors_of(found)}, replaced {found.replaced}, to go {found.remaining:,}",
        SEPARATOR.join(part for part in (rate, bound) if part),
        *([seen] if found.revealed else []),
        *([overlap] if overlap else []),
        f"id {plan.run_id}",
    ]
    return "\n".join(lines)


def overlap_of(plan: Locked, found: Standing) -> str:
    """How many samples two people judged, beside how many were meant to be."""
    if not plan.overlap:
        return f"judged by two: {found.overlapped:,}; none was planned to be" if found.overlapped else ""
    wanted = f"about {plan.overlap * plan.n:,.0f} ({percent(plan.overlap)} % of {plan.n:,})"
    return f"judged by two: {found.overlapped:,} of {wanted}"
