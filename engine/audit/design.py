"""An audit before it starts, and its verdict: plan (n, c), operating curve, accept or reject.

The gate is an error rate that must not be reached. The plan (n, c) looks at n units drawn at random and
accepts on at most c errors; a lot exactly at the gate is accepted with probability 1 - level or less, exactly:
binomial, or hypergeometric where the population is known. Looking at the verdict after every item is
harmless, because it can be given early only when the whole plan could no longer end otherwise (curtailed
inspection: Cohen 1970, Technometrics 12, 295-298; Montgomery, Statistical Quality Control, section 15.2).
Looking at a *bound* after every item is not: see ``sequential``. How the units are drawn: ``draws``.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.audit.lots import at_least, at_most, first, first_near, level_of, lot_lower, lot_upper, units_at
from engine.statistics import (
    audit_size,
    binomial_at_least,
    binomial_at_most,
    clopper_pearson_lower,
    clopper_pearson_upper,
    normal_quantile,
)
from store.errors import InputError

CURVE = (0.125, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # shares of the gate at which the curve is shown
SURE, EVEN, RARE = 0.95, 0.5, 0.05
TEETH = 8
LARGEST_PLAN = 1_000_000


class Verdict(enum.StrEnum):
    """What an audit says so far. ``reject`` means *not proven* below the gate; see ``proven_above``."""

    ACCEPT = "accept"
    REJECT = "reject"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Plan:
    """Look at ``n`` units drawn at random, accept on at most ``c`` errors.

    ``gate``: the error rate that must not be reached; ``level``: the one-sided confidence; ``population``: units
    in the lot, None for endless; ``chosen``: how (n, c) came about, in words.
    """

    gate: float
    level: float
    n: int
    c: int
    population: int | None = None
    chosen: str = "given"

    def __post_init__(self) -> None:
        _gate(self.gate)
        level_of(self.level)
        if not 0 <= self.c <= self.n or not 1 <= self.n <= (self.population or self.n):
            raise InputError(f"(n, c) = ({self.n}, {self.c}) is no plan for a lot of {self.population}")

    @property
    def census(self) -> bool:
        """Every unit is looked at: the verdict is exact, no confidence is involved."""
        return self.n == self.population


def _gate(gate: float) -> None:
    if not 0 < gate < 1:
        raise InputError(f"a gate is an error rate inside 0 and 1, not {gate!r}", todo="2 % is 0.02")


# ---- planning --------------------------------------------------------------------------------------------


def plan_for(
    gate: float,
    level: float = 0.95,
    *,
    c: int | None = None,
    n: int | None = None,
    assumed: float | None = None,
    power: float | None = None,
    population: int | None = None,
) -> Plan:
    """The plan that proves an error rate below ``gate``, from one of three wishes.

    ``c``: the smallest n. ``n``: the largest c (n >= population is a census). ``assumed`` and ``power``: the
    smallest n that accepts a lot with the error rate ``assumed`` with at least this probability. Source: Hahn
    & Meeker (1991), Statistical Intervals, section 9.6, by exact probabilities. InputError where no plan
    exists, with the n it takes.

    >>> [(p.n, p.c) for p in (plan_for(0.02, c=c) for c in (0, 1, 2, 5))]
    [(149, 0), (236, 1), (313, 2), (523, 5)]
    >>> plan_for(0.02, n=400).c, plan_for(0.02, c=2, population=1_000).n
    (3, 281)
    >>> plan_for(0.02, assumed=0.005, power=0.9)
    Plan(gate=0.02, level=0.95, n=456, c=4, population=None, chosen='accepts 0.5 % with probability 0.9')
    """
    _gate(gate)
    level_of(level)
    if population is not None and population < 1:
        raise InputError(f"a lot of {population} units cannot be audited")
    wishes = (c is not None, n is not None, assumed is not None and power is not None)
    if sum(wishes) != 1 or (assumed is None) != (power is None):
        raise InputError(
            "a plan is chosen by c, by n, or by assumed and power", todo="give exactly one of them"
        )
    if n is not None:
        return _plan_of_size(gate, level, n, population)
    if assumed is not None and power is not None:
        return _plan_with_power(gate, level, assumed, power, population)
    allowed = c or 0
    return Plan(
        gate, level, smallest_n(gate, allowed, level, population), allowed, population, f"c = {allowed}"
    )


def smallest_n(gate: float, c: int, level: float, population: int | None = None) -> int:
    """The smallest n at which ``c`` errors still prove a rate below the gate.

    >>> smallest_n(0.02, 2, 0.95), smallest_n(0.02, 2, 0.95, 1_000), smallest_n(0.02, 2, 0.95, 10_000_000)
    (313, 281, 313)
    """
    if c < 0:
        raise InputError(f"{c} errors cannot be allowed")
    if population is None:
        return audit_size(gate, c, level)
    bad = units_at(gate, population)
    if c >= bad:
        raise InputError(f"{c} errors in {population} units reach the gate", todo=f"allow at most {bad - 1}")
    return first(lambda n: at_most(c, population, bad, n) <= 1 - level, c + 1, population)


def _plan_of_size(gate: float, level: float, n: int, population: int | None) -> Plan:
    if n < 1:
        raise InputError(f"{n} units are no audit")
    if population is not None and n >= population:
        bad = units_at(gate, population)
        return Plan(gate, level, population, bad - 1, population, "census")
    needed = smallest_n(gate, 0, level, population)
    if n < needed:
        raise InputError(
            f"{n} units cannot prove an error rate below {_percent(gate)} at level {level:g}, even without an error",
            todo=f"it takes at least {needed}",
        )
    alpha = 1 - level
    c = first(lambda k: _accepts(n, k, gate, population) > alpha, 1, n) - 1
    return Plan(gate, level, n, c, population, f"n = {n}")


def _plan_with_power(gate: float, level: float, assumed: float, power: float, population: int | None) -> Plan:
    """Power rises with c along the smallest n of each c, but for teeth of a saw: those are walked back over."""
    if not 0 <= assumed < gate or not 0 < power < 1:
        raise InputError(
            f"no plan accepts {_percent(assumed)} with probability {power:g} and proves less than {_percent(gate)}",
            todo="the assumed rate lies below the gate, the power inside 0 and 1",
        )
    if population is None:
        most = int(gate * _normal_size(gate, level, assumed, power)) + 64
    else:
        most = units_at(gate, population) - 1
        if units_at(assumed, population) > most:
            raise InputError(f"{_percent(assumed)} of {population} units already is {_percent(gate)}")

    def enough(c: int) -> bool:
        return _accepts(smallest_n(gate, c, level, population), c, assumed, population) >= power

    c = first_near(enough, 0, most, 0, 1)
    while earlier := [fewer for fewer in range(max(0, c - TEETH), c) if enough(fewer)]:
        c = earlier[0]
    chosen = f"accepts {_percent(assumed)} with probability {power:g}"
    return Plan(gate, level, smallest_n(gate, c, level, population), c, population, chosen)


def _normal_size(gate: float, level: float, assumed: float, power: float) -> int:
    """The normal approximation of the plan's n (Montgomery, section 15.2), to stop before a hopeless search."""
    spread = normal_quantile(level) * math.sqrt(gate * (1 - gate))
    spread += max(normal_quantile(power), 0.0) * math.sqrt(assumed * (1 - assumed))
    n = math.ceil((spread / (gate - assumed)) ** 2)
    if n > LARGEST_PLAN:
        raise InputError(
            f"to tell {assumed:g} from {gate:g} takes about {n:,} units", todo="lower the assumed rate"
        )
    return n


