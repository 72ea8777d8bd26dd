"""Stage ``audit``: a locked sampling plan and its draw. The run's parameters are the plan, its rows are the draw.

Units are the distinct outputs of one model. Modes: ``simple`` and ``stratified`` (a plan (n, c), valid when its n
are judged), ``weighted`` (suspicious ones more often; an estimate with its interval, valid when all are judged) and
``sequential`` (random order, a bound that holds however often it is looked at).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.audit import draws
from engine.audit.design import Plan, operating_curve, plan_for
from engine.audit.suspicion import SUSPICIONS, numbers
from engine.contract_records import REASONS
from engine.stages import as_mapping, option
from store import read
from store.canonical import canonical_text
from store.errors import InputError, RuleError, UsageError
from store.records import Draw
from store.slices import expanded

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
        "", "weighted: named column (disagreement, uncertainty, failed_checks, held_out) or an expression"
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
    """Lock and draw. Result: the plan, its operating curve, the population, how many were drawn.

    The draw is by the seed and the hash of the event that opens the run, which nobody knows before: whoever does not
    like a draw can only lock another plan, and all plans stay on record.
    """
    model = context.model("teacher", params.model)
    _check(params)
    params = _written_out(context, params)
    units = _units(context, params, model)
    plan = _plan(params, len(units.ids))
    shares = _allocated(params, plan, units) if params.mode != "weighted" else {}
    told = _told(plan, params, units, model)
    told["earlier_plans"] = sum(r.result.get("model") == model for r in context.runs("audit"))
    told |= _reviewers(context, params)
    sizes = Counter(units.strata)
    told["strata"] = [
        {"stratum": s, "population": sizes[s], "drawn": shares[s][0]} for s in sorted(sizes) if params.by
    ]
    if params.dry_run:
        return told | {
            "drawn": plan.n,
            "reserve": sum(min(_spare(params, n), sizes[s] - n) for s, (n, _) in shares.items()),
            "locked": False,
        }
    replaced, forgiven = _reasons(context)
    recorded = dict(as_mapping(params)) | {
        "n": plan.n, "c": plan.c, "replaced": replaced, "forgiven": forgiven, "reviewers": told["reviewers"],
    }  # fmt: skip
    opened = context.open("audit", recorded, {"contract": _contract_hash(context)})
    params = replace(params, reviewers=tuple(told["reviewers"]))
    drawn = _draw(params, plan, units, shares, f"{params.seed}.{opened.opened}")
    told["drawn"] = sum(not d.reserve for d in drawn)
    told["reserve"] = len(drawn) - told["drawn"]
    opened.add("draw", drawn)
    opened.close(told | {"locked": True})
    return told | {"locked": True, "plan": opened.run_id}


def _written_out(context: Context, params: Params) -> Params:
    """Slices by name as the predicates they stand for now: a name may mean something else tomorrow."""
    saved = {s.name: s.predicate for s in context.store.ask(read.SLICES, project=context.project)}
    with suppress(RuleError):
        saved |= {s.name: s.where for s in context.contract().gate.slices}
    named = params.suspicion in SUSPICIONS
    return replace(
        params,
        where=expanded(params.where, saved),
        by=expanded(params.by, saved),
        suspicion=params.suspicion if named else expanded(params.suspicion, saved),
    )


def _reviewers(context: Context, params: Params) -> dict[str, Any]:
    """Reviewers by the names that the ledger knows them by, and which of them it does not know yet."""
    known = {r.actor for r in context.store.ask(read.REVIEWERS, project=context.project, seq=None)}
    known.add(context.store.who)
    found, strange = [], []
    for name in params.reviewers:
        same = sorted(who for who in known if name in (who, who.partition("/")[2]))
        found.append(same[0] if len(same) == 1 else name)
        strange += [] if same else [name]
    told: dict[str, Any] = {"reviewers": found}
    if strange:
        told["note"] = (
            f"nobody called {', '.join(strange)} has judged here yet: `spiritsafe whoami` tells each his name"
        )
    return told


def _check(params: Params) -> None:
    """Raise UsageError for flags that no plan can mean together."""
    wrong = (
        (not 0 < params.gate < 1, "--gate is an error rate inside 0 and 1, e.g. 0.02"),
        (not 0 <= params.overlap <= 1, "--overlap is a share from 0 to 1"),
        (bool(params.overlap) and len(params.reviewers) < 2, "--overlap needs two --reviewers or more"),
        (len(set(params.reviewers)) != len(params.reviewers), "--reviewers names somebody twice"),
        ((params.mode == "stratified") != bool(params.by), "--by and --mode stratified go together"),
        (params.n is not None and params.n < 1, "--n is at least 1"),
        (params.minimum == 1, "--minimum is 2 or more: one sample of a stratum says nothing of its spread"),
        ((params.mode == "weighted") != bool(params.suspicion), "--suspicion and --mode weighted go together"),
        (sum(v is not None for v in (params.c, params.n, params.assume)) > 1, "give one of --c, --n, --assume"),
    )  # fmt: skip
    for is_wrong, what in wrong:
        if is_wrong:
            raise UsageError(
                what, where="audit plan", todo="spiritsafe audit plan --help says what it takes."
            )


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
        n = min(population, AT_MOST if params.n is None else params.n)
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


def _draw(
    params: Params, plan: Plan, units: Units, shares: Mapping[str, tuple[int, float]], seed: str
) -> list[Draw]:
    """The draw in its order: what is judged, then the reserve."""
    if params.mode == "weighted":
        return _weighted(params, plan, units, seed)
    members: defaultdict[str, list[int]] = defaultdict(list)
    order = draws.simple_order_array(seed, units.ids).tolist()
    for at in order:
        members[units.strata[at]].append(at)
    spare = {stratum: _spare(params, n) for stratum, (n, _) in shares.items()}
    chosen = {at for stratum, rows in members.items() for at in rows[: shares[stratum][0]]}
    reserve = {
        at for stratum, rows in members.items()
        for at in rows[shares[stratum][0] : shares[stratum][0] + spare[stratum]]
    }  # fmt: skip
    rows = [(at, shares[units.strata[at]][1], False) for at in order if at in chosen]
    rows += [(at, shares[units.strata[at]][1], True) for at in order if at in reserve]
    return [_row(params, units, at, inclusion, seed, reserve=spare_) for at, inclusion, spare_ in rows]


def _spare(params: Params, n: int) -> int:
    """How many more are drawn than ``n``, for prompts that are bad themselves."""
    return 0 if params.mode in ("sequential", "weighted") else max(LEAST, round(RESERVE * n))


def _allocated(params: Params, plan: Plan, units: Units) -> dict[str, tuple[int, float]]:
    """Of each stratum how many are drawn, and each one's probability to be."""
    sizes = Counter(units.strata)
    if params.by and len(sizes) < 2:
        raise InputError(
            f"{params.by!r} makes one stratum only: {next(iter(sizes))!r}", where="audit plan --by"
        )
    if len(sizes) > MOST_STRATA:
        raise InputError(
            f"{len(sizes):,} strata are too many", where="audit plan --by", todo="Cut numbers at steps."
        )
    found = draws.stratified_allocation(sizes, plan.n, seed=params.seed, minimum=params.minimum)
    return {stratum: (found.counts[stratum], found.probabilities[stratum]) for stratum in sizes}


def _weighted(params: Params, plan: Plan, units: Units, seed: str) -> list[Draw]:
    import numpy as np

    chances = draws.pps_probabilities_array(np.array(units.scores), plan.n, params.floor)
    drawn = draws.poisson_units(seed, units.ids, chances).tolist()
    order = draws.simple_order(f"{seed}.order", [units.ids[at] for at in drawn])  # not by suspicion
    return [_row(params, units, drawn[i], float(chances[drawn[i]]), seed, reserve=False) for i in order]


def _row(params: Params, units: Units, at: int, inclusion: float, seed: str, *, reserve: bool) -> Draw:
    names = assigned(units.ids[at], params.reviewers, params.overlap, seed)
    return Draw(
        0, 0, units.keys[at], units.ids[at], units.strata[at], inclusion, reserve, canonical_text(names)
    )


def assigned(output_id: str, reviewers: Sequence[str], overlap: float, seed: int | str) -> list[str]:
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
