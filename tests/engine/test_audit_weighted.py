"""Weighted estimates against simulated queues by suspicion: what they cover, and how far the plain rate is off."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.audit.draws import pps_probabilities_array
from engine.audit.weighted import (
    Estimate,
    Judged,
    Stratum,
    design_effect,
    hajek,
    interval,
    lower_bound,
    stratified,
    student_quantile,
    upper_bound,
)
from engine.statistics import clopper_pearson_lower, clopper_pearson_upper
from store.errors import InputError

UNITS, DRAWS = 20_000, 500


@dataclass(frozen=True, slots=True)
class World:
    """Many draws from one population: the true rate and every estimate of it."""

    truth: float
    estimates: tuple[Estimate, ...]

    def share(self, holds: object) -> float:
        return float(np.mean([holds(e) for e in self.estimates]))  # type: ignore[operator]


def suspicion(kind: str, wrong: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(size=len(wrong))
    if kind == "sharp":  # finds most errors
        return 1 / (1 + np.exp(5 - 2 * (noise + 2.5 * wrong)))
    if kind == "half":  # half the errors are invisible to it
        return np.where(wrong & (rng.random(len(wrong)) < 0.5) | (rng.random(len(wrong)) < 0.02), 1.0, 0.01)
    if kind == "mild":
        return 1 / (1 + np.exp(2 - noise - wrong))
    return rng.random(len(wrong)) ** 4 if kind == "blind" else 1 / (1 + np.exp(4 - 2 * (noise - wrong)))


@lru_cache(maxsize=40)
def world(kind: str, rate: float, n: int) -> World:
    rng = np.random.default_rng([20261122, len(kind), int(rate * 1_000), n])
    wrong = rng.random(UNITS) < rate
    chances = pps_probabilities_array(suspicion(kind, wrong, rng), n)
    estimates = []
    for _ in range(DRAWS):
        drawn = np.flatnonzero(rng.random(UNITS) < chances)
        units = [Judged(p, e) for p, e in zip(chances[drawn].tolist(), wrong[drawn].tolist(), strict=True)]
        estimates.append(hajek(units, least_probability=float(chances.min())))
    return World(float(wrong.mean()), tuple(estimates))


# ---- coverage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sharp", "mild", "half"])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.25, 0.45])
def test_a_displayed_interval_holds_the_truth_under_suspicion_that_knows_something(
    kind: str, rate: float
) -> None:
    seen = world(kind, rate, 300)

    def holds(estimate: Estimate) -> bool:
        low, high = interval(estimate)
        return low <= seen.truth <= high

    assert seen.share(holds) >= 0.93


@pytest.mark.parametrize("kind", ["sharp", "mild", "half", "blind", "against"])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.45])
def test_the_gating_bound_holds_whatever_the_suspicion_is_worth(kind: str, rate: float) -> None:
    seen = world(kind, rate, 300)
    assert seen.share(lambda e: upper_bound(e) >= seen.truth) >= 0.95 - 2 * math.sqrt(0.0475 / DRAWS)
    assert seen.share(lambda e: lower_bound(e) <= seen.truth) >= 0.95 - 3 * math.sqrt(0.0475 / DRAWS)


def test_korn_and_graubard_alone_would_be_no_gate_where_few_heavy_errors_decide() -> None:
    seen = world("blind", 0.02, 300)
    naive = seen.share(lambda e: interval(e, 0.9)[1] >= seen.truth)
    assert naive < 0.93 < seen.share(lambda e: upper_bound(e) >= seen.truth)


def test_the_plain_rate_of_a_suspicious_queue_is_no_estimate() -> None:
    seen = world("sharp", 0.025, 300)
    assert (
        np.mean([e.raw_rate for e in seen.estimates]) > 6 * seen.truth
    )  # 18 % and more where 2.5 % are wrong
    assert np.mean([e.rate for e in seen.estimates]) == pytest.approx(seen.truth, rel=0.05)
    assert np.mean([design_effect(e) for e in seen.estimates]) < 1  # such suspicion saves work


def test_the_variance_is_that_of_repeated_draws() -> None:
    for kind, rate in (("mild", 0.1), ("half", 0.25), ("blind", 0.45)):
        seen = world(kind, rate, 300)
        spread = np.var([e.rate for e in seen.estimates])
        assert np.mean([e.variance for e in seen.estimates]) == pytest.approx(spread, rel=0.25)


def test_a_stratified_interval_holds_the_truth_and_knows_a_finite_population() -> None:
    rng = np.random.default_rng(5)
    sizes, rates, judged = (3_000, 600, 60), (0.03, 0.2, 0.5), (120, 100, 60)
    wrong = [round(size * rate) for size, rate in zip(sizes, rates, strict=True)]
    truth, held, gated = sum(wrong) / sum(sizes), 0, 0
    for _ in range(DRAWS):
        found = [rng.hypergeometric(w, s - w, n) for w, s, n in zip(wrong, sizes, judged, strict=True)]
        cells = zip(sizes, judged, map(int, found), strict=True)
        estimate = stratified([Stratum(*cell) for cell in cells])
        low, high = interval(estimate)
        held += low <= truth <= high
        gated += upper_bound(estimate) >= truth
    assert held / DRAWS >= 0.93
    assert gated / DRAWS >= 0.93


def test_the_rate_of_a_domain_is_estimated_without_the_units_outside_it() -> None:
    rng = np.random.default_rng(8)
    wrong, eligible = rng.random(UNITS) < 0.2, rng.random(UNITS) < 0.6
    chances = pps_probabilities_array(wrong + rng.random(UNITS), 300)
    truth, held, rates = wrong[eligible].mean(), 0, []
    for _ in range(300):
        drawn = np.flatnonzero(rng.random(UNITS) < chances)
        rows = zip(chances[drawn].tolist(), wrong[drawn].tolist(), eligible[drawn].tolist(), strict=True)
        estimate = hajek(Judged(*row) for row in rows)
        low, high = interval(estimate)
        held += low <= truth <= high
        rates.append(estimate.rate)
    assert np.mean(rates) == pytest.approx(truth, rel=0.02)
    assert held / 300 >= 0.93


# ---- what it must reduce to ------------------------------------------------------------------------------


@given(st.integers(1, 400), st.data())
@settings(max_examples=80, deadline=None)
def test_equal_weights_from_an_endless_population_give_clopper_and_pearson(
    n: int, data: st.DataObject
) -> None:
    errors = data.draw(st.integers(0, n))
    estimate = hajek(Judged(1e-9, i < errors) for i in range(n))
    assert estimate.rate == pytest.approx(errors / n)
    assert upper_bound(estimate) == pytest.approx(clopper_pearson_upper(errors, n, 0.95), abs=1e-6)
    if n > 1:
        assert lower_bound(estimate) == pytest.approx(clopper_pearson_lower(errors, n, 0.95), abs=1e-6)
        assert design_effect(estimate) == pytest.approx(1, rel=1e-6)


def test_one_stratum_is_a_simple_random_sample_with_its_finite_population() -> None:
    estimate = stratified([Stratum(1_000, 200, 30)])
    assert estimate.variance == pytest.approx((1 - 0.2) * 0.15 * 0.85 / 199)  # Cochran 1977, eq. 3.8
    assert estimate.effective_n == pytest.approx(199 / 0.8)


def test_stratified_is_cochrans_weighted_mean_and_variance() -> None:
    cells = [Stratum(700, 70, 7), Stratum(200, 40, 10), Stratum(100, 20, 9)]
    mean = sum(s.size / 1_000 * s.errors / s.judged for s in cells)
    variance = sum(
        (s.size / 1_000) ** 2 * (1 - s.judged / s.size) * p * (1 - p) / (s.judged - 1)
        for s in cells
        for p in [s.errors / s.judged]
    )
    estimate = stratified(cells)
    assert (estimate.rate, estimate.variance) == (pytest.approx(mean), pytest.approx(variance))
    assert estimate.degrees == 127


def test_a_census_has_no_interval() -> None:
    for estimate in (
        hajek(Judged(1.0, i < 3) for i in range(50)),
        stratified([Stratum(20, 20, 1), Stratum(30, 30, 2)]),
    ):
        assert interval(estimate) == (0.06, 0.06)
        assert upper_bound(estimate) == lower_bound(estimate) == 0.06


def test_no_error_is_bounded_by_what_the_least_likely_unit_could_hide() -> None:
    units = [Judged(1.0, error=False)] * 100 + [Judged(0.01, error=False)] * 49
    estimate = hajek(units)
    assert interval(estimate)[0] == 0.0
    assert upper_bound(estimate) == pytest.approx(
        clopper_pearson_upper(0, 49, 0.95) * 4_900 / 5_000, rel=0.02
    )
    assert upper_bound(hajek(units, least_probability=0.005)) > upper_bound(estimate)
    everything_wrong = hajek([Judged(0.1, error=True)] * 20)
    assert (upper_bound(everything_wrong), interval(everything_wrong)[1]) == (1.0, 1.0)
    assert 0.8 < lower_bound(everything_wrong) < 1


def test_units_outside_the_question_change_nothing_but_the_count() -> None:
    asked = [Judged(0.1, i < 4) for i in range(40)] + [Judged(0.5, i < 9) for i in range(30)]
    outside = [Judged(0.1, error=True, eligible=False)] * 25
    assert hajek(asked + outside) == hajek(asked)
    whole, part = stratified([Stratum(900, 90, 9, 90)]), stratified([Stratum(900, 90, 9, 60)])
    assert (whole.rate, part.rate) == (0.1, 0.15)
    assert part.variance > whole.variance


def test_few_strata_cost_degrees_of_freedom() -> None:
    many = stratified([Stratum(100, 2, i % 2) for i in range(30)])
    assert (many.n, many.degrees) == (60, 30)
    assert student_quantile(0.025, 30) > student_quantile(0.025, 59)


def test_t_quantiles_are_scipys() -> None:
    for degrees in (1, 2, 5, 30, 500, 20_000):
        for tail in (0.2, 0.05, 0.025, 0.001):
            assert student_quantile(tail, degrees) == pytest.approx(stats.t.isf(tail, degrees), rel=1e-6)


# ---- rules -----------------------------------------------------------------------------------------------


def test_an_error_more_does_not_lower_the_gating_bound() -> None:
    dice = random.Random(5)
    for _ in range(2_000):
        rows = [
            (dice.choice([1, 0.5, 0.1, 0.02, 0.004]), dice.random() < 0.2) for _ in range(dice.randint(1, 40))
        ]
        at = dice.randrange(len(rows))
        more = [(p, wrong or i == at) for i, (p, wrong) in enumerate(rows)]
        less, now = (
            upper_bound(hajek((Judged(*row) for row in given_rows), least_probability=0.004))
            for given_rows in (rows, more)
        )
        assert now >= less - 1e-3  # exact for equal weights; a hundred-fold weight may cost the fourth digit


@given(st.lists(st.tuples(st.floats(0.001, 1), st.booleans(), st.booleans()), min_size=1, max_size=50))
@settings(max_examples=200, deadline=None)
def test_bounds_lie_around_the_rate_and_order_does_not_matter(rows: list[tuple[float, bool, bool]]) -> None:
    if not any(eligible for _, _, eligible in rows):
        with pytest.raises(InputError, match="no eligible unit"):
            hajek(Judged(*row) for row in rows)
        return
    estimate = hajek(Judged(*row) for row in rows)
    low, high = interval(estimate)
    assert 0 <= low <= estimate.rate + 1e-9
    assert estimate.rate - 1e-9 <= high <= 1
    assert low <= lower_bound(estimate) + 1e-9
    assert upper_bound(estimate) >= interval(estimate, 0.9)[1] - 1e-9
    assert hajek(Judged(*row) for row in reversed(rows)) == estimate


@pytest.mark.parametrize(
    "asked",
    [
        lambda: Judged(0.0, error=True),
        lambda: Judged(1.1, error=True),
        lambda: Stratum(10, 11, 0),
        lambda: Stratum(10, 5, 6),
        lambda: Stratum(10, 0, 0),
        lambda: stratified([]),
        lambda: stratified([Stratum(10, 5, 0, 0)]),
        lambda: hajek([]),
        lambda: hajek([Judged(0.5, error=True)], least_probability=0.0),
        lambda: interval(hajek([Judged(0.5, error=True)]), 1.0),
        lambda: student_quantile(0.6, 3),
    ],
)
def test_impossible_input_is_refused(asked: object) -> None:
    with pytest.raises(InputError):
        asked()  # type: ignore[operator]
