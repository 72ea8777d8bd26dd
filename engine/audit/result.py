"""What an audit says so far: counts, an interval to look at, and a verdict that its plan allows.

Pure: a plan and the counts of its draw in, a ``Standing`` out. Conflicts and unsure verdicts count as errors until
they are settled, so a pass never rests on them; a fail never does either.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from engine.audit import design, sequential, weighted
from engine.statistics import wilson
from store import read

ERRORS = ("bad", "conflict", "unsure")
UNSETTLED = ("conflict", "unsure")


@dataclass(frozen=True, slots=True)
class Locked:
    """A locked plan, decoded. ``weighs``: units had different chances to be drawn, so only a weighted rate is shown."""

    run_id: str
    actor: str
    at_us: int
    mode: str  # simple | stratified | weighted | sequential
    model: str
    gate: float
    level: float
    n: int
    c: int
    population: int
    drawn: int
    reserve: int
    overlap: float
    reviewers: tuple[str, ...]
    sizes: dict[str, int]  # units of each stratum
    weighs: bool
    where: str
    seed: int
    floor: float  # weighted: share of n/N that the least suspicious unit kept


@dataclass(frozen=True, slots=True)
class Standing:
    """An audit as it stands. Rates are those of the draw's beginning up to the first sample that nobody judged: what
    was judged beyond it may have been chosen. ``low`` and ``high``: two-sided 95 % to look at, None where no rate may be shown yet.

    ``revealed``, ``changed``, ``earlier``: verdicts after reveal, other than the person's first, from before the plan.
    ``verdict``: pass (below the gate), fail (not proven below it; ``proven``: proven to reach it), insufficient;
    ``why`` says it in words. ``bound``: the one-sided upper bound that the verdict rests on, where one is valid now.
    """

    judged: int
    errors: int
    unsettled: int
    replaced: int
    remaining: int
    overlapped: int
    revealed: int
    changed: int
    earlier: int
    rate: float | None
    low: float | None
    high: float | None
    bound: float | None
    verdict: str
    proven: bool
    why: str


def locked(plan: read.Plan) -> Locked:
    """A plan's run, decoded."""
    params, result = msgspec.json.decode(plan.params), msgspec.json.decode(plan.result)
    sizes = {row["stratum"]: row["population"] for row in result.get("strata", [])}
    minimum = int(params.get("minimum", 0))
    return Locked(
        plan.run_id, plan.actor, plan.at_us, result["mode"], result["model"], float(params["gate"]),
        float(params["level"]), int(result["n"]), int(params["c"]), int(result["population"]), int(result["drawn"]), int(result["reserve"]),
        float(params.get("overlap", 0)), tuple(params["reviewers"]), sizes,
        result["mode"] == "weighted" or minimum > 0, params.get("where", ""), int(params.get("seed", 0)),
        float(params.get("floor", 1)),
    )  # fmt: skip


def standing(plan: Locked, rows: Sequence[read.Drawn]) -> Standing:
    """What the counts of a plan's draw say."""
    counts, first = _counts(rows), _counts([row for row in rows if row.unbroken])
    judged, errors, unsettled = _totals(counts)
    sampled = _totals(first)
    rate = low = high = bound = None
    if plan.weighs:
        found = _weighted(plan, rows, counts, judged)
    elif plan.mode == "sequential":
        found = _sequential(plan, *sampled)
    else:
        found = _planned(plan, judged, errors, unsettled, remaining=counts[None])
    if found.estimate is not None:
        rate, (low, high) = found.estimate.rate, weighted.interval(found.estimate)
    elif sampled[0] and not plan.weighs:
        rate, (low, high) = sampled[1] / sampled[0], wilson(sampled[1], sampled[0])
    bound = found.bound
    return Standing(
        judged, errors, unsettled, counts["replaced"], counts[None], sum(r.overlapped for r in rows),
        sum(r.revealed for r in rows), sum(r.changed for r in rows), sum(r.earlier for r in rows),
        rate, low, high, bound, found.verdict, found.proven, found.why,
    )  # fmt: skip


def _counts(rows: Sequence[read.Drawn]) -> Counter[str | None]:
    counts: Counter[str | None] = Counter()
    for row in rows:
        counts[row.outcome] += row.count
    return counts


def _totals(counts: Counter[str | None]) -> tuple[int, int, int]:
    """Judged, of these errors, of these unsettled."""
    errors = sum(counts[outcome] for outcome in ERRORS)
    return counts["ok"] + errors, errors, sum(counts[outcome] for outcome in UNSETTLED)


@dataclass(frozen=True, slots=True)
class _Found:
    verdict: str
    why: str
    proven: bool = False
    bound: float | None = None
    estimate: weighted.Estimate | None = None


