"""A finite lot: how many of its N units are errors, from n of them drawn without replacement.

The hypergeometric distribution in plain ``math``, exact to about 1e-12 for lots of ten million units, where
sums of ``lgamma`` lose eight digits. A lot is ``population`` units of which ``bad`` are errors; ``drawn`` of
them are looked at and ``errors`` found.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from engine.statistics import normal_quantile
from store.errors import InputError

HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
NEGLIGIBLE = 1e-18  # a tail stops where its terms no longer change the sum


def first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first integer from ``low`` at which a condition that stays true holds; ``high`` if none before it.

    >>> first(lambda n: n * n >= 50, 0, 100)
    8
    """
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def first_near(holds: Callable[[int], bool], low: int, high: int, guess: int, step: int) -> int:
    """``first``, searched outwards from a guess in growing steps: for conditions that are dear to ask."""
    guess, step = min(max(guess, low), high), max(step, 1)
    if guess < high and not holds(guess):
        low = guess + 1
        while low + step < high and not holds(low + step):
            low, step = low + step + 1, step * 2
        return first(holds, low, min(low + step, high))
    high = guess
    while low <= high - step and holds(high - step):
        high, step = high - step, step * 2
    return first(holds, max(low, high - step + 1), high)


def level_of(level: float) -> float:
    """``level`` itself, once it is seen to be a confidence inside 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"a confidence lies inside 0 and 1: {level!r}", todo="0.95 is usual")
    return level


def units_at(rate: float, population: int) -> int:
    """The fewest errors at which a lot of ``population`` units has at least this error rate.

    >>> units_at(0.02, 5_000), units_at(0.02, 5_001)
    (100, 101)
    """
    units = math.ceil(rate * population)
    while units > 0 and (units - 1) / population >= rate:  # 0.02 * 5000 may round upwards
        units -= 1
    while units < population and units / population < rate:
        units += 1
    return units


# ---- the distribution ------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _stirling_error(n: int) -> float:
    """log n! - log(sqrt(2 pi n) (n/e)^n), n >= 1 (Loader 2000, section 2)."""
    if n < 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - HALF_LOG_TAU
    square = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / (1188 * square)) / square) / square) / square) / n


def _deviance(x: float, mean: float) -> float:
    """x log(x/mean) + mean - x without cancellation near x = mean (Loader 2000, section 4)."""
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * math.log(x / mean) + mean - x
    v = (x - mean) / (x + mean)
    total, power, odd = (x - mean) * v, 2 * x * v, 1
    while True:
        power *= v * v
        odd += 2
        more = total + power / odd
        if more == total:
            return total
        total = more


def _log_binomial(x: int, n: int, p: float, q: float) -> float:
    """log P(X = x) of Binomial(n, p), q = 1 - p given exactly; both inside 0 and 1."""
    if x == 0:
        return n * (math.log1p(-p) if p < 0.5 else math.log(q))
    if x == n:
        return n * (math.log1p(-q) if q < 0.5 else math.log(p))
    errors = _stirling_error(n) - _stirling_error(x) - _stirling_error(n - x)
    deviance = _deviance(x, n * p) + _deviance(n - x, n * q)
    return errors - deviance - HALF_LOG_TAU - 0.5 * (math.log(x) + math.log1p(-x / n))


def log_mass(errors: int, population: int, bad: int, drawn: int) -> float:
    """log P(errors found) of the hypergeometric distribution; -inf where it is impossible.

    Source: Loader, C. (2000), "Fast and accurate computation of binomial probabilities", section 6: a ratio
    of three binomial masses at p = drawn/population, each by its saddle point.

    >>> round(math.exp(log_mass(2, 5_000, 100, 313)), 4)  # 2 of 313 from a lot with 2 % errors
    0.0334
    """
    if not max(0, drawn - (population - bad)) <= errors <= min(drawn, bad):
        return -math.inf
    if drawn in {0, population}:
        return 0.0
    p, q = drawn / population, (population - drawn) / population
    found = _log_binomial(errors, bad, p, q) if bad else 0.0
    clean = _log_binomial(drawn - errors, population - bad, p, q) if bad < population else 0.0
    return found + clean - _log_binomial(drawn, population, p, q)


def at_most(errors: int, population: int, bad: int, drawn: int) -> float:
    """P(at most ``errors`` are found); the tail on the smaller side is summed, term by term.

    >>> round(at_most(2, 5_000, 100, 313), 4)  # the plan (313, 2) holds 5 % on a lot exactly at 2 %
    0.0448
    """
    if errors < max(0, drawn - (population - bad)):
        return 0.0
    if errors >= min(drawn, bad):
        return 1.0
    if errors * population <= drawn * bad:
        return _sum_down(errors, population, bad, drawn)
    return 1.0 - _sum_up(errors + 1, population, bad, drawn)


def at_least(errors: int, population: int, bad: int, drawn: int) -> float:
    """P(at least ``errors`` are found): finding few of the units that are no errors."""
    return at_most(drawn - errors, population, population - bad, drawn)


def _sum_down(j: int, population: int, bad: int, drawn: int) -> float:
    term = total = math.exp(log_mass(j, population, bad, drawn))
    spare = population - bad - drawn
    while term > total * NEGLIGIBLE and j > 0:
        term *= j * (spare + j) / ((bad - j + 1) * (drawn - j + 1))
        total += term
        j -= 1
    return min(total, 1.0)


def _sum_up(j: int, population: int, bad: int, drawn: int) -> float:
    term = total = math.exp(log_mass(j, population, bad, drawn))
    spare = population - bad - drawn
    while term > total * NEGLIGIBLE and j < min(bad, drawn):
        term *= (bad - j) * (drawn - j) / ((j + 1) * (spare + j + 1))
        total += term
        j += 1
    return min(total, 1.0)


# ---- bounds ----------------------------------------------------------------------------------------------


def lot_upper(errors: int, drawn: int, population: int, level: float) -> int:
    """The exact one-sided upper bound of the number of errors in the lot (Katz 1953; Wright 1991, chapter 2).

    The largest lot content under which as few as ``errors`` would be found with probability above
    1 - level. Never above Clopper and Pearson's bound, and exact at ``drawn == population``.

    >>> lot_upper(2, 313, 5_000, 0.95), lot_upper(2, 5_000, 5_000, 0.95)
    (97, 2)
    """
    counts_of(errors, drawn, population)
    alpha = 1 - level_of(level)
    low, high = errors + 1, population - (drawn - errors) + 1
    if drawn == 0:
        return population
    share, left = (errors + 1) / (drawn + 2), (population - drawn) / population
    spread = population * math.sqrt(share * (1 - share) * left / drawn)  # the scale on which to search
    guess = int(population * errors / drawn + normal_quantile(level) * spread)

    def too_many(bad: int) -> bool:
        return at_most(errors, population, bad, drawn) <= alpha

    return first_near(too_many, low, high, guess, int(spread / 8)) - 1


def lot_lower(errors: int, drawn: int, population: int, level: float) -> int:
    """The exact one-sided lower bound of the number of errors in the lot.

    >>> lot_lower(12, 313, 5_000, 0.95) / 5_000  # 12 of 313 prove that 2 % is reached
    0.0228
    """
    return population - lot_upper(drawn - errors, drawn, population, level)


def counts_of(errors: int, drawn: int, population: int) -> None:
    """InputError unless 0 <= errors <= drawn <= population."""
    if not 0 <= errors <= drawn <= population:
        raise InputError(f"{errors} errors of {drawn} drawn from {population} are not counts of one lot")
