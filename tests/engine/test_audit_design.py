"""Plans against published sizes, brute force and scipy; verdicts against the full sample; draws against their own law."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.audit import draws, lots
from engine.audit.design import (
    EVEN,
    RARE,
    SURE,
    Plan,
    Verdict,
    acceptance,
    operating_curve,
    plan_for,
    proven_above,
    rate_accepted,
    rate_bounds,
    smallest_n,
    verdict,
)
from store.errors import InputError

# ---- finite lots -----------------------------------------------------------------------------------------


@given(st.integers(1, 3_000), st.data())
@settings(max_examples=150, deadline=None)
def test_the_mass_of_a_lot_is_a_ratio_of_binomial_coefficients(population: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, population))
    drawn = data.draw(st.integers(0, population))
    errors = data.draw(st.integers(0, drawn))
    ways = math.comb(bad, errors) * math.comb(population - bad, drawn - errors)
    ours = lots.log_mass(errors, population, bad, drawn)
    if not ways:
        assert ours == -math.inf
    else:
        exact = Fraction(ways, math.comb(population, drawn))
        assert ours == pytest.approx(math.log(exact.numerator) - math.log(exact.denominator), abs=1e-10)


@pytest.mark.parametrize(
    ("errors", "drawn", "bad"), [(2, 313, 200_000), (0, 149, 200_000), (60, 3_000, 250_000)]
)
def test_tails_of_ten_million_units_are_scipys(errors: int, drawn: int, bad: int) -> None:
    size = 10_000_000
    assert lots.at_most(errors, size, bad, drawn) == pytest.approx(
        stats.hypergeom.cdf(errors, size, bad, drawn), rel=1e-6
    )
    assert lots.at_least(errors, size, bad, drawn) == pytest.approx(
        stats.hypergeom.sf(errors - 1, size, bad, drawn), rel=1e-6
    )


def test_a_bound_of_a_lot_is_the_last_content_that_is_not_excluded() -> None:
    dice = random.Random(2)
    for _ in range(300):
        size = dice.randint(1, 60)
        drawn = dice.randint(0, size)
        errors, level = dice.randint(0, drawn), dice.choice([0.5, 0.8, 0.95, 0.999])
        contents = range(errors, size - drawn + errors + 1)
        left = [bad for bad in contents if lots.at_most(errors, size, bad, drawn) > 1 - level]
        assert lots.lot_upper(errors, drawn, size, level) == max(left)
        left = [bad for bad in contents if lots.at_least(errors, size, bad, drawn) > 1 - level]
        assert lots.lot_lower(errors, drawn, size, level) == min(left)


def test_the_rate_of_a_lot_is_not_spoilt_by_decimal_fractions() -> None:
    for size in (50, 100, 5_000, 12_345, 10_000_000):
        for percent in range(1, 100):
            assert lots.units_at(percent / 100, size) == -(-percent * size // 100)


# ---- plans -----------------------------------------------------------------------------------------------


def test_plans_at_two_percent_are_the_published_ones() -> None:
    plans = [plan_for(0.02, 0.95, c=c) for c in (0, 1, 2, 5)]
    assert [(plan.n, plan.c) for plan in plans] == [(149, 0), (236, 1), (313, 2), (523, 5)]
    assert [plan_for(0.02, 0.95, n=n).c for n in (149, 235, 236, 313, 522, 523)] == [0, 0, 1, 2, 4, 5]


@given(st.floats(0.002, 0.6), st.floats(0.5, 0.995), st.integers(0, 12), st.integers(20, 5_000))
@settings(max_examples=150, deadline=None)
def test_a_lot_at_its_gate_is_accepted_no_more_often_than_the_level_allows(
    gate: float, level: float, c: int, population: int
) -> None:
    if c < lots.units_at(gate, population):
        plan = plan_for(gate, level, c=c, population=population)
        assert acceptance(plan, gate) <= 1 - level
        if plan.n > c + 1:
            assert lots.at_most(c, population, lots.units_at(gate, population), plan.n - 1) > 1 - level
        # Knowing the population never costs (one more where both probabilities are the level but for their last bit).
        assert plan.n <= smallest_n(gate, c, level) + 1
        again = plan_for(gate, level, n=plan.n, population=population)
        assert again.c == c or plan.census


def test_a_census_is_exact() -> None:
    plan = plan_for(0.02, n=500, population=400)
    assert (plan.n, plan.c, plan.census) == (400, 7, True)
    assert [acceptance(plan, bad / 400) for bad in (7, 8)] == [1.0, 0.0]
    assert (verdict(plan, 400, 7), verdict(plan, 400, 8)) == (Verdict.ACCEPT, Verdict.REJECT)
    assert proven_above(plan, 400, 8)
    assert not proven_above(plan, 400, 7)
    assert rate_bounds(plan, 8) == (0.02, 0.02)


@pytest.mark.parametrize("population", [None, 600, 4_000])
@pytest.mark.parametrize(("assumed", "power"), [(0.001, 0.5), (0.005, 0.8), (0.01, 0.9), (0.012, 0.8)])
def test_the_plan_with_power_is_the_smallest_one(
    population: int | None, assumed: float, power: float
) -> None:
    plan = plan_for(0.02, assumed=assumed, power=power, population=population)
    assert acceptance(plan, assumed) >= power
    for c in range(plan.c):
        assert acceptance(plan_for(0.02, c=c, population=population), assumed) < power


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"n": 148}, "at least 149"),
        ({"n": 100, "population": 1_000}, "at least 138"),
        ({"c": 20, "population": 1_000}, "at most 19"),
        ({"c": -1}, "cannot be allowed"),
        ({}, "exactly one"),
        ({"c": 1, "n": 300}, "exactly one"),
        ({"assumed": 0.01}, "exactly one"),
        ({"assumed": 0.02, "power": 0.9}, "below the gate"),
        ({"assumed": 0.01999, "power": 0.9}, "lower the assumed rate"),
        ({"assumed": 0.0195, "power": 0.9, "population": 60}, "already is"),
        ({"c": 0, "gate": 0.0}, "2 % is 0.02"),
        ({"c": 0, "level": 1.0}, "0.95 is usual"),
        ({"c": 0, "population": 0}, "cannot be audited"),
    ],
)
def test_a_plan_that_cannot_be_says_what_it_takes(wish: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan_for(**({"gate": 0.02} | wish))


def test_the_operating_curve_falls_and_meets_its_own_landmarks() -> None:
    for population in (None, 1_000, 10_000_000):
        plan = plan_for(0.02, c=2, population=population)
        accepted = [p for _, p in operating_curve(plan)]
        assert accepted == sorted(accepted, reverse=True)
        rates = [rate_accepted(plan, p) for p in (SURE, EVEN, RARE)]
        assert rates == sorted(rates)
        for rate, probability in zip(rates, (SURE, EVEN, RARE), strict=True):
            assert acceptance(plan, rate) >= probability - 1e-9
            step = 1e-6 if population is None else 1 / population
            assert acceptance(plan, rate + step) < probability


def test_half_of_all_teachers_with_half_a_percent_errors_fail_the_plan_without_errors() -> None:
    assert acceptance(plan_for(0.02, c=0), 0.005) == pytest.approx(0.474, abs=0.001)


# ---- verdicts --------------------------------------------------------------------------------------------


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 8))
@settings(max_examples=200, deadline=None)
def test_an_early_verdict_is_the_one_of_the_full_sample(outcomes: list[bool], c: int) -> None:
    plan = Plan(0.2, 0.95, len(outcomes), min(c, len(outcomes)))
    said = [verdict(plan, n, sum(outcomes[:n])) for n in range(len(outcomes) + 1)]
    final = Verdict.ACCEPT if sum(outcomes) <= plan.c else Verdict.REJECT
    assert said[-1] is final
    assert set(said) <= {final, Verdict.INSUFFICIENT}
    first = said.index(final)
    assert said == [Verdict.INSUFFICIENT] * first + [final] * (len(said) - first)


@given(st.integers(1, 400), st.data())
@settings(max_examples=150, deadline=None)
def test_more_errors_never_help(n: int, data: st.DataObject) -> None:
    population = data.draw(st.none() | st.integers(n, 20 * n))
    plan = Plan(data.draw(st.floats(0.01, 0.4)), 0.95, n, data.draw(st.integers(0, n)), population)
    settled = data.draw(st.integers(1, n))
    errors = data.draw(st.integers(0, settled - 1))
    rank = [Verdict.REJECT, Verdict.INSUFFICIENT, Verdict.ACCEPT]
    assert rank.index(verdict(plan, settled, errors + 1)) <= rank.index(verdict(plan, settled, errors))
    assert proven_above(plan, settled, errors) <= proven_above(plan, settled, errors + 1)
    (low, high), (lower, higher) = rate_bounds(plan, errors), rate_bounds(plan, errors + 1)
    assert low <= lower
    assert high <= higher


@pytest.mark.parametrize("population", [None, 3_000])
def test_proven_above_means_that_the_lower_bound_reaches_the_gate(population: int | None) -> None:
    plan = plan_for(0.02, c=2, population=population)
    for errors in range(20):
        assert proven_above(plan, plan.n, errors) == (rate_bounds(plan, errors)[0] >= 0.02)
    assert not proven_above(plan, plan.n, plan.c + 1)  # rejected: not proven below, not proven above either


def test_only_the_units_of_the_plan_count() -> None:
    plan = plan_for(0.02, c=2)
    for settled, errors in ((314, 0), (10, 11), (5, -1)):
        with pytest.raises(InputError, match="locked draw"):
            verdict(plan, settled, errors)


# ---- draws -----------------------------------------------------------------------------------------------

NAMES = [f"prompt-{i}" for i in range(2_000)]
SCORES = st.lists(st.floats(0, 1e6) | st.just(0.0), min_size=1, max_size=60)


def test_duckdb_draws_the_same_number() -> None:
    text = (
        "select ('0x' || substr(sha256('7' || ':' || name), 1, 16))::UBIGINT from (select unnest($1) as name)"
    )
    found = duckdb.connect().execute(text, [NAMES[:50]]).fetchall()
    assert [row[0] for row in found] == [draws.random_number(7, name) for name in NAMES[:50]]


def test_the_order_is_the_same_whatever_the_order_of_arrival_and_in_numpy() -> None:
    order = [NAMES[i] for i in draws.simple_order(7, NAMES)]
    mixed = random.Random(1).sample(NAMES, len(NAMES))
    assert [mixed[i] for i in draws.simple_order(7, mixed)] == order
    assert [NAMES[i] for i in draws.simple_order_array(7, NAMES).tolist()] == order
    assert draws.random_numbers(7, NAMES).tolist() == [draws.random_number(7, name) for name in NAMES]
    fewer = [name for name in order if name != order[3]]
    assert [fewer[i] for i in draws.simple_order(7, fewer)] == fewer  # one unit less moves no other


def test_a_unit_that_comes_twice_is_refused_by_both() -> None:
    for order in (draws.simple_order, draws.simple_order_array):
        with pytest.raises(InputError, match="comes twice"):
            order(7, ["a", "b", "a"])
    with pytest.raises(InputError, match="no colon"):
        draws.random_number("1:2", "a")


def test_the_numbers_are_uniform() -> None:
    uniform = [draws.unit_interval(draws.random_number(3, name)) for name in NAMES]
    assert stats.kstest(uniform, "uniform").pvalue > 0.01


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12), st.data())
@settings(max_examples=150, deadline=None)
def test_an_allocation_sums_to_n_and_gives_no_stratum_more_than_it_has(
    sizes: list[int], data: st.DataObject
) -> None:
    strata = {f"s{i}": size for i, size in enumerate(sizes)}
    minimum = data.draw(st.integers(0, 20))
    least = sum(min(minimum, size) for size in sizes)
    n = data.draw(st.integers(least, sum(sizes)))
    found = draws.stratified_allocation(strata, n, seed=data.draw(st.integers(0, 99)), minimum=minimum)
    assert sum(found.counts.values()) == n
    for name, size in strata.items():
        assert min(minimum, size) <= found.counts[name] <= size
        assert abs(found.counts[name] - found.probabilities[name] * size) < 1 + 1e-9
    if least < n:
        with pytest.raises(InputError):
            draws.stratified_allocation(strata, sum(sizes) + 1, seed=1)


def test_every_unit_of_every_stratum_is_drawn_with_probability_n_over_population() -> None:
    sizes = {"mail": 900, "chat": 77, "voice": 23}
    found = [draws.stratified_allocation(sizes, 25, seed=seed) for seed in range(4_000)]
    assert set(found[0].probabilities.values()) == {0.025}
    for name, size in sizes.items():
        mean = sum(a.counts[name] for a in found) / len(found)
        assert mean == pytest.approx(0.025 * size, abs=4 * 0.5 / math.sqrt(len(found)))
    with pytest.raises(InputError, match="it takes 30"):
        draws.stratified_allocation(sizes, 29, seed=1, minimum=10)


@given(SCORES, st.floats(0.01, 1), st.data())
@settings(max_examples=200, deadline=None)
def test_suspicion_gives_probabilities_that_sum_to_n_and_never_starve_anybody(
    scores: list[float], floor: float, data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, len(scores)))
    chances = draws.pps_probabilities(scores, n, floor)
    assert math.fsum(chances) == pytest.approx(n, rel=1e-9)
    assert all(floor * n / len(scores) * (1 - 1e-9) <= p <= 1 for p in chances)
    for (low, p), (high, q) in zip(
        *[sorted(zip(scores, chances, strict=True))[i:] for i in (0, 1)], strict=False
    ):
        assert p <= q or low == high  # more suspicion, no smaller chance
    assert draws.pps_probabilities_array(np.array(scores), n, floor).tolist() == chances


def test_numpy_gives_the_same_bits_for_a_heavy_tail() -> None:
    scores = np.random.default_rng(1).pareto(1.2, 20_000)
    for n in (10, 500.5, 15_000):
        plain = draws.pps_probabilities(scores.tolist(), n)
        assert plain == draws.pps_probabilities_array(scores, n).tolist()
        back = draws.pps_probabilities(scores[::-1].tolist(), n)
        assert back[::-1] == plain  # whatever the order


def test_a_poisson_draw_follows_its_probabilities_and_is_the_same_in_both() -> None:
    chances = draws.pps_probabilities_array(np.linspace(0, 1, len(NAMES)), 200)
    size, deviation = draws.poisson_size(chances.tolist())
    assert size == pytest.approx(200)
    sizes, seen = [], Counter[int]()
    for seed in range(100):
        drawn = draws.poisson_units(seed, NAMES, chances).tolist()
        sizes.append(len(drawn))
        seen.update(drawn)
    assert np.mean(sizes) == pytest.approx(200, abs=4 * deviation / 10)
    assert np.std(sizes) == pytest.approx(deviation, rel=0.3)  # the size is random: n is only expected
    upper = sum(seen[i] for i in range(1_000, 2_000)) / sum(seen.values())
    assert upper == pytest.approx(math.fsum(chances[1_000:]) / 200, abs=0.02)
    plain = [
        i
        for i, name in enumerate(NAMES)
        if draws.poisson_included(chances[i], draws.unit_interval(draws.random_number(99, name)))
    ]
    assert plain == draws.poisson_units(99, NAMES, chances).tolist()


@pytest.mark.parametrize(
    ("scores", "n", "floor"),
    [
        ([1.0], 2, 0.2),
        ([1.0], 0, 0.2),
        ([-1.0, 1.0], 1, 0.2),
        ([math.nan], 1, 0.2),
        ([1.0], 1, 0.0),
        ([], 1, 0.2),
    ],
)
def test_an_impossible_wish_for_probabilities_is_refused(scores: list[float], n: int, floor: float) -> None:
    with pytest.raises(InputError):
        draws.pps_probabilities(scores, n, floor)
    with pytest.raises(InputError):
        draws.pps_probabilities_array(np.array(scores), n, floor)
