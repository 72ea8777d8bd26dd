"""Error rates from draws in which units did not have the same chance: queues by suspicion, strata.

The plain share of errors in such a draw says how good the suspicion was, not how good the teacher is. Every judged
unit stands for 1/pi units, pi its inclusion probability; the rate is a ratio of two weighted sums, so units
that were ruled ineligible (the prompt itself is bad) drop out above and below the line (a domain, Särndal, Swensson
& Wretman 1992, section 5.8). Display ``interval`` (Korn & Graubard: exact binomial on the effective sample size),
gate on ``upper_bound``, which adds what the least likely unit could hide. Neither is exact; each says how often it
held in simulations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.audit.lots import level_of
from engine.statistics import beta_quantile
from store.errors import InputError

Group = tuple[float, int, int]  # weight 1/pi, errors and right ones among the judged units that have it


@dataclass(frozen=True, slots=True)
class Judged:
    """One judged unit of a Poisson draw: the inclusion probability it was drawn with, and what was found."""

    probability: float
    error: bool
    eligible: bool = True  # False: outside the question, neither error nor right

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise InputError(f"a drawn unit has an inclusion probability in (0, 1], not {self.probability!r}")


@dataclass(frozen=True, slots=True)
class Stratum:
    """The counts of one stratum: ``judged`` of its ``size`` units were drawn at random and judged."""

    size: int
    judged: int
    errors: int
    eligible: int | None = None  # None: all that were judged

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.in_question <= self.judged <= self.size:
            raise InputError(f"{self} does not count one stratum")
        if self.size and not self.judged:
            raise InputError(
                f"nothing was judged in a stratum of {self.size}",
                todo="join it to another, or draw with a minimum",
            )

    @property
    def in_question(self) -> int:
        return self.judged if self.eligible is None else self.eligible


@dataclass(frozen=True, slots=True)
class Estimate:
    """A weighted error rate.

    ``n``: eligible units judged; ``errors``: errors among them; ``variance``: of ``rate`` under the design, with
    the finite population counted in; ``effective_n``: judged units of a simple random sample with endless
    population that would say as much (Kish 1965, section 8.2), inf when everything was judged; ``degrees`` of freedom of
    ``variance``. ``prudent_rate`` and ``prudent_n``: the same with one more error of the largest weight, for ``upper_bound``.
    """

    rate: float
    variance: float
    n: int
    errors: int
    effective_n: float
    degrees: int
    prudent_rate: float
    prudent_n: float

    @property
    def raw_rate(self) -> float:
        """Errors over n, unweighted: what the queue looks like, no estimate of anything."""
        return self.errors / self.n


# ---- estimates -------------------------------------------------------------------------------------------


def hajek(units: Iterable[Judged], *, least_probability: float | None = None) -> Estimate:
    """The error rate from a Poisson draw with unequal probabilities, a ratio of two weighted sums.

    Hájek's estimator with its linearised variance, the sum of (1 - pi)/pi² (error - rate)² over the squared sum
    of weights (Särndal, Swensson & Wretman 1992, section 5.7 and eq. 3.5.3). ``least_probability``: the least
    that any unit of the population had, by default the least seen. InputError without an eligible unit.

    >>> certain, rare = [Judged(1.0, i < 30) for i in range(50)], [Judged(0.01, i < 1) for i in range(100)]
    >>> estimate = hajek(certain + rare)  # 30 of 50 suspicious, 1 of 100 drawn from 10,000 others
    >>> round(estimate.raw_rate, 3), round(estimate.rate, 4), round(estimate.effective_n)
    (0.207, 0.0129, 131)
    """
    asked = [unit for unit in units if unit.eligible]
    groups = [(1 / unit.probability, int(unit.error), int(not unit.error)) for unit in asked]
    heaviest = max((w for w, _, _ in groups), default=1.0)
    if least_probability is not None:
        Judged(least_probability, error=False)  # refuses what is no probability
        heaviest = max(heaviest, 1 / least_probability)
    total, rate = _ratio(groups)
    variance = _poisson_variance(groups, rate) / total**2
    return _estimate(groups, rate, variance, len(asked) - 1, heaviest)


def stratified(strata: Sequence[Stratum]) -> Estimate:
    """The error rate from simple random draws in strata, with the finite population correction.

    The combined ratio estimate: with every unit eligible it is the stratified mean (Cochran 1977, section
    5.10 for proportions, theorem 5.3 for the variance; sections 6.11 and 5A.14 for the ratio over a domain).
    A stratum with one judged unit counts about the common rate (collapsed strata, Cochran section 5A.12, on the
    safe side). InputError where a stratum was not looked at.

    >>> estimate = stratified([Stratum(9_000, 81, 1), Stratum(900, 60, 6), Stratum(100, 100, 20)])
    >>> round(estimate.raw_rate, 3), round(estimate.rate, 4)
    (0.112, 0.0221)
    """
    used = [stratum for stratum in strata if stratum.size]
    groups = [(s.size / s.judged, s.errors, s.in_question - s.errors) for s in used]
    total, rate = _ratio(groups)
    variance = math.fsum(_stratum_variance(stratum, rate) for stratum in used) / total**2
    return _estimate(groups, rate, variance, sum(s.judged - 1 for s in used), max(w for w, _, _ in groups))


def _ratio(groups: Sequence[Group]) -> tuple[float, float]:
    """(sum of weights, weighted error rate) over (weight, errors, right) groups."""
    found = math.fsum(w * errors for w, errors, _ in groups)
    missed = math.fsum(w * right for w, _, right in groups)
    if not groups or not found + missed:
        raise InputError("no eligible unit was judged, so there is no error rate", todo="judge some first")
    return found + missed, found / (found + missed)


def _poisson_variance(groups: Iterable[Group], rate: float) -> float:
    """Sum of (1 - pi)/pi² (error - rate)², with weight w = 1/pi."""
    return math.fsum(
        w * (w - 1) * (errors * (1 - rate) ** 2 + right * rate**2) for w, errors, right in groups
    )


def _estimate(
    groups: Sequence[Group], rate: float, variance: float, degrees: int, heaviest: float
) -> Estimate:
    n, errors = sum(wrong + right for _, wrong, right in groups), sum(wrong for _, wrong, _ in groups)
    total = math.fsum(w * (wrong + right) for w, wrong, right in groups)
    spread = math.fsum(w * (w - 1) * (wrong + right) for w, wrong, right in groups)
    even = total**2 / spread if spread else math.inf  # Kish's n, if errors do not depend on the weight
    most = n / (1 - n / total) if n < total else math.inf  # what a simple random sample of n would say
    more = [*groups, (heaviest, 1, 0)]
    all_weights, prudent = _ratio(more)
    hidden = _poisson_variance(more, prudent) / all_weights**2
    return Estimate(
        rate=rate,
        variance=variance,
        n=n,
        errors=errors,
        effective_n=_effective(rate, variance, even, most),
        degrees=degrees,
        prudent_rate=prudent,
        prudent_n=prudent * (1 - prudent) / hidden if hidden else math.inf,
    )


def _stratum_variance(stratum: Stratum, rate: float) -> float:
    """Variance of the stratum's sum of (error - rate) over eligible units, 0 for the others."""
    if stratum.judged == stratum.size:
        return 0.0
    if stratum.judged == 1:  # no variance of its own: about the common rate, which is too large on average
        weights = (float(stratum.size), stratum.errors, stratum.in_question - stratum.errors)
        return _poisson_variance([weights], rate)
    n, wrong, right = stratum.judged, stratum.errors, stratum.in_question - stratum.errors
    mean = (wrong * (1 - rate) - right * rate) / n
    outside = n - stratum.in_question
    squares = wrong * (1 - rate - mean) ** 2 + right * (rate + mean) ** 2 + outside * mean * mean
    return stratum.size**2 * (1 - n / stratum.size) * squares / (n - 1) / n


