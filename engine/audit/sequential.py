"""Bounds that stay valid while people look at them after every item, and stop when they like.

The lot is finite: N units, an unknown number K of them errors, judged in random order (``draws.simple_order``).
For every K a martingale compares how well a prior guess predicted the draws with how well K does; it starts
at 1, and by Ville's inequality the true K ever reaches 1/alpha with probability alpha at most. What is below 1/alpha
is the confidence sequence: prior-posterior-ratio, Waudby-Smith & Ramdas 2020, "Confidence sequences for sampling
without replacement" (NeurIPS 33), section 2. The level holds for any prior; the prior decides only how soon.

The prior is Beta(1, 2/gate - 1): its mean is half the gate, where a teacher worth auditing lies, and one error
less is always likelier than one more. Without a gate it is Beta(1, 9). The units must come in random order; a queue
sorted by suspicion has no such bound.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable

from engine.audit.lots import counts_of, first, first_near, level_of, log_mass, units_at
from engine.statistics import incomplete_beta
from store.errors import InputError

Prior = tuple[float, float]
DISPLAY_PRIOR: Prior = (1.0, 9.0)  # mean 10 %: costs little from 0 to 50 % errors


class Standing(enum.StrEnum):
    """What may be said now, and would still be right if this were the moment to stop."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    UNDECIDED = "undecided"


def gate_prior(gate: float) -> Prior:
    """The prior that passes soonest when the error rate is about half the gate.

    >>> gate_prior(0.02)
    (1.0, 99.0)
    """
    if not 0 < gate < 1:
        raise InputError(f"a gate is an error rate inside 0 and 1, not {gate!r}")
    return 1.0, 2 / gate - 1


def _fail_prior(gate: float) -> Prior:
    """Mean at twice the gate: a lot that bad should be stopped soon."""
    return 1.0, max(0.5 / gate - 1, 1.0)


# ---- evidence --------------------------------------------------------------------------------------------


def log_evidence(errors: int, n: int, population: int, bad: int, prior: Prior) -> float:
    """log of the martingale of the lot content ``bad``: how much better the prior predicted the draws.

    Marginal probability of the counts under a beta-binomial prior over their hypergeometric probability (the
    ratio of prior to posterior, Waudby-Smith & Ramdas 2020, eq. 2.4 and appendix). ``bad`` is excluded at level
    1 - alpha once this has ever reached log(1/alpha); inf where it is impossible.

    >>> round(math.exp(log_evidence(0, 200, 5_000, 100, (1, 99))), 1)  # 20 excludes at level 0.95
    20.5
    """
    likelihood = log_mass(errors, population, bad, n)
    return math.inf if likelihood == -math.inf else _log_marginal(errors, n, prior) - likelihood


def _log_marginal(errors: int, n: int, prior: Prior) -> float:
    """log P(errors of n) of the beta-binomial, in any order."""
    a, b = prior
    ways = -math.log(n + 1) - _log_beta(errors + 1, n - errors + 1)
    return ways + _log_beta(a + errors, b + n - errors) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_below_evidence(errors: int, n: int, population: int, bad: int, prior: Prior) -> float:
    """``log_evidence`` with the prior cut off at bad/population: nothing is spent on fuller lots."""
    evidence = log_evidence(errors, n, population, bad, prior)
    if evidence == math.inf:
        return evidence
    (a, b), rate = prior, bad / population
    after = incomplete_beta(a + errors, b + n - errors, rate)
    return evidence + math.log(after / incomplete_beta(a, b, rate)) if after > 0 else -math.inf


def _asked(errors: int, n: int, population: int, level: float, prior: Prior) -> float:
    """log(1/alpha), once the question is seen to be possible."""
    counts_of(errors, n, population)
    if population < 1:
        raise InputError("a lot without units has no error rate")
    if not (prior[0] > 0 and prior[1] > 0):
        raise InputError(f"a beta prior has two positive parameters, not {prior}")
    return -math.log(1 - level_of(level))


