"""The bounds against scipy, and the plans against exact power."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from engine import statistics as our
from store.errors import InputError

SIZES = (1, 2, 5, 40, 313, 1_000, 100_000, 1_000_000)


def counts_of(n: int) -> list[int]:
    return sorted({k for k in (0, 1, n // 100, n // 3, n - 2, n - 1, n) if 0 <= k <= n})


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("level", [0.8, 0.95, 0.9999])
def test_exact_bounds_are_scipys_beta_quantiles(n: int, level: float) -> None:
    for k in counts_of(n):
        lower = stats.beta.ppf(1 - level, k, n - k + 1) if k else 0.0
        upper = stats.beta.ppf(level, k + 1, n - k) if k < n else 1.0
        assert our.clopper_pearson_lower(k, n, level) == pytest.approx(lower, abs=1e-10)
        assert our.clopper_pearson_upper(k, n, level) == pytest.approx(upper, abs=1e-10)


@pytest.mark.parametrize("n", SIZES)
def test_binomial_tails_are_scipys(n: int) -> None:
    for k in counts_of(n):
        for p in (1e-6, 0.02, 0.5, 0.97):
            assert our.binomial_at_least(k, n, p) == pytest.approx(stats.binom.sf(k - 1, n, p), abs=1e-9)
            assert our.binomial_at_most(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), abs=1e-9)


def test_wilson_is_scipys() -> None:
    for n in (1, 7, 100, 10_000):
        for k in counts_of(n):
            theirs = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
            assert our.wilson(k, n, 0.95) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_nothing_seen_is_bounded_by_nothing_known() -> None:
    assert our.wilson(0, 0) == (0.0, 1.0)
    assert (our.clopper_pearson_lower(0, 0, 0.95), our.clopper_pearson_upper(0, 0, 0.95)) == (0.0, 1.0)
    assert (our.tango_lower(0, 0, 0, 0.95), our.tango_upper(0, 0, 0, 0.95)) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("n", "b", "c", "level", "bounds"),
    [
        (21, 7, 1, 0.975, (-0.517, -0.026)),  # airway hyper-responsiveness, Bentur 2009 in Fagerland 2014
        (618, 25, 28, 0.95, (-0.0148, 0.0247)),  # R: PropCIs::scoreci.mp(25, 28, 618, 0.9)
    ],
)
def test_tango_reaches_published_intervals(
    n: int, b: int, c: int, level: float, bounds: tuple[float, float]
) -> None:
    ours = our.tango_lower(n, b, c, level), our.tango_upper(n, b, c, level)
    assert ours == pytest.approx(bounds, abs=5e-4 if n == 21 else 5e-5)


@given(st.integers(5, 500), st.data())
@settings(max_examples=60, deadline=None)
def test_the_restricted_likelihood_of_the_score_is_at_its_maximum(n: int, data: st.DataObject) -> None:
    """An oracle that shares no algebra with ours: the nuisance rate by numerical maximisation."""
    b = data.draw(st.integers(1, n // 2))
    c = data.draw(st.integers(1, n - b - 1))
    d = data.draw(st.floats(-0.3, 0.3))

    def minus_log_likelihood(q: float) -> float:
        return -(b * math.log(q) + c * math.log(q + d) + (n - b - c) * math.log(1 - 2 * q - d))

    room = (max(0.0, -d) + 1e-9, (1 - d) / 2 - 1e-9)
    q = optimize.minimize_scalar(
        minus_log_likelihood, bounds=room, method="bounded", options={"xatol": 1e-10}
    ).x
    score = (c - b - n * d) / math.sqrt(n * (2 * q + d - d * d))
    assert our.tango_score(n, b, c, d) == pytest.approx(score, rel=1e-4, abs=1e-4)


def test_tango_without_discordant_pairs_has_its_closed_form() -> None:
    z = our.normal_quantile(0.95)
    for n in (1, 10, 88, 5_000):
        assert our.tango_lower(n, 0, 0, 0.95) == pytest.approx(-z * z / (n + z * z), abs=1e-12)
    assert our.tango_lower(88, 0, 0, 0.95) >= -0.03 > our.tango_lower(87, 0, 0, 0.95)


@given(st.integers(1, 3_000), st.data())
@settings(max_examples=150, deadline=None)
def test_at_the_tango_bound_the_score_is_the_quantile(n: int, data: st.DataObject) -> None:
    b = data.draw(st.integers(0, n))
    c = data.draw(st.integers(0, n - b))
    lower = our.tango_lower(n, b, c, 0.95)
    assert -1 <= lower <= (c - b) / n <= our.tango_upper(n, b, c, 0.95) <= 1
    if lower > -1 + 1e-6:
        assert our.tango_score(n, b, c, lower) == pytest.approx(our.normal_quantile(0.95), abs=1e-4)


def test_one_more_prompt_that_the_student_wins_never_lowers_the_bound() -> None:
    for n in (*range(1, 12), 40):
        for b in range(n + 1):
            bounds = [our.tango_lower(n, b, c, 0.95) for c in range(n - b + 1)]
            assert all(left <= right + 1e-12 for left, right in pairwise(bounds))


@pytest.mark.parametrize(
    ("n", "discordance", "margin"), [(200, 0.08, 0.05), (400, 0.08, 0.05), (550, 0.08, 0.03)]
)
def test_a_student_exactly_at_its_margin_passes_at_most_five_and_a_half_percent(
    n: int, discordance: float, margin: float
) -> None:
    assert passing_share(n, discordance, -margin, margin) <= 0.055


def test_the_worst_case_of_the_score_bound_is_known_and_small() -> None:
    """A student that never wins a prompt alone, exactly at its margin: the bound is a little too hopeful."""
    assert passing_share(88, 0.0301, -0.03, 0.03) == pytest.approx(0.068, abs=1e-3)
    assert passing_share(200, 0.0301, -0.03, 0.03) == pytest.approx(0.059, abs=1e-3)


def test_the_planned_n_gives_the_planned_power() -> None:
    assert 0.78 <= passing_share(550, 0.08, 0.0, 0.03) <= 0.83


def passing_share(n: int, discordance: float, difference: float, margin: float) -> float:
    """Exact P(pass) over all (teacher only, student only) counts that matter."""
    z = our.normal_quantile(0.95)
    student, total = (discordance + difference) / 2, 0.0
    for discordant in range(n + 1):
        weight = stats.binom.pmf(discordant, n, discordance)
        if weight < 1e-9:
            continue
        passing = (c for c in range(discordant + 1) if our.tango_score(n, discordant - c, c, -margin) >= z)
        total += weight * stats.binom.sf(next(passing, discordant + 1) - 1, discordant, student / discordance)
    return float(total)


def test_audit_plans_are_those_of_the_evidence() -> None:
    assert [our.audit_size(0.02, c) for c in (0, 1, 2, 5)] == [149, 236, 313, 523]
    curve = dict(our.operating_curve(149, 0, [0.005, 0.02]))
    assert curve[0.005] == pytest.approx(0.47, abs=0.005)
    assert curve[0.02] <= 0.05


@given(st.floats(0.5, 0.98), st.floats(0.001, 0.5))
@settings(max_examples=40, deadline=None)
def test_a_planned_floor_has_its_power_and_no_smaller_peak_has(floor: float, gain: float) -> None:
    accuracy = min(floor + gain, 1.0)
    n = our.n_needed_floor(floor, 0.95, accuracy)
    assert n is not None
    if n > 3_000:
        return
    allowed = max(e for e in range(n) if our.clopper_pearson_lower(n - e, n, 0.95) >= floor - 1e-12)
    assert stats.binom.cdf(allowed, n, 1 - accuracy) >= 0.8 - 1e-9
    if allowed:
        before = our.audit_size(1 - floor, allowed - 1)
        assert stats.binom.cdf(allowed - 1, before, 1 - accuracy) < 0.8 + 1e-9


def test_no_n_helps_a_student_at_its_bar() -> None:
    assert our.n_needed_floor(0.9, 0.95, 0.9) is None
    assert our.n_needed_margin(0.03, 0.95, 0.08, difference=-0.03) is None


@given(st.lists(st.integers(0, 1_000), max_size=400), st.integers(0, 1_000))
@settings(max_examples=150, deadline=None)
def test_a_latency_bound_within_budget_is_an_exact_floor_on_the_share_within(
    values: list[int], budget: int
) -> None:
    assume(len(values) > 1)  # of one value P(X >= 1) is 0.95 itself: rounding decides
    lower, upper = our.percentile_bounds(sorted(values), 0.95, 0.95)
    within = sum(value <= budget for value in values)
    reaches = our.clopper_pearson_lower(within, len(values), 0.95) >= 0.95
    assert (upper is not None and upper <= budget) == reaches
    under = our.clopper_pearson_upper(within, len(values), 0.95) < 0.95
    assert (lower is not None and lower > budget) == under


def test_all_attempts_together_spend_one_alpha() -> None:
    assert math.fsum(1 - our.attempt_level(0.95, t) for t in range(1, 5_000)) == pytest.approx(0.05, abs=1e-4)


def test_impossible_counts_are_refused() -> None:
    for call in (
        lambda: our.wilson(3, 2),
        lambda: our.clopper_pearson_lower(-1, 2, 0.95),
        lambda: our.tango_lower(3, 2, 2, 0.95),
        lambda: our.normal_quantile(1.0),
        lambda: our.percentile([], 0.5),
        lambda: our.mean_bounds([1.0], 0.95),
        lambda: our.attempt_level(0.95, 0),
    ):
        with pytest.raises(InputError):
            call()
