"""Stage ``audit``: a locked sampling plan and its draw. The run's parameters are the plan, its rows are the draw.

Units are the distinct outputs of one model. Modes: ``simple`` and ``stratified`` (a plan (n, c), valid when its n
are judged), ``weighted`` (suspicious ones more often; an estimate with its interval, valid when all are judged) and
``sequential`` (random order, a bound that holds however often it is looked at).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.audit import draws
from engine.audit.design import Plan, operating_curve, plan_for
from engine.audit.suspicion import SUSPICIONS, numbers
from engine.contract_records import REASONS
from engine.stages import as_mapping, option
from store import read
from store.canonical import canonical_text
from store.errors import InputError, RuleError
from store.records import Draw

if TYPE_CHECKING:
    from engine.context import Context

MODES = ("simple", "stratified", "weighted", "sequential")
RESERVE = 0.25  # of n, at least LEAST: what may replace prompts that are bad themselves
LEAST = 10
AT_MOST = 2_000  # samples that a sequential audit holds ready unless n says otherwise
DEFAULT_C = 2
MOST_STRATA = 200


@dataclass(frozen=True, slots=True)
class Params:
    """The plan. One of --c, --n, --assume says how large; --dry-run only shows it."""

    gate: float = option(0.0, "error rate of the teacher that must not be reached, e.g. 0.02")
    level: float = option(0.95, "confidence, one-sided")
    c: int | None = option(None, f"errors that the audit still accepts (default {DEFAULT_C})")
    n: int | None = option(None, "samples to judge, instead of --c; sequential: at most so many")
    assume: float | None = option(None, "error rate that you expect: the plan that accepts it with --power")
    power: float = option(0.9, "with --assume: how probable acceptance shall be")
    mode: str = option("simple", "how samples are drawn", choices=MODES)
    by: str = option("", "stratified: expression whose values are the strata, e.g. tier")
    minimum: int = option(0, "stratified: at least so many of each stratum")
    suspicion: str = option(
        "", "weighted: named column (disagreement, uncertainty, failed_checks) or an expression"
    )
    floor: float = option(draws.FLOOR, "weighted: share of n/N that the least suspicious sample keeps")
    seed: int = option(1, "the same seed draws the same samples")
    overlap: float = option(0.0, "share of samples that two reviewers judge")
    reviewers: tuple[str, ...] = option((), "assign samples to these (repeat); default: everybody gets all")
    model: str = option("", "whose outputs (default: the teacher's)")
    where: str = option("", "only samples that fit this filter: the plan then speaks of these alone")
    dry_run: bool = option(False, "show the plan and its operating curve, lock nothing")


@dataclass(frozen=True, slots=True)
class Units:
    """The population: distinct outputs in import order; ``strata`` and ``scores`` where the mode needs them."""

    keys: list[int]
    ids: list[str]
    strata: list[str]
    scores: list[float]


def run(context: Context, params: Params) -> dict[str, Any]:
    """Draw and lock. Result: the plan, its operating curve, the population, how many were drawn."""
    model = context.model("teacher", params.model)
    _check(params)
    units = _units(context, params, model)
    plan = _plan(params, len(units.ids))
    told = _told(plan, params, units, model)
    drawn = _draw(params, plan, units)
    told["drawn"] = sum(not d.reserve for d in drawn)
    told["reserve"] = len(drawn) - told["drawn"]
    told["strata"] = _strata(units, drawn) if params.by else []
    told["earlier_plans"] = sum(r.result.get("model") == model for r in context.runs("audit"))
    if params.dry_run:
        return told | {"locked": False}
    replaced, forgiven = _reasons(context)
    recorded = dict(as_mapping(params)) | {
        "n": plan.n, "c": plan.c, "replaced": replaced, "forgiven": forgiven, "reviewers": list(params.reviewers),
    }  # fmt: skip
    opened = context.open("audit", recorded, {"contract": _contract_hash(context)})
    opened.add("draw", drawn)
    opened.close(told | {"locked": True})
    return told | {"locked": True, "plan": opened.run_id}


def _check(params: Params) -> None:
    wrong = (
        (not 0 < params.gate < 1, "--gate is an error rate inside 0 and 1, e.g. 0.02"),
        (not 0 <= params.overlap <= 1, "--overlap is a share from 0 to 1"),
        (bool(params.overlap) and len(params.reviewers) < 2, "--overlap needs two --reviewers or more"),
        (len(set(params.reviewers)) != len(params.reviewers), "--reviewers names somebody twice"),
        ((params.mode == "stratified") != bool(params.by), "--by and --mode stratified go together"),
        (params.minimum == 1, "--minimum is 2 or more: one sample of a stratum says nothing of its spread"),
        ((params.mode == "weighted") != bool(params.suspicion), "--suspicion and --mode weighted go together"),
        (sum(v is not None for v in (params.c, params.n, params.assume)) > 1, "give one of --c, --n, --assume"),
    )  # fmt: skip
    for is_wrong, what in wrong:
        if is_wrong:
            raise InputError(what, where="audit plan")


def _units(context: Context, params: Params, model: str) -> Units:
    """The population, each output once: the same answer to the same prompt is judged once."""
    expressions = [params.by] if params.by else []
    named = SUSPICIONS.get(params.suspicion)
    if params.suspicion and named is None:
        expressions.append(params.suspicion)
    spec = {
        "kind": "audit",
        "project": context.project,
        "model": model,
        "filter": params.where,
        "blind": False,
    }
    table = context.store.table("evaluate", spec=spec, expressions=expressions)
    seen: dict[str, int] = {}
    for i, output in enumerate(table["subject"].to_pylist()):
        seen.setdefault(output, i)
    if not seen:
        raise RuleError(f"there is no output of {model} to draw from", todo="Import or generate some first.")
    rows = list(seen.values())
    keys = table["key"].take(rows).to_pylist()
    values = table["e0"].take(rows).to_pylist() if expressions else []
    scores: list[float] = []
    if named is not None:
        found = named(context, model)
        scores = [found.get(output, 0.0) for output in seen]
    elif params.suspicion:
        scores = numbers(values, params.suspicion)
    strata = [value if value is not None else "(none)" for value in values] if params.by else [""] * len(rows)
    return Units(keys, list(seen), strata, scores)


def _plan(params: Params, population: int) -> Plan:
    if params.mode == "sequential":
        n = min(population, params.n or AT_MOST)
        return Plan(params.gate, params.level, n, n, population, f"sequential, at most {n:,}")
    if params.mode == "weighted" and params.n is not None:  # an estimate needs no c
        return Plan(params.gate, params.level, min(params.n, population), 0, population, f"n = {params.n}")
    c = DEFAULT_C if params.c is None and params.n is None and params.assume is None else params.c
    power = params.power if params.assume is not None else None
    return plan_for(
        params.gate, params.level, c=c, n=params.n, assumed=params.assume, power=power, population=population
    )


def _told(plan: Plan, params: Params, units: Units, model: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "mode": params.mode, "model": model, "gate": params.gate, "level": params.level, "n": plan.n,
        "population": len(units.ids), "chosen": plan.chosen,
    }  # fmt: skip
    if params.mode in ("simple", "stratified"):
        told["c"] = plan.c
        told["operating_curve"] = [
            {"error_rate": round(rate, 6), "accepted": round(share, 4)}
            for rate, share in operating_curve(plan)
        ]
    return told


def _strata(units: Units, drawn: Sequence[Draw]) -> list[dict[str, Any]]:
    sizes, chosen = Counter(units.strata), Counter(d.stratum for d in drawn if not d.reserve)
    if len(sizes) > MOST_STRATA:
        raise InputError(
            f"{len(sizes):,} strata are too many", where="audit plan --by", todo="Cut numbers at steps."
        )
    return [{"stratum": s, "population": size, "drawn": chosen[s]} for s, size in sorted(sizes.items())]


def _draw(params: Params, plan: Plan, units: Units) -> list[Draw]:
    """The draw in its order: what is judged, then the reserve."""
    if params.mode == "weighted":
        return _weighted(params, plan, units)
    shares = _allocated(params, plan, units)
    members: defaultdict[str, list[int]] = defaultdict(list)
    for at in draws.simple_order_array(params.seed, units.ids).tolist():
        members[units.strata[at]].append(at)
    chosen: list[tuple[int, float]] = []
    reserve: list[tuple[int, float]] = []
    for stratum, order in members.items():
        n, inclusion = shares[stratum]
        spare = 0 if params.mode == "sequential" else max(LEAST, round(RESERVE * n))
        chosen += [(at, inclusion) for at in order[:n]]
        reserve += [(at, inclusion) for at in order[n : n + spare]]
    return _rows(params, units, chosen, reserve)


def _allocated(params: Params, plan: Plan, units: Units) -> dict[str, tuple[int, float]]:
    """Of each stratum how many are drawn, and each one's probability to be."""
    sizes: defaultdict[str, int] = defaultdict(int)
    for stratum in units.strata:
        sizes[stratum] += 1
    found = draws.stratified_allocation(sizes, plan.n, seed=params.seed, minimum=params.minimum)
    return {stratum: (found.counts[stratum], found.probabilities[stratum]) for stratum in sizes}


