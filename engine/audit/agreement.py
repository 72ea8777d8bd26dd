"""Agreement between reviewers: raw, chance-corrected, and on the one category that matters.

One coefficient is never shown alone. With rare flags Gwet's AC1 is .958 while two reviewers share no flag at all,
Krippendorff's alpha says nothing was gained over chance, and the positive agreement of ``flag`` is 0 of 4: the
last one, with its counts, is what a reader needs.

A unit is a mapping of reviewer to category; who did not judge it is absent. Order and names of units and
reviewers never matter. Counts are integers, sums are exact fractions, so every machine prints the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from store.errors import InputError

Unit = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A coefficient over the ``units`` with two or more judgements, or None and the reason in words."""

    value: float | None
    units: int
    why: str = ""  # why there is no value


@dataclass(frozen=True, slots=True)
class Shared:
    """A share of pairs of judgements with its counts: ``agreed`` of ``pairs``, over ``units``."""

    agreed: int
    pairs: int
    units: int

    @property
    def value(self) -> float | None:
        """None where there was no pair."""
        return self.agreed / self.pairs if self.pairs else None


@dataclass(frozen=True, slots=True)
class Positive:
    """Specific agreement on one category: ``both`` pairs share it, in ``one`` only one of the two has it."""

    category: str
    both: int
    one: int
    units: int

    @property
    def value(self) -> float | None:
        """2a / (2a + b + c), None where nobody used the category in a pair."""
        return 2 * self.both / (2 * self.both + self.one) if self.both + self.one else None

    @property
    def why(self) -> str:
        if self.both + self.one:
            return ""
        return f"nobody used {self.category!r} on a unit that two reviewers judged" if self.units else NO_PAIR


@dataclass(frozen=True, slots=True)
class Pair:
    """Two reviewers, in name order: units both judged, units they agreed on, and how they used one category."""

    first: str
    second: str
    shared: int
    agreed: int
    both: int = 0
    only_first: int = 0
    only_second: int = 0


NO_PAIR = "no unit was judged by two reviewers"


def _tallies(units: Iterable[Unit]) -> list[Counter[str]]:
    """How often each category was given, for the units with two or more judgements."""
    tallies = [Counter(unit.values()) for unit in units]
    for tally in tallies:
        if not all(isinstance(category, str) and category for category in tally):
            raise InputError("a judgement without a category", todo="leave out who did not judge the unit")
    return [tally for tally in tallies if tally.total() > 1]


# ---- raw -------------------------------------------------------------------------------------------------


