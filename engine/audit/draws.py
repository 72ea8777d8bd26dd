"""Which units an audit looks at: deterministic from (seed, ids), the same on every machine.

Every unit carries a permanent random number, the first 64 bits of SHA-256 of ``seed:id`` (Ohlsson 1995,
"Coordination of samples using permanent random numbers"; Brewer, Early & Joyce 1972): a draw does not depend
on the order, the number or the storage of the other units, a larger draw contains the smaller one, and a
stranger can repeat it. DuckDB says the same as
``('0x' || substr(sha256(seed || ':' || id), 1, 16))::UBIGINT``, so ten million ids need not leave the store.

Each draw has a plain definition and, where it must run on millions of units, a numpy twin (``…_array``) that
gives the same bits: sums are correctly rounded by ``math.fsum``, so neither order nor machine changes them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from store.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = 1 << 64
FLOOR = 0.2  # of n/N: what the least suspicious unit keeps
HIGHEST = 1e290  # no sum of suspicions overflows
CHUNK = 65_536


# ---- permanent random numbers ----------------------------------------------------------------------------


def random_number(seed: int | str, unit: str) -> int:
    """The permanent random number of a unit under a seed: 64 bits, uniform.

    >>> f"{random_number(7, 'prompt-1'):016x}"
    '9e5ea13add7a4192'
    """
    return int.from_bytes(hashlib.sha256(_prefix(seed) + unit.encode()).digest()[:8])


def _prefix(seed: int | str) -> bytes:
    if ":" in str(seed):
        raise InputError(f"a seed holds no colon: {seed!r}")  # else "1:2" and "3" would draw as "1" and "2:3"
    return f"{seed}:".encode()


def unit_interval(number: int) -> float:
    """A 64-bit number as a float in [0, 1), by its first 53 bits.

    >>> unit_interval(0), unit_interval(1 << 63), unit_interval((1 << 64) - 1) < 1
    (0.0, 0.5, True)
    """
    return (number >> 11) * 2.0**-53


def random_numbers(seed: int | str, units: Sequence[str]) -> NDArray[np.uint64]:
    """``random_number`` of many units: uint64, about a second per million (SHA-256 itself)."""
    import numpy as np

    prefix, sha256 = _prefix(seed), hashlib.sha256
    words = b"".join(sha256(prefix + unit.encode()).digest()[:8] for unit in units)
    return np.frombuffer(words, dtype=">u8").astype(np.uint64)


# ---- equal probability -----------------------------------------------------------------------------------


def simple_order(seed: int | str, units: Sequence[str]) -> list[int]:
    """Positions of the units in the order in which they are drawn: its first n are a simple random sample.

    Sorted by permanent random number (Ohlsson 1995, section 9.2), ties by id. InputError on an id that
    comes twice.

    >>> names = ["ada", "bea", "cleo", "dora"]
    >>> [names[i] for i in simple_order(7, names)], [names[i] for i in simple_order(8, names)]
    (['dora', 'ada', 'cleo', 'bea'], ['ada', 'dora', 'bea', 'cleo'])
    """
    keys = [(random_number(seed, unit), unit) for unit in units]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    for before, after in pairwise(order):
        if keys[before] == keys[after]:
            _twice(units[after])
    return order


def simple_order_array(seed: int | str, units: Sequence[str]) -> NDArray[np.int64]:
    """``simple_order`` for millions of units, the same positions."""
    import numpy as np

    numbers = random_numbers(seed, units)
    order = np.argsort(numbers, kind="stable").astype(np.int64)
    ordered = numbers[order]
    for tie in np.flatnonzero(ordered[1:] == ordered[:-1]):
        if units[order[tie]] == units[order[tie + 1]]:
            _twice(units[order[tie]])
        return np.array(simple_order(seed, units), dtype=np.int64)  # once in a hundred thousand draws of 10 M
    return order


def _twice(unit: str) -> None:
    raise InputError(f"the unit {unit!r} comes twice", todo="draw from distinct ids")


# ---- strata ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allocation:
    """How many units each stratum gives, and every unit's inclusion probability in it (n/N without minimum)."""

    counts: Mapping[str, int]
    probabilities: Mapping[str, float]


def stratified_allocation(
    sizes: Mapping[str, int], n: int, *, seed: int | str, minimum: int = 0
) -> Allocation:
    """Shares of ``n`` in proportion to the ``sizes`` of the strata, rounded at random so that they sum to n.

    Systematic rounding from one random start (Cochran 1977, section 5.9 for the shares; Cox 1987,
    "A constructive procedure for unbiased controlled rounding"): a stratum gets its share rounded up
    or down and its share on average, so without a ``minimum`` every unit of every stratum is drawn with
    probability exactly n/N. With a minimum, small strata get that many (or all they have), the rest is shared
    out, and probabilities differ: weigh by them. InputError where n does not reach.

    >>> a = stratified_allocation({"mail": 9_000, "chat": 900, "voice": 100}, 100, seed=7, minimum=10)
    >>> a.counts, {name: round(p, 4) for name, p in a.probabilities.items()}
    ({'mail': 80, 'chat': 10, 'voice': 10}, {'mail': 0.0089, 'chat': 0.0111, 'voice': 0.1})
    """
    shares = _shares(sizes, n, minimum)
    order = sorted(sizes, key=lambda name: (random_number(seed, f"stratum:{name}"), name))
    start = Fraction(random_number(seed, "allocation"), WORD)
    counts, total = {}, start
    for name in order:
        counts[name] = math.floor(total + shares[name]) - math.floor(total)
        total += shares[name]
    chances = {name: float(shares[name] / size) if size else 0.0 for name, size in sizes.items()}
    return Allocation({name: counts[name] for name in sizes}, chances)