def _mode(errors: int, n: int, population: int) -> int:
    """The lot content under which what was seen is likeliest; evidence grows on both sides of it."""
    return min((population + 1) * errors // n, population - n + errors) if n else errors


# ---- bounds ----------------------------------------------------------------------------------------------


def sequence_bounds(
    errors: int, n: int, population: int, level: float = 0.95, prior: Prior = DISPLAY_PRIOR
) -> tuple[int, int]:
    """(low, high) number of errors in the lot at this moment, valid at every moment together.

    With probability ``level`` the truth is inside each of these intervals, however often they are looked at and
    whenever one stops. Both ends share alpha. Divide by ``population`` for rates.

    >>> sequence_bounds(2, 313, 5_000), sequence_bounds(2, 313, 5_000, prior=gate_prior(0.02))
    ((2, 163), (3, 132))
    """
    limit = _asked(errors, n, population, level, prior)
    mode = _mode(errors, n, population)
    marginal = _log_marginal(errors, n, prior)

    def excluded(bad: int) -> bool:
        return marginal - log_mass(errors, population, bad, n) >= limit

    low = first(lambda bad: not excluded(bad), errors, mode)
    return low, first(excluded, mode + 1, population - n + errors + 1) - 1


def upper_bound(
    errors: int, n: int, population: int, level: float = 0.95, prior: Prior = DISPLAY_PRIOR
) -> int:
    """The one-sided upper bound of the number of errors in the lot, valid at every moment together.

    All of alpha is on this side: each K is compared with a prior cut off above K (beta, truncated at K/N; any
    mixture over smaller K is a martingale too), which decides 2 to 4 % sooner than the two-sided interval. The
    prior must fall (a <= 1 <= b): then evidence grows with K above the mode and one search finds the bound.

    >>> upper_bound(2, 409, 5_000, prior=gate_prior(0.02)), upper_bound(2, 410, 5_000, prior=gate_prior(0.02))
    (100, 99)
    """
    limit = _asked(errors, n, population, level, prior)
    if not prior[0] <= 1 <= prior[1]:
        raise InputError(f"a one-sided bound takes a falling prior, a <= 1 <= b, not {prior}")

    def excluded(bad: int) -> bool:
        return _log_below_evidence(errors, n, population, bad, prior) >= limit

    low, high = max(_mode(errors, n, population), errors) + 1, population - n + errors + 1
    around = population * (errors + 3 + 3 * math.sqrt(errors + 1)) / (n + 1)
    return first_near(excluded, low, high, int(around), int(around / 16)) - 1


def lower_bound(
    errors: int, n: int, population: int, level: float = 0.95, prior: Prior = DISPLAY_PRIOR
) -> int:
    """The one-sided lower bound: the lower end of the two-sided interval, which spends a little on the other end.

    >>> lower_bound(20, 400, 5_000) / 5_000 > 0.02
    True
    """
    return sequence_bounds(errors, n, population, level, prior)[0]


def running_bounds(
    outcomes: Iterable[bool], population: int, level: float = 0.95, prior: Prior = DISPLAY_PRIOR
) -> tuple[int, int]:
    """The intersection of ``sequence_bounds`` after each of the ``outcomes`` (True: error), in drawn order.

    Never wider than the interval of this moment, with the same level (Waudby-Smith & Ramdas 2020, section 2).
    low > high says that earlier and later items contradict each other: the one lot in 1/alpha, or, more often,
    an order that was not random; then no interval is to be trusted.

    >>> running_bounds([False] * 200 + [True] + [False] * 99, 5_000)
    (1, 139)
    """
    errors = n = 0
    low, high = sequence_bounds(0, 0, population, level, prior)
    limit = _asked(0, 0, population, level, prior)
    for n, outcome in enumerate(outcomes, 1):
        errors += outcome
        counts_of(errors, n, population)
        low, high = _narrowed((low, high), errors, n, population, limit=limit, prior=prior)
    return low, high


def _narrowed(
    known: tuple[int, int], errors: int, n: int, population: int, *, limit: float, prior: Prior
) -> tuple[int, int]:
    """``known`` without what the counts of this moment exclude; ends move little, so the search starts there."""
    marginal, mode = _log_marginal(errors, n, prior), _mode(errors, n, population)
    step = max(population // (8 * n), 1)

    def excluded(bad: int) -> bool:
        return marginal - log_mass(errors, population, bad, n) >= limit

    low, high = known
    if low < mode and excluded(low):
        low = first_near(lambda bad: not excluded(bad), low + 1, mode, low + 1, step)
    elif low >= mode and excluded(low):
        low = population + 1  # everything that was left is excluded from above
    if high > mode and excluded(high):
        high = first_near(excluded, mode + 1, high, high - step, step) - 1
    elif high <= mode and excluded(high):
        high = -1
    return low, high


# ---- the gate --------------------------------------------------------------------------------------------


def sequential_verdict(
    gate: float, errors: int, n: int, population: int, level: float = 0.95, *, prior: Prior | None = None
) -> Standing:
    """Pass, fail or undecided, asked as often as one likes.

    Pass: ``upper_bound`` is below the gate; a lot at or above the gate ever passes with probability 1 - level at
    most. Fail: ``lower_bound`` reaches the gate; a lot below it ever fails with probability 1 - level at most. Each
    side has a prior of its own unless one is given.

    >>> [str(sequential_verdict(0.02, *seen, 5_000)) for seen in ((2, 313), (2, 410), (20, 400))]
    ['undecided', 'pass', 'fail']
    """
    below, above = prior or gate_prior(gate), prior or _fail_prior(gate)
    limit = _asked(errors, n, population, level, below)
    bad = units_at(gate, population)
    if _mode(errors, n, population) < bad:
        evidence = _log_below_evidence(errors, n, population, bad, below)
        return Standing.PASS if evidence >= limit else Standing.UNDECIDED
    failed = log_evidence(errors, n, population, bad - 1, above) >= limit
    return Standing.FAIL if failed else Standing.UNDECIDED


def sequential_size(gate: float, errors: int, population: int, level: float = 0.95) -> int:
    """How many units in all must be judged for a pass if no more than ``errors`` are found.

    The price of looking: ``design.smallest_n`` says what a plan without looks takes.

    >>> [sequential_size(0.02, errors, 5_000) for errors in (0, 1, 2)]
    [191, 310, 410]
    """
    bad = units_at(gate, population)
    if not 0 <= errors < bad:
        raise InputError(f"{errors} errors in {population} units reach the gate")
    prior = gate_prior(gate)
    limit = _asked(errors, errors, population, level, prior)

    def passes(n: int) -> bool:
        if _mode(errors, n, population) >= bad:
            return False
        return _log_below_evidence(errors, n, population, bad, prior) >= limit

    return first(passes, max(errors, 1), population)
