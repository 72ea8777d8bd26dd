"""Bounds, tests and sample sizes from counts: plain ``math``, deterministic, no numpy, no scipy.

The console shows these numbers while somebody decides, so they must be cheap to import and the same on every
machine. scipy is their oracle in the tests. ``level`` is a confidence such as 0.95: one-sided for every
bound here except ``wilson``, which displays a two-sided interval. Wilson is to display, exact and score
bounds are to gate, Wald is never used. Impossible counts raise InputError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from store.errors import InputError

TINY = 1e-300
EXACT_PLAN_MAX = 50_000  # above it the normal plan is within 1 % of the exact one


# ---- distributions ---------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def normal_quantile(p: float) -> float:
    """The standard normal quantile of ``p`` in (0, 1) (Wichura 1988, AS241, by the standard library).

    >>> round(normal_quantile(0.95), 6)
    1.644854
    """
    from statistics import NormalDist  # 9 ms of CPU that a screen without bounds need not pay

    if not 0 < p < 1:
        raise InputError(f"a probability inside 0 and 1 is needed, not {p!r}")
    return NormalDist().inv_cdf(p)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b) (Lentz's continued fraction, DLMF 8.17.22).

    >>> round(incomplete_beta(2, 3, 0.5), 6)
    0.6875
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only on its own side of the mean
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    return math.exp(_log_beta_density(a, b, x) + math.log(x) + math.log1p(-x)) / a * _beta_fraction(a, b, x)


def _log_beta_density(a: float, b: float, x: float) -> float:
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return (a - 1) * math.log(x) + (b - 1) * math.log1p(-x) - log_beta


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b); about sqrt(max(a, b)) terms."""
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    c, fraction = 1.0, d
    for m in range(1, 20_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _away_from_zero(1 + step * d)
            c = _away_from_zero(1 + step / c)
            fraction *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return fraction


def _away_from_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def binomial_at_least(k: int, n: int, p: float) -> float:
    """P(X >= k) of X ~ Binomial(n, p).

    >>> round(binomial_at_least(1, 149, 0.02), 4)
    0.9507
    """
    if k <= 0:
        return 1.0
    return incomplete_beta(k, n - k + 1, p) if k <= n else 0.0


def binomial_at_most(k: int, n: int, p: float) -> float:
    """P(X <= k) of X ~ Binomial(n, p), without the cancellation of ``1 - binomial_at_least``."""
    if k < 0:
        return 0.0
    return incomplete_beta(n - k, k + 1, 1.0 - p) if k < n else 1.0


# ---- one proportion --------------------------------------------------------------------------------------


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The two-sided score interval of k/n (Wilson 1927; Brown, Cai & DasGupta 2001 recommend it to display).

    >>> [round(x, 3) for x in wilson(2, 100)]
    [0.006, 0.07]
    """
    _count(k, n)
    if n == 0:
        return 0.0, 1.0
    z = normal_quantile((1 + level) / 2)
    middle = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return (max(0.0, middle - half) if k else 0.0), (min(1.0, middle + half) if k < n else 1.0)


def clopper_pearson_lower(k: int, n: int, level: float) -> float:
    """The exact one-sided lower bound of a proportion (Clopper & Pearson 1934).

    It is the p at which P(X >= k) = 1 - level; within 1e-9 of scipy's beta quantile up to n = 1,000,000.

    >>> round(clopper_pearson_lower(149, 149, 0.95), 5)
    0.9801
    """
    _count(k, n)
    if k == 0:
        return 0.0
    if k == n:
        return math.exp(math.log(1 - level) / n)
    return beta_quantile(k, n - k + 1, 1 - level)


def clopper_pearson_upper(k: int, n: int, level: float) -> float:
    """The exact one-sided upper bound of a proportion.

    >>> clopper_pearson_upper(0, 149, 0.95) < 0.02 < clopper_pearson_upper(0, 148, 0.95)
    True
    """
    return 1.0 - clopper_pearson_lower(n - k, n, level)


def beta_quantile(a: float, b: float, target: float) -> float:
    """The x with I_x(a, b) = target: Newton on the density, kept inside a shrinking bracket.

    >>> round(beta_quantile(2, 3, 0.6875), 6)
    0.5
    """
    low, high = 0.0, 1.0
    mean = a / (a + b)
    x = mean + normal_quantile(target) * math.sqrt(mean * (1 - mean) / (a + b + 1))
    for _ in range(200):
        if not low < x < high:
            x = (low + high) / 2
        gap = incomplete_beta(a, b, x) - target
        low, high = (x, high) if gap < 0 else (low, x)
        log_density = _log_beta_density(a, b, x)
        step = gap / math.exp(log_density) if log_density > -700 else math.inf
        if abs(step) < 1e-15 or high - low < 1e-16:
            break
        x -= step
    return x


def _count(k: int, n: int) -> None:
    if not 0 <= k <= n:
        raise InputError(f"{k} of {n} is not a count")


# ---- student minus teacher, paired -----------------------------------------------------------------------


def tango_score(n: int, teacher_only: int, student_only: int, difference: float) -> float:
    """Tango's score statistic of H0: P(student right) - P(teacher right) = ``difference``.

    Source: Tango, T. (1998), "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design", Statistics in Medicine 17, 891-908. ``teacher_only`` and
    ``student_only`` count the discordant prompts; q is the restricted maximum-likelihood estimate of
    P(only the teacher is right).
    """
    linear = (2 * n + teacher_only - student_only) * difference - teacher_only - student_only
    constant = -teacher_only * difference * (1 - difference)
    root = math.sqrt(max(linear * linear - 8 * n * constant, 0.0))
    # One root, written two ways so that nearly equal numbers are never subtracted.
    q = (root - linear) / (4 * n) if linear <= 0 else -2 * constant / (root + linear)
    variance = n * (2 * q + difference * (1 - difference))
    return (student_only - teacher_only - n * difference) / math.sqrt(max(variance, TINY))


def tango_lower(n: int, teacher_only: int, student_only: int, level: float) -> float:
    """The one-sided lower score bound of student minus teacher accuracy (Tango 1998, by bisection).

    Defined without discordant prompts too: then it is -z²/(n + z²). Nothing seen (n = 0) is bounded by -1.

    >>> round(tango_lower(40, 1, 0, 0.95), 4), round(tango_lower(1319, 499, 43, 0.95), 4)
    (-0.1046, -0.3702)
    """
    _pairs(n, teacher_only, student_only)
    if n == 0:
        return -1.0
    z = normal_quantile(level)
    low, high = -1.0, (student_only - teacher_only) / n
    for _ in range(64):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if tango_score(n, teacher_only, student_only, middle) > z:
            low = middle
        else:
            high = middle
    return low  # the conservative end of what is left


def tango_upper(n: int, teacher_only: int, student_only: int, level: float) -> float:
    """The one-sided upper score bound: the lower one with the roles exchanged.

    >>> tango_upper(40, 1, 0, 0.95) == -tango_lower(40, 0, 1, 0.95)
    True
    """
    return -tango_lower(n, student_only, teacher_only, level)


def _pairs(n: int, teacher_only: int, student_only: int) -> None:
    if min(n, teacher_only, student_only) < 0 or teacher_only + student_only > n:
        raise InputError(f"{teacher_only} + {student_only} discordant of {n} are not counts of pairs")


# ---- how many it takes -----------------------------------------------------------------------------------


def flawless_margin_n(margin: float, level: float) -> int:
    """The smallest n at which a student that never differs from the teacher passes ``margin`` (in (0, 1)).

    >>> flawless_margin_n(0.03, 0.95)
    88
    """
    z = normal_quantile(level)
    return math.ceil(z * z * (1 - margin) / margin)


def flawless_floor_n(floor: float, level: float) -> int:
    """The smallest n at which a student without one error passes ``floor`` (in (0, 1)).

    >>> flawless_floor_n(0.98, 0.95)
    149
    """
    return math.ceil(math.log(1 - level) / math.log(floor))


def n_needed_margin(
    margin: float, level: float, discordance: float, *, difference: float = 0.0, power: float = 0.8
) -> int | None:
    """The n at which a paired margin row passes with ``power``, or None where it is not above its bar.

    n = (z_level + z_power)² · (discordance - difference²) / (margin + difference)², the paired
    non-inferiority plan (Liu, Hsueh, Hsieh & Chen 2002, Statistics in Medicine 21, 231-245), and never below
    what a flawless student needs. ``margin`` is positive (0.03: at most three points worse),
    ``discordance`` the share of prompts on which one alone is right, ``difference`` the true student minus
    teacher assumed.

    >>> n_needed_margin(0.03, 0.95, 0.08)
    550
    """
    room = margin + difference
    if room <= 0:
        return None
    z = normal_quantile(level) + normal_quantile(power)
    planned = math.ceil(z * z * max(discordance - difference * difference, 0.0) / (room * room))
    return max(planned, flawless_margin_n(margin, level))


def n_needed_floor(floor: float, level: float, accuracy: float, *, power: float = 0.8) -> int | None:
    """The n at which an exact floor row passes with ``power`` if the student's accuracy is ``accuracy``.

    None where the accuracy is not above the floor. Exact binomial power is a saw-tooth in n; its peaks rise
    and lie where one more error becomes allowed, and the answer is the first peak that is high enough.

    >>> n_needed_floor(0.90, 0.95, 0.95)
    179
    """
    if accuracy <= floor:
        return None
    z_level, z_power = normal_quantile(level), normal_quantile(power)
    spread = z_level * math.sqrt(floor * (1 - floor)) + z_power * math.sqrt(accuracy * (1 - accuracy))
    plan = math.ceil((spread / (accuracy - floor)) ** 2)
    if plan > EXACT_PLAN_MAX:
        return plan

    def enough(errors: int) -> bool:
        n = audit_size(1 - floor, errors, level)
        return binomial_at_most(errors, n, 1 - accuracy) >= power

    return audit_size(1 - floor, _first(enough, 0), level)


def _first(holds: Callable[[int], bool], low: int, high: int | None = None) -> int:
    """The first integer from ``low`` at which a rising condition holds (``high``: known to hold)."""
    step = max(1, low // 8)
    while high is None:
        if holds(low + step):
            high = low + step
        else:
            low, step = low + step + 1, step * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


# ---- audit plans -----------------------------------------------------------------------------------------


def audit_size(gate: float, c: int, level: float = 0.95) -> int:
    """The smallest n for which at most ``c`` errors prove, exactly, an error rate below ``gate``.

    >>> [audit_size(0.02, c) for c in (0, 1, 2, 5)]
    [149, 236, 313, 523]
    """
    return _first(lambda n: binomial_at_most(c, n, gate) <= 1 - level, c + 1)


def acceptance(n: int, c: int, rate: float) -> float:
    """P(the audit accepts): at most ``c`` errors among ``n`` drawn from a lot with error rate ``rate``.

    >>> round(acceptance(149, 0, 0.005), 2)
    0.47
    """
    return binomial_at_most(c, n, rate)


def operating_curve(n: int, c: int, rates: Sequence[float]) -> list[tuple[float, float]]:
    """(error rate, P(accept)) of the plan (n, c): shown before the audit starts."""
    return [(rate, acceptance(n, c, rate)) for rate in rates]


def attempt_level(level: float, attempt: int) -> float:
    """The level that attempt 1, 2, … is judged at: alpha spent as 6 / (pi² t²), so all attempts sum to alpha.

    >>> [round(attempt_level(0.95, t), 4) for t in (1, 2, 3)]
    [0.9696, 0.9924, 0.9966]
    """
    if attempt < 1:
        raise InputError(f"attempts are counted from 1, not {attempt}")
    return 1 - (1 - level) * 6 / (math.pi**2 * attempt**2)


# ---- latency and cost ------------------------------------------------------------------------------------


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the ascending ``ordered`` values do not exceed.

    >>> percentile([10, 20, 30, 40], 0.5)
    20
    """
    if not ordered:
        raise InputError("no value, no percentile")
    return ordered[max(math.ceil(share * len(ordered) - 1e-9), 1) - 1]


def percentile_bounds(
    ordered: Sequence[float], share: float, level: float
) -> tuple[float | None, float | None]:
    """One-sided (lower, upper) bounds of a percentile: order statistics of ascending ``ordered`` values.

    Distribution-free and exact (Conover 1999, section 3.2; Hahn & Meeker 1991, chapter 5): the r-th value
    is an upper bound where P(Binomial(n, share) <= r - 1) >= level. We take it rather than a bootstrap
    because it needs no seed, gives everybody the same number, and holds its level in the tail, where
    resampling a few large values does not. None where n is too small: the 95th percentile has no upper bound
    at level 0.95 below 59 values.

    >>> percentile_bounds(range(1, 59), 0.95, 0.95)[1], percentile_bounds(range(1, 60), 0.95, 0.95)[1]
    (None, 59)
    """
    n = len(ordered)
    upper = _first(lambda r: r > n or binomial_at_most(r - 1, n, share) >= level, 1, n + 1)
    beyond = _first(lambda r: r > n or binomial_at_least(r, n, share) < level, 1, n + 1)
    return (ordered[beyond - 2] if beyond > 1 else None), (ordered[upper - 1] if upper <= n else None)


def mean_bounds(values: Sequence[float], level: float) -> tuple[float, float, float]:
    """(lower, mean, upper) of a mean by the central limit theorem; at least two values, some dozens to trust.

    >>> mean_bounds([3, 3, 3], 0.95)
    (3.0, 3.0, 3.0)
    """
    n = len(values)
    if n < 2:
        raise InputError(f"a mean of {n} values has no bounds")
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = normal_quantile(level) * math.sqrt(variance / n)
    return mean - half, mean, mean + half