def _weighted(params: Params, plan: Plan, units: Units) -> list[Draw]:
    import numpy as np

    chances = draws.pps_probabilities_array(np.array(units.scores), plan.n, params.floor)
    drawn = draws.poisson_units(params.seed, units.ids, chances).tolist()
    order = draws.simple_order(params.seed + 1, [units.ids[at] for at in drawn])  # not by suspicion
    return _rows(params, units, [(drawn[i], float(chances[drawn[i]])) for i in order], [])


def _rows(
    params: Params, units: Units, chosen: Sequence[tuple[int, float]], reserve: Sequence[tuple[int, float]]
) -> list[Draw]:
    ordered = sorted(chosen, key=lambda pair: draws.random_number(params.seed, units.ids[pair[0]]))
    ordered = list(chosen) if params.mode == "weighted" else ordered
    spare = sorted(reserve, key=lambda pair: draws.random_number(params.seed, units.ids[pair[0]]))
    return [
        Draw(
            0, 0, units.keys[at], units.ids[at], units.strata[at], inclusion, is_reserve,
            canonical_text(assigned(units.ids[at], params.reviewers, params.overlap, params.seed)),
        )
        for pairs, is_reserve in ((ordered, False), (spare, True))
        for at, inclusion in pairs
    ]  # fmt: skip


