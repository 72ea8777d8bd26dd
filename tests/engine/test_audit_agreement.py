"""Agreement against published tables, against another definition, and the paradox of rare flags."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audit.agreement import (
    Pair,
    gwet_ac1,
    krippendorff_alpha,
    pair_table,
    positive_agreement,
    raw_agreement,
)
from store.errors import InputError

Units = list[dict[str, str]]


def by_reviewer(**marks: str) -> Units:
    """Units from one line per reviewer; a dot is missing."""
    length = len(next(iter(marks.values())))
    return [{who: line[i] for who, line in marks.items() if line[i] != "."} for i in range(length)]


def table(rows: list[list[int]]) -> Units:
    """Units of two reviewers from their table of counts."""
    return [
        {"first": str(i), "second": str(j)}
        for i, row in enumerate(rows)
        for j, count in enumerate(row)
        for _ in range(count)
    ]


# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", sections A, B and C; C is also Gwet (2014),
# Handbook of Inter-Rater Reliability, page 120 (irrCAC: cac.raw4raters).
BINARY = by_reviewer(meg="0100000010", owen="1110010000")
NOMINAL = by_reviewer(ben="aabbdcccedda", gerry="babbbccceddd")
CANONICAL = by_reviewer(a="123321412...", b="1233224125.3", c=".3332342251.", d="12332441251.")
# Gwet (2014), cited in irrCAC's overview as cont3x3abstractors: 100 pregnancies, two abstractors.
ABSTRACTORS = table([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
RARE = (
    [{"ada": "flag", "bea": "ok"}] * 2
    + [{"ada": "ok", "bea": "flag"}] * 2
    + [{"ada": "ok", "bea": "ok"}] * 96
)


@pytest.mark.parametrize(
    ("units", "alpha"), [(BINARY, 0.095), (NOMINAL, 0.692), (CANONICAL, 0.743), (ABSTRACTORS, 0.7972585)]
)
def test_alpha_is_the_published_one(units: Units, alpha: float) -> None:
    digits = 7 if alpha == 0.7972585 else 3
    assert round(krippendorff_alpha(units).value or 0, digits) == alpha


def test_the_canonical_example_counts_eleven_units() -> None:
    assert krippendorff_alpha(CANONICAL).units == 11  # the twelfth was judged once
    assert round(gwet_ac1(CANONICAL).value or 0, 5) == 0.77544  # irrCAC 1.0, gwet.ac1.raw(cac.raw4raters)


def test_ac1_is_the_published_one() -> None:
    assert gwet_ac1(ABSTRACTORS).value == pytest.approx(0.8493305, abs=1e-7)


def test_two_reviewers_reduce_to_gwets_formula_for_a_table() -> None:
    """Gwet (2008), eqs. 5 to 8, written out for a table of two reviewers and two categories."""
    for a, b, c, d in ((118, 5, 2, 0), (40, 9, 6, 45), (80, 10, 10, 0)):
        n = a + b + c + d
        share = ((a + b) + (a + c)) / (2 * n)
        chance = 2 * share * (1 - share)
        assert gwet_ac1(table([[a, b], [c, d]])).value == pytest.approx(((a + d) / n - chance) / (1 - chance))


def test_reviewers_who_share_no_flag_look_alike_to_ac1_alone() -> None:
    assert gwet_ac1(RARE).value == pytest.approx(0.958, abs=5e-4)
    assert (krippendorff_alpha(RARE).value or 0) < 0
    flags = positive_agreement(RARE, "flag")
    assert (flags.value, flags.both, flags.one) == (0.0, 0, 4)
    assert raw_agreement(RARE).value == 0.96
    assert pair_table(RARE, "flag") == [Pair("ada", "bea", 100, 96, 0, 2, 2)]


def test_positive_agreement_is_dices_share_of_a_table_and_sums_over_pairs() -> None:
    units = table([[3, 4], [5, 60]])
    assert positive_agreement(units, "0").value == 6 / (6 + 4 + 5)
    units = CANONICAL
    counts = [positive_agreement([{x: u[x], y: u[y]}], "3") for u in units for x, y in combinations(u, 2)]
    whole = positive_agreement(units, "3")
    assert (whole.both, whole.one) == (sum(c.both for c in counts), sum(c.one for c in counts))


# ---- undefined, in words ---------------------------------------------------------------------------------


def test_what_is_undefined_says_why() -> None:
    alone = [{"ada": "ok"}, {"bea": "bad"}]
    for found in (krippendorff_alpha(alone), gwet_ac1(alone), krippendorff_alpha([])):
        assert (found.value, found.why) == (None, "no unit was judged by two reviewers")
    assert raw_agreement(alone).value is None
    unanimous = [{"ada": "ok", "bea": "ok"}] * 5
    assert krippendorff_alpha(unanimous).why == "everybody always said 'ok': nothing varies"
    assert "say which categories" in gwet_ac1(unanimous).why
    assert gwet_ac1(unanimous, ("ok", "bad")).value == 1.0
    flags = positive_agreement(unanimous, "bad")
    assert (flags.value, flags.why) == (None, "nobody used 'bad' on a unit that two reviewers judged")
    assert positive_agreement(alone, "bad").why == "no unit was judged by two reviewers"


def test_a_category_that_could_not_be_chosen_is_refused() -> None:
    with pytest.raises(InputError, match="could be chosen"):
        gwet_ac1(RARE, ("ok", "bad"))
    with pytest.raises(InputError, match="without a category"):
        krippendorff_alpha([{"ada": "", "bea": "ok"}])


# ---- rules -----------------------------------------------------------------------------------------------

UNITS = st.lists(
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["ok", "bad", "unsure"])), max_size=25
)


@given(UNITS, st.randoms())
@settings(max_examples=150, deadline=None)
def test_names_and_order_never_matter(units: Units, dice: random.Random) -> None:
    names = dict(zip("abcde", dice.sample("vwxyz", 5), strict=True))
    mixed = [
        {names[who]: unit[who] for who in dice.sample(sorted(unit), len(unit))}
        for unit in dice.sample(units, len(units))
    ]
    assert krippendorff_alpha(mixed) == krippendorff_alpha(units)
    assert gwet_ac1(mixed) == gwet_ac1(units)
    assert raw_agreement(mixed) == raw_agreement(units)
    assert positive_agreement(mixed, "bad") == positive_agreement(units, "bad")
    back = {new: old for old, new in names.items()}
    assert {frozenset((back[p.first], back[p.second])): (p.shared, p.agreed) for p in pair_table(mixed)} == {
        frozenset((p.first, p.second)): (p.shared, p.agreed) for p in pair_table(units)
    }


@given(UNITS)
@settings(max_examples=150, deadline=None)
def test_the_pair_table_sums_to_the_whole(units: Units) -> None:
    pairs = pair_table(units, "bad")
    raw, flags = raw_agreement(units), positive_agreement(units, "bad")
    assert (sum(p.agreed for p in pairs), sum(p.shared for p in pairs)) == (raw.agreed, raw.pairs)
    assert sum(p.both for p in pairs) == flags.both
    assert sum(p.only_first + p.only_second for p in pairs) == flags.one


@given(UNITS)
@settings(max_examples=150, deadline=None)
def test_coefficients_stay_at_one_or_below_and_are_one_only_without_a_difference(units: Units) -> None:
    raw = raw_agreement(units)
    for found in (krippendorff_alpha(units), gwet_ac1(units)):
        assert (found.value is None) == bool(found.why)
        if found.value is not None:
            assert -1 <= found.value <= 1
            assert (found.value == 1) == (raw.agreed == raw.pairs)


@given(UNITS)
@settings(max_examples=100, deadline=None)
def test_alpha_is_its_definition_by_pairs_of_judgements(units: Units) -> None:
    """An oracle without a coincidence matrix: disagreeing pairs within units against those of the whole pool."""
    kept = [list(unit.values()) for unit in units if len(unit) > 1]
    pool = [mark for marks in kept for mark in marks]
    between = [x != y for x, y in combinations(pool, 2)]
    if any(between):
        within = sum(
            sum(x != y for x, y in combinations(marks, 2)) * 2 / (len(marks) - 1) for marks in kept
        ) / len(pool)
        expected = 1 - within / (sum(between) / len(between))
        assert krippendorff_alpha(units).value == pytest.approx(expected, abs=1e-12)