def _effective(rate: float, variance: float, even: float, most: float) -> float:
    """rate (1 - rate) / variance, but never better than a simple random sample of the same size.

    Few weighted errors make a variance that looks too good; without any error, or nothing but errors, there is
    none, and Kish's n = (sum w)² / sum w² (here with the finite population) takes its place.
    """
    if even == math.inf:
        return math.inf
    if not 0 < rate < 1:
        return min(even, most)
    return min(rate * (1 - rate) / variance, most) if variance else most


def design_effect(estimate: Estimate) -> float:
    """How many times more units this design had to judge than a simple random sample, for the same variance.

    Kish (1965), section 8.2: the variance over that of a simple random sample of n. Below 1 the suspicion
    saved work; without an error it is what the weights alone cost. The interval never uses less than 1.

    >>> certain, rare = [Judged(1.0, i < 30) for i in range(50)], [Judged(0.01, i < 1) for i in range(100)]
    >>> round(design_effect(hajek(certain + rare)), 2)
    1.14
    """
    rate, n = estimate.rate, estimate.n
    if 0 < rate < 1:
        return estimate.variance * n / (rate * (1 - rate))
    return n / estimate.effective_n


# ---- intervals -------------------------------------------------------------------------------------------


def interval(estimate: Estimate, level: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of the rate, to display.

    Korn & Graubard (1998), Survey Methodology 24, 193-201: Clopper and Pearson on effective n and effective
    errors. Simulated 95 % intervals (150 to 400 drawn, rates .02 to .45) held in .93 to 1.00 of draws where
    suspicion knows something, but fell to .88 where it knows nothing and few heavy errors are seen.

    >>> certain, rare = [Judged(1.0, i < 30) for i in range(50)], [Judged(0.01, i < 1) for i in range(100)]
    >>> [round(x, 3) for x in interval(hajek(certain + rare))]
    [0.001, 0.05]
    """
    tail = (1 - level_of(level)) / 2
    return _lower(estimate, tail), _upper(estimate, tail)


def upper_bound(estimate: Estimate, level: float = 0.95) -> float:
    """The one-sided upper bound, to gate a rate that must stay below something.

    The larger of Korn and Graubard's and the beta quantile at ``prudent_rate`` and ``prudent_n``: one more error
    of the largest weight is supposed before bounding. With equal weights that is Clopper and Pearson; with
    rare errors it is Fay & Feuer's gamma bound (1997, Statistics in Medicine 16, 791-801). Korn and Graubard's alone
    held in as few as .86 of draws (nominal .95) where a few heavy errors decide; this one in .94 to 1.00. It
    is dear: without any error it is about 3 / (floor * n), so a weighted queue seldom proves a rate below 2 %.

    >>> round(upper_bound(hajek([Judged(0.03, False)] * 149)), 4)  # the simple (149, 0) at 2 %
    0.0197
    >>> unseen = [Judged(1.0, False)] * 100 + [Judged(0.01, False)] * 49  # 49 of 4,900: 2 % is not proven
    >>> round(upper_bound(hajek(unseen)), 3)
    0.058
    """
    tail = 1 - level_of(level)
    bound, n, rate = _upper(estimate, tail), estimate.prudent_n, estimate.prudent_rate
    if estimate.effective_n == math.inf or rate == 1 or n == math.inf:
        return bound
    return max(bound, 1 - beta_quantile((1 - rate) * n, rate * n, tail))


def lower_bound(estimate: Estimate, level: float = 0.95) -> float:
    """The one-sided lower bound.

    >>> lower_bound(hajek([Judged(0.03, False)] * 149))
    0.0
    """
    return _lower(estimate, 1 - level_of(level))


def _lower(estimate: Estimate, tail: float) -> float:
    n = _adjusted(estimate, tail)
    if n == math.inf or estimate.rate == 0:
        return estimate.rate
    if estimate.rate == 1:
        return math.pow(tail, 1 / n)
    return beta_quantile(n * estimate.rate, n * (1 - estimate.rate) + 1, tail)


def _upper(estimate: Estimate, tail: float) -> float:
    n = _adjusted(estimate, tail)
    if n == math.inf or estimate.rate == 1:
        return estimate.rate
    if estimate.rate == 0:
        return 1 - math.pow(tail, 1 / n)
    return 1 - beta_quantile(n * (1 - estimate.rate), n * estimate.rate + 1, tail)


def _adjusted(estimate: Estimate, tail: float) -> float:
    """Effective n times (t of n - 1 / t of the degrees of freedom)² (Korn & Graubard 1998, section 2).

    The binomial already pays for n - 1 degrees; a design that leaves fewer (strata) pays for the difference.
    With no degree at all nothing is known: one unit.
    """
    if estimate.effective_n == math.inf:
        return math.inf
    if estimate.degrees < 1 or estimate.n < 2:
        return min(1.0, estimate.effective_n)
    if estimate.degrees >= estimate.n - 1:
        return estimate.effective_n
    ratio = student_quantile(tail, estimate.n - 1) / student_quantile(tail, estimate.degrees)
    return estimate.effective_n * ratio * ratio


def student_quantile(tail: float, degrees: int) -> float:
    """The t that Student's distribution exceeds with probability ``tail`` < 1/2 (Abramowitz & Stegun 26.7.1).

    >>> round(student_quantile(0.025, 10), 4)
    2.2281
    """
    if not 0 < tail < 0.5 or degrees < 1:
        raise InputError(f"no t quantile for a tail of {tail!r} and {degrees} degrees of freedom")
    x = beta_quantile(degrees / 2, 0.5, 2 * tail)
    return math.sqrt(degrees * (1 - x) / x)