def _shares(sizes: Mapping[str, int], n: int, minimum: int) -> dict[str, Fraction]:
    """Exact expected counts: in proportion, but no stratum below its minimum; they sum to n."""
    population = sum(sizes.values())
    if min(sizes.values(), default=0) < 0 or minimum < 0 or not 0 <= n <= population:
        raise InputError(f"{n} units cannot be drawn from strata of {population}")
    least = {name: min(minimum, size) for name, size in sizes.items()}
    if sum(least.values()) > n:
        raise InputError(
            f"{n} units do not give every stratum {minimum}", todo=f"it takes {sum(least.values())}"
        )
    held: dict[str, Fraction] = {}
    while True:
        free = [name for name in sizes if name not in held]
        room, units = n - sum(held.values()), sum(sizes[name] for name in free)
        shares = {name: room * Fraction(sizes[name], units or 1) for name in free}
        short = [name for name in free if shares[name] < least[name]]
        if not short:
            return held | shares
        held |= {name: Fraction(least[name]) for name in short}


# ---- suspicion -------------------------------------------------------------------------------------------


def pps_probabilities(scores: Sequence[float], n: float, floor: float = FLOOR) -> list[float]:
    """Inclusion probabilities that follow suspicion: they sum to ``n``, each in (0, 1].

    The ``floor`` share of n is spread evenly and the rest in proportion to the non-negative ``scores`` (a
    defensive mixture, Hesterberg 1995, Technometrics 37, 185-194): no unit falls below floor * n/N, so no weight
    exceeds N / (floor * n). What exceeds 1 is capped and shared out again until nothing does (Särndal, Swensson &
    Wretman 1992, section 3.6.2). Without any suspicion everybody has n/N.

    >>> [round(p, 3) for p in pps_probabilities([0.9, 0.1, 0.0, 0.0], 2)]
    [1.0, 0.565, 0.217, 0.217]
    """
    _askable(len(scores), n, floor)
    total = _finite_sum(scores)
    even, steep = floor / len(scores), 1.0 - floor
    sizes = (
        [even + steep * (score / total) for score in scores] if total else [1.0 / len(scores)] * len(scores)
    )
    chances, still, sure = [1.0] * len(sizes), list(range(len(sizes))), 0
    while still:
        factor = (n - sure) / math.fsum(sizes[i] for i in still)
        keep = [i for i in still if factor * sizes[i] < 1.0]
        if len(keep) == len(still):
            for i in still:
                chances[i] = factor * sizes[i]
            break
        still, sure = keep, len(sizes) - len(keep)
    return chances


def pps_probabilities_array(
    scores: NDArray[np.float64], n: float, floor: float = FLOOR
) -> NDArray[np.float64]:
    """``pps_probabilities`` for millions of units, bit for bit."""
    import numpy as np

    _askable(len(scores), n, floor)
    total = _finite_sum(_floats(scores))
    even, steep = floor / len(scores), 1.0 - floor
    sizes = even + steep * (scores / total) if total else np.full(len(scores), 1.0 / len(scores))
    chances, still, sure = np.ones(len(sizes)), np.arange(len(sizes)), 0
    while len(still):
        raised = ((n - sure) / math.fsum(_floats(sizes[still]))) * sizes[still]
        below = raised < 1.0
        if below.all():
            chances[still] = raised
            break
        still = still[below]
        sure = len(sizes) - len(still)
    return chances


def _askable(units: int, n: float, floor: float) -> None:
    if not 0 < n <= units:
        raise InputError(f"{n} units cannot be drawn from {units}")
    if not 0 < floor <= 1:
        raise InputError(f"the floor is a share of n/N in (0, 1], not {floor!r}", todo="0.2 is usual")


def _finite_sum(scores: Iterable[float]) -> float:
    """The correctly rounded sum of scores, each of them seen to be finite and not negative."""

    def seen() -> Iterator[float]:
        for score in scores:
            if not 0 <= score <= HIGHEST:
                raise InputError(f"a suspicion is a finite number from 0 upwards, not {score!r}")
            yield score

    return math.fsum(seen())


def _floats(values: NDArray[np.float64]) -> Iterator[float]:
    for start in range(0, len(values), CHUNK):
        yield from values[start : start + CHUNK].tolist()


def poisson_included(probability: float, u: float) -> bool:
    """Whether a unit with this inclusion probability and uniform number in [0, 1) is drawn (Hájek 1964).

    Units are drawn independently: n is the expected size, the realised size is random (``poisson_size``).

    >>> poisson_included(1.0, 0.999), poisson_included(0.02, 0.02)
    (True, False)
    """
    if not 0 <= probability <= 1 or not 0 <= u < 1:
        raise InputError(f"no probability and uniform number: {probability!r}, {u!r}")
    return u < probability


def poisson_units(
    seed: int | str, units: Sequence[str], probabilities: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Positions of the units drawn, for millions of them: ``poisson_included`` of each one's own number."""
    import numpy as np

    if len(units) != len(probabilities) or not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        raise InputError("every unit needs one probability from 0 to 1")
    uniform = (random_numbers(seed, units) >> np.uint64(11)) * 2.0**-53
    return np.flatnonzero(uniform < probabilities)


def poisson_size(probabilities: Iterable[float]) -> tuple[float, float]:
    """Expected size of a Poisson draw and its standard deviation (Särndal et al. 1992, section 3.5).

    >>> [round(x, 1) for x in poisson_size([0.02] * 10_000)]
    [200.0, 14.0]
    """
    chances = list(probabilities)
    return math.fsum(chances), math.sqrt(math.fsum(p * (1 - p) for p in chances))