def _planned(plan: Locked, judged: int, errors: int, unsettled: int, *, remaining: int) -> _Found:
    """The plan (n, c): accept with at most c errors. Given early only where the rest cannot change it.

    Stratified in proportion, the chance of at most c errors is below the binomial's where c lies below its mean
    (Hoeffding 1956, Annals of Mathematical Statistics 27, 713-721), so the same plan holds.
    """
    made = design.Plan(plan.gate, plan.level, plan.n, plan.c, plan.population)
    if judged > plan.n or judged + remaining > plan.drawn + plan.reserve:
        return _Found(
            "insufficient", f"{judged:,} samples do not fit a plan of {plan.n:,}: spiritsafe verify says why"
        )
    said = design.verdict(made, judged, min(errors, judged))
    settled = errors - unsettled
    bound = design.rate_bounds(made, errors)[1] if judged == plan.n else None
    if said is design.Verdict.ACCEPT:
        return _Found(
            "pass",
            f"{errors} errors, at most {plan.c} in {plan.n:,} prove less than {plan.gate:g}",
            bound=bound,
        )
    if settled > plan.c:
        proven = design.proven_above(made, judged, min(settled, judged))
        more = f"proven to reach {plan.gate:g}" if proven else f"not proven below {plan.gate:g}"
        return _Found("fail", f"{settled} errors, more than {plan.c}: {more}", proven, bound)
    if said is design.Verdict.REJECT:
        left = f", {plan.n - judged:,} of {plan.n:,} to go" if remaining else ""
        return _Found("insufficient", f"{unsettled} unsettled: settle them (gj){left}", bound=bound)
    if not remaining:
        return _Found(
            "insufficient", f"the reserve is used up at {judged:,} of {plan.n:,}: lock another plan"
        )
    return _Found(
        "insufficient", f"{plan.n - judged:,} of {plan.n:,} to go, {plan.c - errors} more errors allowed"
    )


def _sequential(plan: Locked, judged: int, errors: int, unsettled: int) -> _Found:
    """A bound that holds however often it is looked at; the prior is fixed by the gate."""
    if not judged:
        return _Found("insufficient", "nothing judged yet")
    prior = sequential.gate_prior(plan.gate)
    bound = sequential.upper_bound(errors, judged, plan.population, plan.level, prior) / plan.population
    if (
        sequential.sequential_verdict(plan.gate, errors, judged, plan.population, plan.level)
        is sequential.Standing.PASS
    ):
        return _Found(
            "pass", f"the bound {bound:.4f} is below {plan.gate:g}, whenever one looks", bound=bound
        )
    settled = errors - unsettled
    if (
        sequential.sequential_verdict(plan.gate, settled, judged, plan.population, plan.level)
        is sequential.Standing.FAIL
    ):
        return _Found("fail", f"{settled} errors in {judged:,} prove at least {plan.gate:g}", True, bound)
    return _Found("insufficient", f"undecided after {judged:,}; the bound is {bound:.4f}", bound=bound)


def _weighted(plan: Locked, rows: Sequence[read.Drawn], counts: Counter[str | None], judged: int) -> _Found:
    """An estimate weighted by the chance to be drawn: valid when all that was drawn is judged."""
    if counts[None] or not judged:
        return _Found("insufficient", f"{counts[None]:,} to go: a weighted rate is valid when all are judged")
    estimate, cautious = _estimate(plan, rows, ERRORS), _estimate(plan, rows, ("bad",))
    bound = weighted.upper_bound(estimate, plan.level)
    if bound < plan.gate:
        return _Found(
            "pass", f"the weighted bound {bound:.4f} is below {plan.gate:g}", False, bound, estimate
        )
    if weighted.lower_bound(cautious, plan.level) >= plan.gate:
        return _Found("fail", f"proven to reach {plan.gate:g}", True, bound, estimate)
    return _Found("insufficient", f"neither bound is clear of {plan.gate:g}", False, bound, estimate)


def _estimate(plan: Locked, rows: Sequence[read.Drawn], errors: Sequence[str]) -> weighted.Estimate:
    if plan.mode == "weighted":
        return weighted.hajek(
            (
                weighted.Judged(row.inclusion, row.outcome in errors, row.outcome != "replaced")
                for row in rows
                for _ in range(row.count)
            ),
            least_probability=min(1.0, plan.floor * plan.n / plan.population),
        )
    found: defaultdict[str, Counter[str | None]] = defaultdict(Counter)
    for row in rows:
        found[row.stratum][row.outcome] += row.count
    return weighted.stratified(
        [
            weighted.Stratum(size, sum(found[s].values()), sum(found[s][e] for e in errors),
                             sum(found[s].values()) - found[s]["replaced"])
            for s, size in plan.sizes.items()
        ]
    )  # fmt: skip