def _accepts(n: int, c: int, rate: float, population: int | None) -> float:
    if population is None:
        return binomial_at_most(c, n, rate)
    return at_most(c, population, units_at(rate, population), n)


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


# ---- what the plan will do -------------------------------------------------------------------------------


def acceptance(plan: Plan, rate: float) -> float:
    """P(the plan accepts) a lot with this error rate (in a finite lot: with the fewest errors that reach it).

    >>> round(acceptance(plan_for(0.02, c=0), 0.005), 2)  # half of all good teachers are sent back
    0.47
    """
    if not 0 <= rate <= 1:
        raise InputError(f"an error rate lies from 0 to 1: {rate!r}")
    return _accepts(plan.n, plan.c, rate, plan.population)


def operating_curve(plan: Plan, rates: Sequence[float] | None = None) -> list[tuple[float, float]]:
    """(error rate, P(accept)) lines for the screen, by default around the gate (Montgomery, section 15.2).

    >>> [(rate, round(p, 3)) for rate, p in operating_curve(plan_for(0.02, c=2), (0.005, 0.01, 0.02))]
    [(0.005, 0.793), (0.01, 0.393), (0.02, 0.05)]
    """
    shown = [plan.gate * share for share in CURVE] if rates is None else rates
    return [(rate, acceptance(plan, min(rate, 1.0))) for rate in shown]