def assigned(output_id: str, reviewers: Sequence[str], overlap: float, seed: int) -> list[str]:
    """Who judges a sample: one of the reviewers by stable hash, of a share ``overlap`` of the samples two.

    Rendezvous hashing (Thaler & Ravishankar 1998): a reviewer more or less moves only what is his. No reviewers:
    nobody in particular, so everybody.

    >>> assigned("a1", ["ann", "bob", "cid"], 0.0, 1), len(assigned("a1", ["ann", "bob", "cid"], 1.0, 1))
    (['cid'], 2)
    """
    ranked = sorted(reviewers, key=lambda name: draws.random_number(seed, f"{name}:{output_id}"))
    twice = draws.unit_interval(draws.random_number(seed, f"overlap:{output_id}")) < overlap
    return ranked[: 2 if twice else 1]


def _reasons(context: Context) -> tuple[list[int], list[int]]:
    """Digits of reasons that replace a sample, and of those that are no error, as the contract says."""
    try:
        reasons = context.contract().reasons
    except RuleError:
        reasons = REASONS
    waived = [r for r in reasons if not r.counts_for_gate]
    replaced = [r.digit for r in waived if "prompt" in r.name]
    return replaced, [r.digit for r in waived if r.digit not in replaced]


def _contract_hash(context: Context) -> str | None:
    versions = context.store.ask(read.CONTRACTS, project=context.project)
    return versions[-1].hash if versions else None