def raw_agreement(units: Iterable[Unit]) -> Shared:
    """Pairs of judgements of one unit that are the same, of all pairs (Fleiss 1971, before any correction).

    >>> raw_agreement([{"ada": "ok", "bea": "ok", "cy": "bad"}, {"ada": "ok", "bea": "ok"}, {"cy": "ok"}])
    Shared(agreed=2, pairs=4, units=2)
    """
    tallies = _tallies(units)
    agreed = sum(count * (count - 1) // 2 for tally in tallies for count in tally.values())
    return Shared(agreed, sum(t.total() * (t.total() - 1) // 2 for t in tallies), len(tallies))


def positive_agreement(units: Iterable[Unit], category: str) -> Positive:
    """Given that one reviewer chose ``category``, how often another one did: 2a / (2a + b + c) over all pairs.

    Source: Dice (1945); Spitzer & Fleiss (1974), British Journal of Psychiatry 125, 341-347; Cicchetti &
    Feinstein (1990), Journal of Clinical Epidemiology 43, 551-558; for more reviewers pairs are summed (Uebersax).

    >>> rare = [{"ada": "ok", "bea": "flag"}] * 2 + [{"ada": "flag", "bea": "ok"}] * 2
    >>> found = positive_agreement(rare + [{"ada": "ok", "bea": "ok"}] * 96, "flag")
    >>> found.value, found.both, found.one
    (0.0, 0, 4)
    """
    tallies = _tallies(units)
    both = sum(tally[category] * (tally[category] - 1) // 2 for tally in tallies)
    one = sum(tally[category] * (tally.total() - tally[category]) for tally in tallies)
    return Positive(category, both, one, len(tallies))


def pair_table(units: Iterable[Unit], category: str | None = None) -> list[Pair]:
    """Reviewer against reviewer, one line for every two who share a unit, in name order.

    With a ``category`` also the cells of its two-by-two table (Cohen 1960, table 1).

    >>> pair_table([{"ada": "ok", "bea": "bad"}, {"ada": "bad", "bea": "bad", "cy": "ok"}], "bad")[0]
    Pair(first='ada', second='bea', shared=2, agreed=1, both=1, only_first=0, only_second=1)
    """
    cells: dict[tuple[str, str], Counter[str]] = {}
    for unit in units:
        for first, second in combinations(sorted(unit), 2):
            mine, yours = unit[first], unit[second]
            cell = cells.setdefault((first, second), Counter())
            cell["shared"] += 1
            cell["agreed"] += mine == yours
            if category in {mine, yours}:
                cell["both" if mine == yours else "only_first" if mine == category else "only_second"] += 1
    return [Pair(first, second, **cell) for (first, second), cell in sorted(cells.items())]


# ---- corrected for chance --------------------------------------------------------------------------------


def krippendorff_alpha(units: Iterable[Unit]) -> Agreement:
    """Krippendorff's alpha for nominal categories; any number of reviewers, judgements may be missing.

    1 - observed / expected disagreement from the coincidence matrix, (n - 1) times the mismatches over n² - the sum
    of n_c² (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C). 0: no better than chance.
    None without pairs, or where only one category was ever used: then chance explains everything.

    >>> tens = {"meg": "0100000010", "owen": "1110010000"}  # the paper's section A: .095
    >>> units = [{who: marks[i] for who, marks in tens.items()} for i in range(10)]
    >>> round(krippendorff_alpha(units).value or 0, 3)
    0.095
    """
    tallies = _tallies(units)
    if not tallies:
        return Agreement(None, 0, NO_PAIR)
    totals: Counter[str] = Counter()
    matched = Fraction(0)
    for tally in tallies:
        totals.update(tally)
        matched += Fraction(sum(count * (count - 1) for count in tally.values()), tally.total() - 1)
    n = totals.total()
    expected = n * n - sum(count * count for count in totals.values())
    if not expected:
        return Agreement(None, len(tallies), f"everybody always said {next(iter(totals))!r}: nothing varies")
    return Agreement(float(1 - (n - 1) * (n - matched) / expected), len(tallies))


def gwet_ac1(units: Sequence[Unit], categories: Iterable[str] | None = None) -> Agreement:
    """Gwet's AC1; any number of reviewers, judgements may be missing.

    (p_a - p_e) / (1 - p_e): p_a is the mean over units of agreeing pairs, p_e the sum of pi_c (1 - pi_c) over
    (categories - 1), pi_c the mean share of a category over all judged units (Gwet 2008, British Journal of
    Mathematical and Statistical Psychology 61, 29-48, eqs. 5 to 8; missing: Gwet 2014, Handbook, 4th ed.,
    section 5.2). ``categories``: those that could be chosen, by default those that were; the number matters. Rare flags
    lift AC1 whoever gave them: show positive agreement beside it.

    >>> rare = [{"ada": "ok", "bea": "flag"}] * 2 + [{"ada": "flag", "bea": "ok"}] * 2
    >>> value = gwet_ac1(rare + [{"ada": "ok", "bea": "ok"}] * 96).value  # no flag is shared
    >>> round(value or 0, 3)
    0.958
    """
    pairs = _tallies(units)
    if not pairs:
        return Agreement(None, 0, NO_PAIR)
    judged = [Counter(unit.values()) for unit in units if unit]
    used = {category for tally in judged for category in tally}
    scale = used if categories is None else set(categories)
    if not used <= scale:
        raise InputError(f"{sorted(used - scale)} are not among the categories that could be chosen")
    if len(scale) < 2:
        why = f"only {next(iter(scale))!r} was used: say which categories could have been chosen"
        return Agreement(None, len(pairs), why)
    agreed = sum((_agreeing(tally) for tally in pairs), Fraction(0)) / len(pairs)
    shares = [sum(Fraction(tally[c], tally.total()) for tally in judged) / len(judged) for c in sorted(used)]
    chance = sum((share * (1 - share) for share in shares), Fraction(0)) / (len(scale) - 1)
    return Agreement(float((agreed - chance) / (1 - chance)), len(pairs))


def _agreeing(tally: Counter[str]) -> Fraction:
    n = tally.total()
    return Fraction(sum(count * (count - 1) for count in tally.values()), n * (n - 1))