def rate_accepted(plan: Plan, probability: float) -> float:
    """The largest error rate that the plan still accepts with this probability (SURE, EVEN, RARE = .95, .5, .05).

    Clopper and Pearson's bound read backwards: P(X <= c | n, rate) = probability.

    >>> [round(rate_accepted(plan_for(0.02, c=2), p), 4) for p in (SURE, EVEN, RARE)]
    [0.0026, 0.0085, 0.02]
    """
    level_of(probability)
    if plan.population is None:
        return clopper_pearson_upper(plan.c, plan.n, 1 - probability)
    size = plan.population

    def too_many(bad: int) -> bool:
        return at_most(plan.c, size, bad, plan.n) < probability

    return (first(too_many, plan.c + 1, size + 1) - 1) / size


# ---- the verdict -----------------------------------------------------------------------------------------


def verdict(plan: Plan, n_settled: int, errors: int) -> Verdict:
    """Accept, reject or insufficient after ``n_settled`` of the plan's n units are judged, in any order.

    The early verdict is the one that the full sample must give (curtailed inspection), so the level of the plan
    is untouched: reject once errors > c; accept once even errors in all that remains would not exceed c.
    Units judged beyond the plan's n have no place in it: InputError.

    >>> plan = plan_for(0.02, c=2)
    >>> [str(verdict(plan, n, errors)) for n, errors in ((100, 0), (100, 3), (312, 1), (313, 2))]
    ['insufficient', 'reject', 'accept', 'accept']
    """
    _settled(plan, n_settled, errors)
    if errors > plan.c:
        return Verdict.REJECT
    return Verdict.ACCEPT if errors + plan.n - n_settled <= plan.c else Verdict.INSUFFICIENT


def proven_above(plan: Plan, n_settled: int, errors: int) -> bool:
    """Whether a rejected lot is *proven* to reach the gate, and not merely not proven below it.

    The exact lower bound at the planned n reaches the gate at the plan's level. What remains unjudged counts as
    right, so it may be asked at any time. In a census every rejected lot is proven.

    >>> plan = plan_for(0.02, c=2)
    >>> [proven_above(plan, 313, errors) for errors in (3, 11, 12)]
    [False, False, True]
    """
    _settled(plan, n_settled, errors)
    if plan.population is None:
        return errors > 0 and binomial_at_least(errors, plan.n, plan.gate) < 1 - plan.level
    fewer = units_at(plan.gate, plan.population) - 1  # the fullest lot that does not reach the gate
    return at_least(errors, plan.population, fewer, plan.n) <= (0 if plan.census else 1 - plan.level)


def rate_bounds(plan: Plan, errors: int) -> tuple[float, float]:
    """The exact one-sided (lower, upper) bounds of the error rate, each at the plan's level, at the full n.

    >>> lower, upper = rate_bounds(plan_for(0.02, c=2), 2)
    >>> round(lower, 4), upper < 0.02
    (0.0011, True)
    """
    _settled(plan, plan.n, errors)
    if plan.population is None:
        low = clopper_pearson_lower(errors, plan.n, plan.level)
        return low, clopper_pearson_upper(errors, plan.n, plan.level)
    bounds = (find(errors, plan.n, plan.population, plan.level) for find in (lot_lower, lot_upper))
    low, high = (bad / plan.population for bad in bounds)
    return low, high


def _settled(plan: Plan, n_settled: int, errors: int) -> None:
    if not 0 <= errors <= n_settled <= plan.n:
        raise InputError(
            f"{errors} errors of {n_settled} judged do not fit a plan of {plan.n}",
            todo="only the units of the locked draw count, each once",
        )
